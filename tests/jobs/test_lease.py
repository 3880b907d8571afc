"""The steps of a job's life, one transaction each."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, select

from creamery.clock import SECOND, Micros
from creamery.database import Committer, Database
from creamery.jobs import Job, enqueue, lease
from creamery.jobs.tables import job

NOW = Micros(1_800_000_000 * SECOND)
LATER = Micros(NOW + 60 * SECOND)


@pytest.fixture
def mine(committer: Committer) -> Job:
    """A job that `me` has claimed."""

    def begin(connection: Connection) -> Job | None:
        enqueue(connection, "note", {"a": 1}, now=NOW, key="k")
        return lease.claim(connection, "me", ["note"], NOW, LATER)

    claimed = committer.write(begin)
    assert claimed is not None
    return claimed


def row(committer: Committer) -> Any:
    return committer.write(lambda connection: connection.execute(select(job)).one())


def test_the_job_that_is_due_for_longest_is_claimed_first(committer: Committer) -> None:
    moments = [Micros(NOW + span) for span in (3, 1, 2)]
    committer.write(lambda c: [enqueue(c, "note", {"at": moment}, now=NOW, run_at=moment) for moment in moments])

    claimed = [committer.write(lambda c: lease.claim(c, "me", ["note"], LATER, LATER)) for _ in range(4)]

    assert [one.payload["at"] - NOW if one else None for one in claimed] == [1, 2, 3, None]


def test_only_the_holder_of_the_lease_writes_a_result_down(committer: Committer, mine: Job) -> None:
    def by(owner: str, held: Job) -> list[bool]:
        return [
            committer.write(lambda c: lease.finish(c, owner, held, NOW)),
            committer.write(lambda c: lease.fail(c, owner, held, NOW, "no", LATER)),
            committer.write(lambda c: lease.postpone(c, owner, held, NOW, LATER)),
        ]

    another_attempt = Job(mine.id, mine.kind, mine.payload, attempt=2)

    assert by("somebody else", mine) + by("me", another_attempt) == [False] * 6
    assert row(committer).state == "running"
    assert committer.write(lambda c: lease.finish(c, "me", mine, NOW))
    assert row(committer).state == "done"


def test_a_renewed_lease_is_not_recovered_and_one_that_ran_out_is(committer: Committer, mine: Job) -> None:
    after = Micros(LATER + 1)
    span = Micros(60 * SECOND)

    committer.write(lambda c: lease.renew(c, "me", [mine.id], Micros(after + 1)))
    while_held = committer.write(lambda c: lease.recover(c, [], after, span, 5))
    recovered = committer.write(lambda c: lease.recover(c, [], Micros(after + 1), span, 5))

    assert (while_held, recovered) == (0, 1)
    assert (row(committer).state, row(committer).waiting_key, row(committer).attempts) == ("new", "k", 1)


def test_a_lease_from_before_the_clock_jumped_back_holds_nobody_up(committer: Committer, mine: Job) -> None:
    a_day_earlier = Micros(NOW - 86_400 * SECOND)

    recovered = committer.write(lambda c: lease.recover(c, [], a_day_earlier, Micros(60 * SECOND), 5))

    assert recovered == 1


@pytest.mark.installed
@pytest.mark.parametrize("database_kind", ["postgresql", "mariadb"], indirect=True)
def test_a_waiting_job_cannot_begin_before_a_transaction_ends_that_relies_on_it(
    committer: Committer, database: Database
) -> None:
    """Else it could miss what that transaction writes, and nobody would enqueue another one."""
    committer.write(lambda c: enqueue(c, "note", {}, now=NOW, key="k"))

    with database.patient() as engine, engine.begin() as relying:
        relied_on = enqueue(relying, "note", {}, now=NOW, key="k")
        meanwhile = committer.write(lambda c: lease.claim(c, "me", ["note"], NOW, LATER))
    afterwards = committer.write(lambda c: lease.claim(c, "me", ["note"], NOW, LATER))

    assert relied_on is None
    assert meanwhile is None
    assert afterwards is not None


@pytest.mark.parametrize("text", ["\x00", "\udcff", "x" * 100_000, "\U0001f9c0"], ids=["nul", "half", "long", "cheese"])
def test_any_text_of_an_exception_finds_its_place(committer: Committer, mine: Job, text: str) -> None:
    assert committer.write(lambda c: lease.fail(c, "me", mine, NOW, text, None))

    assert row(committer).error
    assert row(committer).state == "failed"


def test_a_key_of_any_length_finds_its_place(committer: Committer) -> None:
    numbers = [committer.write(lambda c: enqueue(c, "note", {}, now=NOW, key="k" * 5_000)) for _ in range(2)]

    assert numbers[0] is not None
    assert numbers[1] is None


def test_pauses_grow_up_to_an_hour() -> None:
    assert [lease.pause_after(attempt, 2.0) / SECOND for attempt in (1, 2, 3, 10, 1_000)] == [2, 8, 32, 3_600, 3_600]
