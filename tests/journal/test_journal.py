"""What happened, in order, whoever writes and whenever one reads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection

from creamery.clock import Micros, SystemClock
from creamery.database import Committer, Database, Generations
from creamery.journal import Entry, record, since
from creamery.limits import Limits
from creamery.telemetry import Telemetry

NOW = Micros(1_800_000_000_000_000)


def test_an_entry_says_who_did_what_to_what_and_when(committer: Committer, database: Database) -> None:
    serial = committer.write(
        lambda c: record(c, "index", "cached", "numpy", now=NOW, actor="me", origin="::1", detail={"of": "Ünïcode 🧀"})
    )

    found = database.read(lambda connection: since(connection, 0, 10))

    assert serial == 1
    assert found == [Entry(1, NOW, "index", "cached", "numpy", "me", "::1", {"of": "Ünïcode 🧀"})]


def test_the_hub_itself_is_the_actor_where_nobody_is_named(committer: Committer, database: Database) -> None:
    committer.write(lambda c: record(c, "index", "swept", "x", now=NOW))

    found = database.read(lambda connection: since(connection, 0, 10))

    assert (found[0].actor, found[0].origin, found[0].detail) == ("hub", "", {})


def test_reading_goes_on_where_it_stopped(committer: Committer, database: Database) -> None:
    committer.write(lambda c: [record(c, "index", "cached", str(number), now=NOW) for number in range(7)])

    def pages(connection: Connection) -> list[list[str]]:
        return [[entry.subject for entry in since(connection, after, 3)] for after in (0, 3, 6, 7)]

    assert database.read(pages) == [["0", "1", "2"], ["3", "4", "5"], ["6"], []]


def test_what_was_refused_is_not_in_it_and_leaves_no_gap(committer: Committer, database: Database) -> None:
    def refused(connection: Connection) -> None:
        record(connection, "index", "cached", "refused", now=NOW)
        raise LookupError

    committer.write(lambda c: record(c, "index", "cached", "first", now=NOW))
    with pytest.raises(LookupError):
        committer.write(refused)
    committer.write(lambda c: record(c, "index", "cached", "second", now=NOW))

    found = database.read(lambda connection: [(e.serial, e.subject) for e in since(connection, 0, 10)])

    assert found == [(1, "first"), (2, "second")]


def test_no_reader_sees_a_serial_before_the_one_below_it(database_url: str) -> None:
    """Two processes write, a third reads all the while: what it sees has never a gap."""
    databases = [Database(database_url, Limits()) for _ in range(3)]
    committers = [Committer(one, Generations(one), Limits(), SystemClock(), Telemetry()) for one in databases[:2]]
    for committer in committers:
        committer.start()
    ended = threading.Event()
    seen: list[list[int]] = []

    def read() -> None:
        while not ended.is_set():
            seen.append(databases[2].read(lambda c: [entry.serial for entry in since(c, 0, 1_000)]))

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(8) as threads:
        serials = list(
            threads.map(
                lambda turn: committers[turn % 2].write(lambda c: record(c, "index", "cached", str(turn), now=NOW)),
                range(120),
            )
        )
    ended.set()
    reader.join()
    for committer in committers:
        committer.close()
    for database in databases:
        database.close()

    assert sorted(serials) == list(range(1, 121))
    assert all(found == list(range(1, len(found) + 1)) for found in seen)
    assert len(seen) > 2
