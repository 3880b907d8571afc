"""The one writer of a process: it takes every write that waits and commits them together.

No timer: while one batch is synced to disk, the next one gathers. A write is a function of a connection; it runs in
a savepoint of its own, so that one refusal harms no neighbour, and must have no effect outside the database, because
after an unforeseen error every write of the batch runs again alone.

A write may bring small bodies along, which must be durable before it: those of a whole batch are brought to their
place in one step, which `blobs/` hands in, and which costs one sync however many they are.
"""

from __future__ import annotations

import asyncio
import errno
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from creamery.clock import Clock
from creamery.database.connect import WAL_KEPT_BYTES
from creamery.database.engine import Database
from creamery.database.errors import REFUSALS, DatabaseUnavailable, DiskFull, WritesBusy, is_worth_a_retry, translate
from creamery.database.gathering import GATHERED, begin_gathering, forget_loaded, write_gathered
from creamery.database.generation import Generations, lock_writers
from creamery.faults import reach
from creamery.limits import Limits
from creamery.telemetry import Telemetry, log

T = TypeVar("T")

BATCH_WRITES = 256
RETRIES = 3
CHECKPOINT_SECONDS = 60.0


@dataclass(slots=True)
class _Write(Generic[T]):
    work: Callable[[Connection], T]
    bodies: Sequence[Any]
    gathers: bool
    result: Future[T]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one write: a value, or a refusal."""

    value: Any
    refusal: Exception | None = None


class _BatchFailed(Exception):
    """Nothing is gained by running its writes one by one; the cause says why."""


class Committer:
    """Runs writes. `write` may be called from any thread; `commit` from the event loop."""

    def __init__(
        self, database: Database, generations: Generations, limits: Limits, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._database = database
        self._generations = generations
        self._limits = limits
        self._clock = clock
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self._bring: Callable[[Sequence[Any]], None] | None = None
        self._bring_no_more: Callable[[], None] | None = None
        self._waiting: deque[_Write[Any]] = deque()
        lock = threading.Lock()
        self._work_came = threading.Condition(lock)
        self._room_came = threading.Condition(lock)
        self._closed = False
        self._checkpoint_at = clock.monotonic()
        self._batches = telemetry.counter("commits", "Transactions of the committer.")
        self._writes = telemetry.counter("writes", "Writes that the committer ran.")
        self._retries = telemetry.counter("commit_retries", "Transactions begun anew: a deadlock, a lost connection.")
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    def start(self) -> None:
        """Begin to take writes."""
        self._thread.start()

    def close(self) -> None:
        """Run what waits, then end. May be called twice."""
        with self._work_came:
            self._closed = True
            self._work_came.notify_all()
            self._room_came.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        if self._bring_no_more is not None:
            self._bring_no_more()

    def on_commit(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Call `listener`, in the committer's thread, after each commit, with what its writes announced.

        All writers wait for it: it must be quick, and not write itself.
        """
        self._listeners.append(listener)

    def bring_bodies(self, step: Callable[[Sequence[Any]], None], end: Callable[[], None]) -> None:
        """Have `step`, in the committer's thread, make the bodies of each batch durable before its transaction begins.

        What it raises is the end of those writes that brought bodies, and of no others. `end` is called after the last.
        """
        self._bring, self._bring_no_more = step, end

    def write(self, work: Callable[[Connection], T], bodies: Sequence[Any] = (), *, gathers: bool = False) -> T:
        """Run `work` in a transaction; on return it is durable. For threads.

        Args:
            work: may run more than once, and has no effect outside the database.
            bodies: what `bring_bodies` makes durable before.
            gathers: it knows that others of its batch may have gathered rows (`gather`) that are not written yet.

        Raises:
            WritesBusy: the queue stayed full, or another process held the database.
            DiskFull: no room; nothing was written.
            DatabaseUnavailable: the database does not answer. Should the connection have broken during the commit
                itself, nobody knows whether it was written: ask, and write again if not.
            Exception: whatever `work` raised, a refusal of the database (`IntegrityError`) included; nothing of it
                was written.
        """
        return self.submit(work, bodies, gathers=gathers).result()

    async def commit(self, work: Callable[[Connection], T], bodies: Sequence[Any] = (), *, gathers: bool = False) -> T:
        """`write`, for the event loop."""
        write = _Write(work, bodies, gathers, Future())
        if not self._put(write, 0):  # waiting for a place must not hold the loop
            await asyncio.get_running_loop().run_in_executor(None, self._put_or_refuse, write)
        return await asyncio.wrap_future(write.result)

    def submit(
        self, work: Callable[[Connection], T], bodies: Sequence[Any] = (), *, gathers: bool = False
    ) -> Future[T]:
        """Put `work` in the queue.

        Raises:
            WritesBusy: the queue stayed full for `limits.waiting_seconds`, or the hub is ending.
        """
        write = _Write(work, bodies, gathers, Future())
        self._put_or_refuse(write)
        return write.result

    def _put_or_refuse(self, write: _Write[Any]) -> None:
        if not self._put(write, self._limits.waiting_seconds):
            raise WritesBusy(f"{self._limits.waiting_writes} writes wait already; ask again in a moment")

    def _put(self, write: _Write[Any], seconds: float) -> bool:
        with self._room_came:
            self._room_came.wait_for(lambda: self._closed or self._has_room(), seconds)
            if self._closed:
                raise WritesBusy("the hub is ending; ask again when it is back")
            if not self._has_room():
                return False
            self._waiting.append(write)
            self._work_came.notify()
            return True

    def _has_room(self) -> bool:
        return len(self._waiting) < self._limits.waiting_writes

    # The committer's thread

    def _run(self) -> None:
        while True:
            batch = self._take()
            if batch is None:
                return
            self._commit(self._with_bodies_brought(batch))
            self._checkpoint_when_due()

    def _take(self) -> list[_Write[Any]] | None:
        """All that wait, up to a batch, waiting for the first; None when nothing comes any more."""
        with self._work_came:
            self._work_came.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            taken = [self._waiting.popleft() for _ in range(min(BATCH_WRITES, len(self._waiting)))]
            self._room_came.notify(len(taken))
        return [write for write in taken if write.result.set_running_or_notify_cancel()]

    def _with_bodies_brought(self, batch: list[_Write[Any]]) -> list[_Write[Any]]:
        """Those of the batch whose bodies are durable, or that have none."""
        bodies = [body for write in batch for body in write.bodies]
        if not bodies:
            return batch
        try:
            assert self._bring is not None, "nobody has said where bodies go"  # noqa: S101
            self._bring(bodies)
        except Exception as error:  # noqa: BLE001 - handed to whoever brought some
            for write in batch:
                if write.bodies:
                    write.result.set_exception(error)
            return [write for write in batch if not write.bodies]
        return batch

    def _commit(self, batch: list[_Write[Any]]) -> None:
        try:
            outcomes = self._transaction(batch) if batch else []
        except BaseException as error:  # noqa: BLE001 - the batch's writers must all hear of it
            if len(batch) > 1 and not isinstance(error, _BatchFailed):
                log.warning("database.batch_failed", writes=len(batch), error=repr(error))
                for write in batch:
                    self._commit([write])
                return
            meaning = self._explain(error)
            for write in batch:
                write.result.set_exception(meaning)
            return
        for write, outcome in zip(batch, outcomes, strict=True):
            if outcome.refusal is not None:
                write.result.set_exception(outcome.refusal)
            else:
                write.result.set_result(outcome.value)

    def _transaction(self, batch: list[_Write[Any]]) -> list[_Outcome]:
        for attempt in range(1, RETRIES + 1):
            try:
                return self._try_transaction(batch)
            except DBAPIError as error:
                if not is_worth_a_retry(error):
                    raise
                self._retries.inc()
                self._clock.sleep(random.uniform(0.005, 0.05) * attempt)  # noqa: S311 - jitter
        return self._try_transaction(batch)

    def _try_transaction(self, batch: list[_Write[Any]]) -> list[_Outcome]:
        """Begin, take the turn, run each write, commit, tell the listeners. An exception says that nothing was written.

        Raises:
            _BatchFailed: no transaction could begin, or its commit's result is unknown.
            DBAPIError: the transaction as a whole failed.
        """
        try:
            connection = self._database.write.connect()
        except DBAPIError as error:
            raise _BatchFailed from error
        with connection:  # on the way out after an exception it rolls back
            try:
                transaction = connection.begin()
                lock_writers(connection)
            except DBAPIError as error:
                if is_worth_a_retry(error):
                    raise
                raise _BatchFailed from error
            begin_gathering(connection)
            connection.info.update(announced=[], bumped=[])
            if len(batch) == 1:  # its savepoint is the transaction
                outcomes = [_run(connection, batch[0])]
                if outcomes[0].refusal is not None:
                    transaction.rollback()
                    return outcomes
            else:
                outcomes = _run_all(connection, batch)
            write_gathered(connection)
            reach("database.before_commit")
            try:
                transaction.commit()
            except DBAPIError as error:
                if error.connection_invalidated:  # it may have been committed: running again could do all twice
                    raise _BatchFailed from error
                raise
            announced, bumped = frozenset(connection.info["announced"]), connection.info["bumped"]
        reach("database.after_commit")
        for counted in bumped:
            self._generations.own(counted.topic, counted.number)
        self._batches.inc()
        self._writes.inc(len(batch))
        self._tell(announced)
        return outcomes

    def _tell(self, announced: frozenset[str]) -> None:
        for listener in self._listeners:
            try:
                listener(announced)
            except Exception as error:  # noqa: BLE001 - what is committed is committed, and the thread goes on
                log.error("database.listener_failed", exc_info=error)

    def _explain(self, error: BaseException) -> BaseException:
        if isinstance(error, _BatchFailed) and error.__cause__ is not None:
            error = error.__cause__
        if isinstance(error, DBAPIError):
            meaning: BaseException = translate(error, self._database.url)
        elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
            meaning = DiskFull(f"the database {self._database.url} has no room to write; free some space ({error})")
        elif isinstance(error, OSError):
            meaning = DatabaseUnavailable(f"the database {self._database.url} cannot be written: {error}")
        else:
            return error
        if isinstance(meaning, DiskFull) and self._database.ballast is not None:
            self._database.ballast.give_up()  # so that eviction, which frees space, can be written down
        meaning.__cause__ = error
        return meaning

    def _checkpoint_when_due(self) -> None:
        """Readers that overlap without a gap let SQLite's log grow; once in a while look for a gap in earnest."""
        now = self._clock.monotonic()
        if self._database.wal_bytes() > WAL_KEPT_BYTES and now - self._checkpoint_at > CHECKPOINT_SECONDS:
            self._checkpoint_at = now
            try:
                self._database.checkpoint()
            except Exception as error:  # noqa: BLE001 - nothing is lost, the next one tries again
                log.warning("database.checkpoint_failed", error=str(error))


def announce(connection: Connection, topic: str) -> None:
    """Tell the committer's listeners, once the transaction is committed, that `topic` has news."""
    connection.info.setdefault("announced", []).append(topic)


def _run_all(connection: Connection, batch: list[_Write[Any]]) -> list[_Outcome]:
    """Run the writes, each in a savepoint: a refusal takes back what it wrote, announced and bumped, and no more."""
    outcomes = []
    for write in batch:
        if not write.gathers:
            write_gathered(connection)
        before = {name: len(connection.info[name]) for name in ("announced", "bumped", GATHERED)}
        # In plain words, because Connection.begin_nested() compiles its statements anew each time (a third of all CPU).
        connection.exec_driver_sql("SAVEPOINT one_write")
        outcome = _run(connection, write)
        if outcome.refusal is not None:
            while (unfinished := connection.get_nested_transaction()) is not None:
                unfinished.rollback()
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT one_write")
            for name, length in before.items():
                del connection.info[name][length:]
            forget_loaded(connection)
        connection.exec_driver_sql("RELEASE SAVEPOINT one_write")
        outcomes.append(outcome)
    return outcomes


def _run(connection: Connection, write: _Write[Any]) -> _Outcome:
    try:
        return _Outcome(write.work(connection))
    except Exception as refusal:
        if isinstance(refusal, DBAPIError) and not isinstance(refusal, REFUSALS):
            raise
        return _Outcome(None, refusal)
