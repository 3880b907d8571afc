"""What the writes of a batch gather: written once, taken back with whoever gathered it, seen by those who read rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, Table, bindparam, insert, select, text, update

from creamery.contract import digest_of
from creamery.database import Committer, Database, Prepared, gather, gathered, loaded, write_gathered
from creamery.hive.tables import version
from tests.doubles.batches import Work, batch, started, together, value


class Refused(Exception):
    """What a rule of a room would raise."""


class Tally:
    """Adds to the numbers of notes, by one statement for all that a batch adds."""

    def __init__(self, notes: Table) -> None:
        self.notes = notes
        self.flushes: list[list[tuple[str, int]]] = []
        self.kind: Any = self._flush  # a bound method is another object each time
        self._add = Prepared(
            update(notes).where(notes.c.name == bindparam("name_")).values(number=notes.c.number + bindparam("more"))
        )

    def _flush(self, connection: Connection, items: Sequence[tuple[str, int]]) -> None:
        self.flushes.append(list(items))
        sums: dict[str, int] = {}
        for name, more in items:
            sums[name] = sums.get(name, 0) + more
        self._add.run_many(connection, [{"name_": name, "more": more} for name, more in sorted(sums.items())])

    def adding(self, name: str, more: int, refusal: Exception | None = None) -> Work:
        """Gathers; with a refusal it does that and then refuses."""

        def work(connection: Connection) -> int:
            gather(connection, self.kind, (name, more))
            if refusal is not None:
                raise refusal
            return self.now(connection, name)

        return work

    def now(self, connection: Connection, name: str) -> int:
        """What the row will be."""
        waiting: int = sum(more for other, more in gathered(connection, self.kind) if other == name)
        known: int = loaded(connection, ("row", name), lambda: self.row(connection, name))
        return known + waiting

    def row(self, connection: Connection, name: str) -> int:
        """What the row is."""
        return int(connection.execute(select(self.notes.c.number).where(self.notes.c.name == name)).scalar_one())

    def reading(self, name: str) -> Work:
        return lambda connection: self.row(connection, name)


@pytest.fixture
def tally(database: Database, notes: Table) -> Tally:
    with database.write.begin() as connection:
        connection.execute(insert(notes), [{"name": "one"}, {"name": "two"}])
    return Tally(notes)


def rows(database: Database, tally: Tally) -> list[int]:
    return database.read(lambda connection: [tally.row(connection, name) for name in ("one", "two")])


def test_what_a_batch_gathers_is_written_once_in_the_order_in_which_it_came(database: Database, tally: Tally) -> None:
    with started(database) as (committer, telemetry):
        ended = together(committer, *[tally.adding(name, 1) for name in ("two", "one", "two")], gathers=True)

    assert [each.result() for each in ended] == [1, 1, 2]
    assert tally.flushes == [[("two", 1), ("one", 1), ("two", 1)]]
    assert rows(database, tally) == [1, 2]
    assert value(telemetry, "commits") == 2  # the one that held the committer, and the batch


def test_kinds_are_written_in_the_order_in_which_each_was_first_gathered(database: Database, tally: Tally) -> None:
    written: list[str] = []

    def first(_: Connection, items: Sequence[str]) -> None:
        written.extend(f"first {item}" for item in items)

    def second(_: Connection, items: Sequence[str]) -> None:
        written.extend(f"second {item}" for item in items)

    def gathering(kind: Any, item: str) -> Work:
        return lambda connection: gather(connection, kind, item)

    with started(database) as (committer, _):
        together(committer, gathering(second, "a"), gathering(first, "b"), gathering(second, "c"), gathers=True)

    assert written == ["second a", "second c", "first b"]


def test_a_refused_write_takes_back_what_it_gathered_and_nothing_else(database: Database, tally: Tally) -> None:
    with started(database) as (committer, _):
        first, refused, last = together(
            committer,
            tally.adding("one", 1),
            tally.adding("one", 10, Refused()),
            tally.adding("one", 100),
            gathers=True,
        )

    assert isinstance(refused.exception(), Refused)
    assert (first.result(), last.result()) == (1, 101)
    assert rows(database, tally) == [101, 0]


def test_a_refused_write_that_is_alone_writes_nothing_of_what_it_gathered(
    committer: Committer, database: Database, tally: Tally
) -> None:
    with pytest.raises(Refused):
        committer.write(tally.adding("one", 10, Refused()), gathers=True)

    assert tally.flushes == []
    assert rows(database, tally) == [0, 0]


def test_a_write_that_does_not_gather_sees_rows_as_they_are(database: Database, tally: Tally) -> None:
    with started(database) as (committer, _):
        ended = batch(
            committer,
            (tally.adding("one", 1), True),
            (tally.reading("one"), False),
            (tally.adding("one", 1), True),
            (tally.reading("one"), True),
            (tally.reading("one"), False),
        )

    assert [each.result() for each in ended] == [1, 1, 2, 1, 2]
    assert tally.flushes == [[("one", 1)], [("one", 1)]]


def test_what_was_loaded_is_loaded_anew_after_a_write_that_changed_rows_itself(
    database: Database, tally: Tally
) -> None:
    def doubling(connection: Connection) -> None:
        connection.execute(update(tally.notes).values(number=tally.notes.c.number * 2))

    with started(database) as (committer, _):
        ended = batch(committer, (tally.adding("one", 3), True), (doubling, False), (tally.adding("one", 1), True))

    assert [each.result() for each in ended] == [3, None, 7]
    assert rows(database, tally) == [7, 0]


def test_what_was_gathered_before_a_refused_write_that_does_not_gather_is_written(
    database: Database, tally: Tally
) -> None:
    def refusing(connection: Connection) -> None:
        gather(connection, tally.kind, ("two", 5))
        write_gathered(connection)
        gather(connection, tally.kind, ("two", 5))
        raise Refused

    with started(database) as (committer, _):
        first, refused, last = batch(
            committer, (tally.adding("one", 1), True), (refusing, False), (tally.adding("two", 1), True)
        )

    assert isinstance(refused.exception(), Refused)
    assert (first.result(), last.result()) == (1, 1)
    assert rows(database, tally) == [1, 1]


def test_a_batch_whose_gathered_rows_cannot_be_written_runs_write_by_write(database: Database, tally: Tally) -> None:
    def broken(connection: Connection, _: Sequence[int]) -> None:
        connection.execute(text("SELECT nothing FROM nowhere"))

    with started(database) as (committer, _):
        first, poison, last = together(
            committer,
            tally.adding("one", 1),
            lambda connection: gather(connection, broken, 1),
            tally.adding("one", 1),
            gathers=True,
        )

    assert poison.exception() is not None
    assert (first.result(), last.result()) == (1, 2)
    assert rows(database, tally) == [2, 0]


def test_a_prepared_insert_binds_what_the_drivers_want(database: Database) -> None:
    keep = Prepared(insert(version), [column.key for column in version.columns])
    digest, times = digest_of(b"bytes"), {"mtime": 2, "created": 3}
    row = {"node_id": 1, "digest": digest, "size": 5, **times, "author_id": None, "label": None}
    with database.write.begin() as connection:
        keep.run(connection, {**row, "revision": 1, "pinned": False})
        keep.run_many(connection, [{**row, "revision": each, "pinned": True} for each in (2, 3)])
        keep.run_many(connection, [])

    asked = select(version.c.revision, version.c.digest, version.c.pinned).order_by(version.c.revision)
    found = database.read(lambda connection: [tuple(each) for each in connection.execute(asked)])
    assert found == [(1, digest, False), (2, digest, True), (3, digest, True)]


def test_a_prepared_question_may_have_values_of_its_own(database: Database, tally: Tally) -> None:
    ask = Prepared(
        select(tally.notes.c.name).where(tally.notes.c.number == 0, tally.notes.c.name > bindparam("after")).limit(5)
    )

    found = database.read(lambda connection: ask.run(connection, {"after": "one"}).fetchall())
    assert [tuple(each) for each in found] == [("two",)]
