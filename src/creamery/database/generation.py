"""Which topics have changed since a process last looked: one row, a column per topic.

Whoever changes what others keep in memory bumps its topic in the same transaction; every process looks before it
answers. On SQLite the look is `PRAGMA data_version` (4 us, no statement); only when that has moved is the row read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import BigInteger, Column, Connection, Integer, Table, select

from creamery.database.engine import Database
from creamery.database.metadata import TABLE_OPTIONS, metadata
from creamery.database.numbers import take_number

Topic = Literal["rights", "index", "blobs", "wheels"]
TOPICS: tuple[Topic, ...] = ("rights", "index", "blobs", "wheels")

generation = Table(
    "generation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    *(Column(topic, BigInteger, nullable=False, server_default="0") for topic in TOPICS),
    **TABLE_OPTIONS,
)


_ROW = "SELECT " + ", ".join(f'"{topic}"' for topic in TOPICS) + " FROM generation WHERE id = 1"  # noqa: S608 - our own words
_LOCK = select(generation.c.id).where(generation.c.id == 1).with_for_update()


@dataclass(frozen=True, slots=True)
class Bumped:
    """A change of a topic that a transaction has counted."""

    topic: Topic
    number: int
    transaction: object


def bump(connection: Connection, topic: Topic) -> int:
    """Count a change of `topic`, in the caller's transaction, and return the new number; the row stays locked.

    A transaction is one change, however often it is counted in it.
    """
    bumped, transaction = connection.info.setdefault("bumped", []), connection.get_transaction()
    for counted in bumped:
        if counted.topic == topic and counted.transaction is transaction:
            return int(counted.number)
    number = take_number(connection, generation.c[topic])
    bumped.append(Bumped(topic, number, transaction))
    return number


def lock_writers(connection: Connection) -> None:
    """Lock the row before any other: the committers of several processes take turns.

    They change the same rows in whatever order their batches have; without it they would wait for each other, and one
    of them would have to begin anew, on PostgreSQL after a second. On SQLite there is one writer anyway.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(_LOCK)


class Generations:
    """What this process has seen of the generation row, and who wants to hear of others' changes.

    A process draws the consequences of its own changes itself: the committer registers their numbers with `own`, and
    listeners are told only of the rest. Should a `look` come between a commit and its `own`, the change is taken for
    somebody else's, which costs a second look at what is in memory and nothing more. `look` comes before anything is
    kept: what changed before the first look is nobody's news.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, int] = {}
        self._own: dict[str, set[int]] = {topic: set() for topic in TOPICS}
        self._listeners: dict[str, list[Callable[[], None]]] = {topic: [] for topic in TOPICS}
        self._lock = threading.Lock()
        self._watch: Connection | None = None
        self._version: int | None = None

    def on_change(self, topic: Topic, listener: Callable[[], None]) -> None:
        """Call `listener` when another process has changed `topic`."""
        self._listeners[topic].append(listener)

    def own(self, topic: Topic, number: int) -> None:
        """This process itself made change `number` of `topic`."""
        with self._lock:
            self._own[topic].add(number)

    def moved(self) -> bool:
        """Has anybody else changed a topic since the last `look`? On SQLite asked at once; elsewhere always True.

        Nothing was committed: no statement. Something was: the row is read, which takes less than to have a thread do
        it, and nearly always tells that this process itself has committed, or somebody what is nobody's topic.
        """
        if not self._database.is_sqlite or self._watch is None:
            return True
        version = self._database.data_version(self._watch)
        return version != self._version and not self._concerns_nobody(self._watch, version)

    def _concerns_nobody(self, watch: Connection, version: int | None) -> bool:
        if self._version is None or not self._lock.acquire(blocking=False):
            return False  # somebody looks
        try:
            found = self._database.row_at_once(watch, _ROW)
            numbers = dict[str, int](zip(TOPICS, found, strict=True))
            if any(self._is_foreign(topic, number) for topic, number in numbers.items()):
                return False
            self._see(numbers, version)
            return True
        finally:
            self._lock.release()

    def look(self) -> None:
        """Read the row and tell the listeners of every topic that others have changed.

        What was seen counts as seen when all listeners know: should reading or one of them fail, the next look tells
        them anew, and nobody who asks `moved` meanwhile takes what they have for current.
        """
        with self._lock:
            version = None
            if self._database.is_sqlite:
                if self._watch is None:
                    self._watch = self._database.open_watch()
                version = self._database.data_version(self._watch)
            row = self._database.read(lambda connection: connection.execute(select(generation)).mappings().one())
            numbers: dict[str, int] = {topic: int(row[topic]) for topic in TOPICS}
            for topic in TOPICS:
                if self._is_foreign(topic, numbers[topic]):
                    for listener in self._listeners[topic]:
                        listener()
            self._see(numbers, version)

    def _see(self, numbers: Mapping[str, int], version: int | None) -> None:
        for topic, number in numbers.items():
            self._seen[topic] = number
            if self._own[topic]:
                self._own[topic] = {step for step in self._own[topic] if step > number}
        self._version = version

    def _is_foreign(self, topic: str, number: int) -> bool:
        seen = self._seen.get(topic)
        return seen is not None and any(step not in self._own[topic] for step in range(seen + 1, number + 1))

    def close(self) -> None:
        """Give the watching connection back."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
