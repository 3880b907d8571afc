"""Which changes a process hears of: others', not its own, and what looking costs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Connection

from creamery.clock import SystemClock
from creamery.database import Committer, Database, Generations, bump
from creamery.limits import Limits
from creamery.telemetry import Telemetry


@dataclass
class Process:
    """What one process has of a database that several share."""

    database: Database
    generations: Generations
    committer: Committer
    telemetry: Telemetry
    heard: list[str] = field(default_factory=list)

    def change(self) -> int:
        return self.committer.write(lambda connection: bump(connection, "index"))

    def statements(self) -> float:
        found = (
            self.telemetry.registry.get_sample_value("creamery_sql_statements_total", {"engine": engine})
            for engine in ("read", "write")
        )
        return sum(number or 0 for number in found)


@contextlib.contextmanager
def process(url: str) -> Iterator[Process]:
    telemetry = Telemetry()
    database = Database(url, Limits(), telemetry)
    generations = Generations(database)
    committer = Committer(database, generations, Limits(), SystemClock(), telemetry)
    made = Process(database, generations, committer, telemetry)
    generations.on_change("index", lambda: made.heard.append("index"))
    generations.on_change("rights", lambda: made.heard.append("rights"))
    committer.start()
    generations.look()
    yield made
    committer.close()
    generations.close()
    database.close()


def test_a_process_hears_of_others_changes_and_of_that_topic_only(database_url: str) -> None:
    with process(database_url) as ours, process(database_url) as theirs:
        theirs.change()

        ours.generations.look()
        ours.generations.look()

        assert ours.heard == ["index"]


def test_a_process_draws_the_consequences_of_its_own_changes_itself(database_url: str) -> None:
    with process(database_url) as ours, process(database_url):
        ours.change()
        ours.change()

        ours.generations.look()

        assert ours.heard == []


def test_a_foreign_change_between_two_of_its_own_is_not_overlooked(database_url: str) -> None:
    with process(database_url) as ours, process(database_url) as theirs:
        ours.change()
        theirs.change()
        ours.change()

        ours.generations.look()

        assert ours.heard == ["index"]


def test_what_was_refused_moves_nothing(database_url: str) -> None:
    def refusing(connection: Connection) -> None:
        bump(connection, "index")
        raise LookupError

    with process(database_url) as ours, process(database_url) as theirs:
        theirs.change()
        ours.generations.look()
        ours.heard.clear()

        with pytest.raises(LookupError):
            theirs.committer.write(refusing)
        ours.generations.look()

        assert ours.heard == []


def test_the_numbers_have_no_gaps(database_url: str) -> None:
    with process(database_url) as ours, process(database_url) as theirs:
        numbers = [ours.change(), theirs.change(), ours.change()]

    assert numbers == [1, 2, 3]


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_on_sqlite_seeing_that_nothing_moved_costs_no_statement(database_url: str) -> None:
    with process(database_url) as ours, process(database_url) as theirs:
        before = ours.statements()

        still = [ours.generations.moved() for _ in range(100)]
        cost = ours.statements() - before
        theirs.change()

        assert not any(still)
        assert cost == 0
        assert ours.generations.moved()
        ours.generations.look()
        assert not ours.generations.moved()


@pytest.mark.installed
@pytest.mark.parametrize("database_kind", ["postgresql", "mariadb"], indirect=True)
def test_a_server_is_looked_at_every_time(database_url: str) -> None:
    with process(database_url) as ours:
        assert ours.generations.moved()
        assert ours.generations.moved()


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_change_is_seen_when_whoever_wants_to_hear_of_it_has_heard(database_url: str) -> None:
    with process(database_url) as ours, process(database_url) as theirs:
        meanwhile: list[bool] = []
        ours.generations.on_change("index", lambda: meanwhile.append(ours.generations.moved()))
        theirs.change()

        ours.generations.look()

        assert meanwhile == [True]
        assert not ours.generations.moved()


def test_a_change_that_could_not_be_told_is_told_at_the_next_look(database_url: str) -> None:
    def fail_once() -> None:
        if not failed:
            failed.append(True)
            raise OSError

    failed: list[bool] = []
    with process(database_url) as ours, process(database_url) as theirs:
        ours.generations.on_change("index", fail_once)
        theirs.change()

        with pytest.raises(OSError):  # noqa: PT011 - the one raised above
            ours.generations.look()
        assert ours.generations.moved()
        ours.generations.look()

        assert ours.heard == ["index", "index"]
