"""One writer, many writers' wishes: who is answered what, and what is written."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection, Table, event, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from creamery import faults
from creamery.database import (
    Committer,
    Database,
    DatabaseUnavailable,
    DiskFull,
    WritesBusy,
    announce,
)
from creamery.database.generation import lock_writers
from creamery.limits import Limits
from creamery.telemetry import Telemetry
from tests.doubles.batches import held, started, together, value
from tests.doubles.waiting import eventually

Work = Callable[[Connection], Any]


class Refused(Exception):
    """What a rule of a room would raise."""


def adding(notes: Table, *names: str) -> Work:
    def work(connection: Connection) -> str:
        for name in names:
            connection.execute(insert(notes).values(name=name))
        return names[0]

    return work


def counting(notes: Table, *names: str) -> Work:
    """Add one to the number of each, in this order."""

    def work(connection: Connection) -> None:
        for name in names:
            connection.execute(update(notes).where(notes.c.name == name).values(number=notes.c.number + 1))

    return work


def refusing(notes: Table, name: str) -> Work:
    def work(connection: Connection) -> None:
        connection.execute(insert(notes).values(name=name))
        announce(connection, name)
        raise Refused(name)

    return work


def names(database: Database, notes: Table) -> set[str]:
    return set(database.read(lambda connection: list(connection.execute(select(notes.c.name)).scalars())))


def numbers(database: Database, notes: Table) -> dict[str, int]:
    return database.read(lambda connection: {row.name: row.number for row in connection.execute(select(notes))})


def test_what_a_write_returned_is_there(committer: Committer, database: Database, notes: Table) -> None:
    answer = committer.write(adding(notes, "one"))

    assert answer == "one"
    assert names(database, notes) == {"one"}


def test_a_refusal_harms_no_neighbour_and_costs_no_second_transaction(database: Database, notes: Table) -> None:
    with started(database) as (committer, telemetry):
        first, refused, last = together(
            committer, adding(notes, "first"), refusing(notes, "refused"), adding(notes, "last")
        )

    assert isinstance(refused.exception(), Refused)
    assert (first.result(), last.result()) == ("first", "last")
    assert names(database, notes) == {"first", "last"}
    assert value(telemetry, "commits") == 2  # the one that held the committer, and the batch


def test_a_refusal_within_a_savepoint_of_its_own_harms_no_neighbour(database: Database, notes: Table) -> None:
    def refusing_inside(connection: Connection) -> None:
        connection.begin_nested()
        connection.execute(insert(notes).values(name="refused"))
        raise Refused

    with started(database) as (committer, _):
        first, refused, last = together(committer, adding(notes, "first"), refusing_inside, adding(notes, "last"))

    assert isinstance(refused.exception(), Refused)
    assert (first.result(), last.result()) == ("first", "last")
    assert names(database, notes) == {"first", "last"}


def test_a_refusal_that_is_alone_writes_nothing(committer: Committer, database: Database, notes: Table) -> None:
    with pytest.raises(Refused):
        committer.write(refusing(notes, "refused"))

    assert names(database, notes) == set()


def test_a_unique_name_taken_is_a_refusal_of_that_write_alone(database: Database, notes: Table) -> None:
    with started(database) as (committer, telemetry):
        winner, loser, other = together(committer, adding(notes, "a"), adding(notes, "b", "a"), adding(notes, "c"))

    assert isinstance(loser.exception(), IntegrityError)
    assert (winner.result(), other.result()) == ("a", "c")
    assert names(database, notes) == {"a", "c"}
    assert value(telemetry, "commits") == 2


def test_listeners_hear_what_was_committed_and_nothing_of_what_was_refused(database: Database, notes: Table) -> None:
    heard: list[tuple[frozenset[str], set[str]]] = []

    def telling(connection: Connection) -> None:
        connection.execute(insert(notes).values(name="kept"))
        announce(connection, "kept")

    with started(database) as (committer, _):
        committer.on_commit(lambda topics: heard.append((topics, names(database, notes))))

        together(committer, telling, refusing(notes, "refused"))

    assert heard[-1] == (frozenset({"kept"}), {"kept"})  # the row is there when the listener is told


def test_a_listener_that_raises_is_logged_and_the_next_write_runs(
    committer: Committer, database: Database, notes: Table
) -> None:
    def listener(_: frozenset[str]) -> None:
        raise Refused

    committer.on_commit(listener)

    committer.write(adding(notes, "one"))
    committer.write(adding(notes, "two"))

    assert names(database, notes) == {"one", "two"}


def test_after_an_unforeseen_error_every_write_runs_again_alone(database: Database, notes: Table) -> None:
    def broken(_: Connection) -> None:
        raise OperationalError("SELECT", None, Exception("nobody foresaw this"))

    with started(database) as (committer, _):
        first, failed, last = together(committer, adding(notes, "first"), broken, adding(notes, "last"))

    assert isinstance(failed.exception(), DatabaseUnavailable)
    assert (first.result(), last.result()) == ("first", "last")
    assert names(database, notes) == {"first", "last"}


def test_many_writers_share_commits(database: Database, notes: Table) -> None:
    with started(database) as (committer, telemetry), ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: committer.write(adding(notes, f"n{number}")), range(200)))

    assert len(names(database, notes)) == 200
    assert value(telemetry, "writes") == 200
    assert value(telemetry, "commits") < 150


def test_a_full_queue_says_so(database: Database, notes: Table) -> None:
    with started(database, waiting_writes=2, waiting_seconds=0.05) as (committer, _), held(committer):
        for name in ("one", "two"):
            committer.submit(adding(notes, name))

        with pytest.raises(WritesBusy, match="2 writes wait already"):
            committer.submit(adding(notes, "three"))


def test_a_write_that_finds_the_queue_full_waits_for_a_place(database: Database, notes: Table) -> None:
    with started(database, waiting_writes=1, waiting_seconds=10) as (committer, _), ThreadPoolExecutor(4) as threads:
        with held(committer):
            writes = [threads.submit(committer.write, adding(notes, name)) for name in ("one", "two", "three")]
            time.sleep(0.05)
            ended = [write.done() for write in writes]
        for write in writes:
            write.result(10)

    assert ended == [False, False, False]
    assert names(database, notes) == {"one", "two", "three"}


@pytest.mark.anyio
async def test_the_event_loop_goes_on_while_a_write_waits_for_a_place(database: Database, notes: Table) -> None:
    refused = []

    async def write(committer: Committer) -> None:
        try:
            await committer.commit(adding(notes, "three"))
        except WritesBusy as busy:
            refused.append(busy)

    with started(database, waiting_writes=1, waiting_seconds=0.2) as (committer, _), held(committer):
        committer.submit(adding(notes, "one"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, committer)
            with anyio.fail_after(0.1):
                await anyio.sleep(0.02)

    assert len(refused) == 1
    assert names(database, notes) == {"one"}


@pytest.mark.anyio
async def test_a_write_of_the_event_loop_is_answered(committer: Committer, database: Database, notes: Table) -> None:
    assert await committer.commit(adding(notes, "one")) == "one"
    with pytest.raises(Refused):
        await committer.commit(refusing(notes, "two"))

    assert names(database, notes) == {"one"}


def test_closing_runs_what_waits_and_refuses_what_comes(database: Database, notes: Table) -> None:
    with started(database) as (committer, _), held(committer):
        waiting = committer.submit(adding(notes, "waits"))

    committer.close()

    assert waiting.result(0) == "waits"
    with pytest.raises(WritesBusy, match="is ending"):
        committer.write(adding(notes, "late"))


def test_a_cancelled_write_does_not_run(committer: Committer, database: Database, notes: Table) -> None:
    with held(committer):
        cancelled = committer.submit(adding(notes, "cancelled"))
        cancelled.cancel()

    committer.write(adding(notes, "next"))

    assert names(database, notes) == {"next"}


@pytest.mark.parametrize(
    ("error", "meaning"), [("ENOSPC", DiskFull), ("EIO", DatabaseUnavailable)], ids=["full", "broken"]
)
def test_a_disk_that_fails_before_the_commit_is_told_and_nothing_is_written(
    error: str, meaning: type[Exception], committer: Committer, database: Database, notes: Table
) -> None:
    faults.arm(f"database.before_commit={error}")
    try:
        with pytest.raises(meaning) as told:
            committer.write(adding(notes, "one"))
    finally:
        faults.disarm()

    committer.write(adding(notes, "two"))

    assert isinstance(told.value.__cause__, OSError)
    assert told.value.__cause__.errno == getattr(errno, error)
    assert names(database, notes) == {"two"}


def test_statements_are_counted(database_url: str) -> None:
    telemetry = Telemetry()
    database = Database(database_url, Limits(), telemetry)

    database.read(lambda connection: connection.execute(text("SELECT 1")).scalar())
    database.close()

    count = telemetry.registry.get_sample_value("creamery_sql_statements_total", {"engine": "read"})
    assert count is not None
    assert count >= 1


class TestOnSQLite:
    """What only a file can do."""

    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[Database]:
        opened = Database(f"sqlite:///{tmp_path / 'creamery.sqlite3'}", Limits(lock_seconds=0.2), Telemetry())
        yield opened
        opened.close()

    def test_without_room_nothing_is_written_reading_goes_on_and_space_mends_it(
        self, committer: Committer, database: Database, notes: Table
    ) -> None:
        committer.write(adding(notes, "before"))
        pages = database.read(lambda connection: connection.execute(text("PRAGMA page_count")).scalar_one())
        limit_pages(database, pages)

        with pytest.raises(DiskFull, match="no room"):
            committer.write(adding(notes, *(f"{number:040}" for number in range(500))))
        while_full = names(database, notes)
        limit_pages(database, 100_000)
        committer.write(adding(notes, "after"))

        assert while_full == {"before"}
        assert names(database, notes) == {"before", "after"}

    def test_one_large_write_without_room_takes_no_small_one_along(self, database: Database, notes: Table) -> None:
        with started(database) as (committer, _):
            committer.write(adding(notes, "before"))
            pages = database.read(lambda connection: connection.execute(text("PRAGMA page_count")).scalar_one())
            limit_pages(database, pages + 1)

            small, large, last = together(
                committer,
                adding(notes, "small"),
                adding(notes, *(f"{number:040}" for number in range(2_000))),
                adding(notes, "last"),
            )

        assert isinstance(large.exception(), DiskFull)
        assert (small.result(), last.result()) == ("small", "last")
        assert names(database, notes) == {"before", "small", "last"}

    def test_another_process_that_holds_the_database_makes_writes_wait_and_then_say_so(
        self, committer: Committer, database: Database, notes: Table
    ) -> None:
        other = Database(f"sqlite:///{database.path}", Limits())
        with other.write.begin() as connection:
            connection.execute(insert(notes).values(name="theirs"))

            with pytest.raises(WritesBusy, match="another process"):
                committer.write(adding(notes, "ours"))
        committer.write(adding(notes, "later"))
        other.close()

        assert names(database, notes) == {"theirs", "later"}


def limit_pages(database: Database, pages: int) -> None:
    with database.write.connect() as connection:  # the pool has one; the committer is idle
        raw: Any = connection.connection.driver_connection
        raw.execute(f"PRAGMA max_page_count = {pages}")


@pytest.mark.installed
@pytest.mark.parametrize("database_kind", ["postgresql", "mariadb"], indirect=True)
class TestOnServers:
    """What only several writers can do, or a network."""

    def test_committers_take_turns_so_that_no_order_of_writes_is_a_deadlock(
        self, database: Database, database_url: str, notes: Table
    ) -> None:
        other = Database(database_url, Limits())

        with started(database) as (one, seen_by_one), started(other) as (two, seen_by_two):
            one.write(adding(notes, "left", "right"))
            futures = [
                committer.submit(counting(notes, *order))
                for _ in range(100)
                for committer, order in ((one, ("left", "right")), (two, ("right", "left")))
            ]
            for future in futures:
                future.result(20)
        other.close()

        assert numbers(database, notes) == {"left": 200, "right": 200}
        assert value(seen_by_one, "commit_retries") + value(seen_by_two, "commit_retries") == 0

    def test_a_deadlock_with_somebody_else_is_tried_anew(
        self, database: Database, database_url: str, notes: Table
    ) -> None:
        other = Database(database_url, Limits())
        with started(database) as (committer, telemetry):
            committer.write(adding(notes, "left", "right"))
            ended = 0
            while ended < 5 and not value(telemetry, "commit_retries"):
                with contextlib.suppress(OperationalError), other.write.begin() as theirs:
                    theirs.execute(
                        insert(notes), [{"name": str(number)} for number in range(50)]
                    )  # MariaDB spares the larger
                    counting(notes, "right")(theirs)
                    ours = committer.submit(counting(notes, "left", "right"))
                    eventually(lambda: somebody_waits(database))
                    counting(notes, "left")(theirs)
                ours.result(20)
                ended += (
                    1  # without a retry the other one gave way: on PostgreSQL whoever has waited for a second looks
                )
        other.close()

        expected = {"left": ended + 1, "right": ended + 1} | {str(number): 0 for number in range(50)}
        assert numbers(database, notes) == expected
        assert value(telemetry, "commit_retries") == 1

    def test_a_process_that_was_stopped_in_its_turn_does_not_keep_the_others_for_long(
        self, committer: Committer, database_url: str, database: Database, notes: Table
    ) -> None:
        stopped = Database(database_url, Limits(lock_seconds=2))
        with stopped.write.connect() as theirs:
            theirs.begin()
            lock_writers(theirs)

            committer.write(adding(notes, "ours"))

            theirs.invalidate()
        stopped.close()
        assert names(database, notes) == {"ours"}

    def test_a_connection_lost_before_the_commit_costs_nobody_a_write(
        self, committer: Committer, database: Database, notes: Table
    ) -> None:
        attempts = []

        def losing(connection: Connection) -> None:
            attempts.append(1)
            if len(attempts) == 1:
                end_connection(database, connection)
            connection.execute(insert(notes).values(name="one"))

        committer.write(losing)

        assert len(attempts) == 2
        assert names(database, notes) == {"one"}

    def test_a_connection_lost_during_the_commit_is_told_and_nothing_runs_twice(
        self, committer: Committer, database: Database, notes: Table
    ) -> None:
        attempts = []

        def counting(connection: Connection) -> None:
            attempts.append(1)
            connection.execute(insert(notes).values(name="one"))

        def lose_once(connection: Connection) -> None:
            if len(attempts) == 1:
                attempts.append(0)
                end_connection(database, connection)

        event.listen(database.write, "commit", lose_once)

        with pytest.raises(DatabaseUnavailable):
            committer.write(counting)
        committer.write(adding(notes, "next"))

        assert attempts == [1, 0]
        assert names(database, notes) == {"next"}


def somebody_waits(database: Database) -> bool:
    """Does a transaction of this server wait for a row that another one has locked?"""
    question = {
        "postgresql": "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted"
        " AND datname = current_database()",
        "mysql": "SELECT 1 FROM information_schema.innodb_trx JOIN information_schema.processlist"
        " ON id = trx_mysql_thread_id WHERE trx_state = 'LOCK WAIT' AND db = DATABASE()",
    }[database.dialect]
    return database.read(lambda connection: connection.execute(text(question)).first() is not None)


def end_connection(database: Database, connection: Connection) -> None:
    """The administrator ends a session, from another one."""
    own = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT CONNECTION_ID()"}[database.dialect]
    end = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}[database.dialect]
    number = connection.execute(text(own)).scalar_one()
    with database.patient() as engine, engine.connect() as other:
        other.execute(text(end.format(int(number))))
