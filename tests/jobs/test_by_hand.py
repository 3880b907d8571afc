"""What people do to jobs, on every database; and its races with engines that claim."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from creamery.clock import SECOND, Micros, SystemClock
from creamery.database import Committer, Database, Generations
from creamery.jobs import (
    Endings,
    Job,
    JobRefused,
    JobRow,
    NoSuchJob,
    Schedule,
    cancel,
    cancel_all,
    enqueue,
    find_job,
    jobs,
    lease,
    retry,
    retry_all,
    schedules,
)
from creamery.jobs.tables import job
from creamery.journal import By, latest
from creamery.limits import Limits
from creamery.telemetry import Telemetry

NOW = Micros(1_800_000_000 * SECOND)
LATER = Micros(NOW + 60 * SECOND)
BY = By(LATER, "root", "192.0.2.1")
RACES = 12


@pytest.fixture
def another_process(database_url: str) -> Iterator[Committer]:
    """The writer of another process on the same database."""
    database = Database(database_url, Limits())
    started = Committer(database, Generations(database), Limits(), SystemClock(), Telemetry())
    started.start()
    yield started
    started.close()
    database.close()


def waiting(committer: Committer, kind: str = "note", key: str | None = None) -> int:
    number = committer.write(lambda c: enqueue(c, kind, {"a": 1}, now=NOW, key=key))
    assert number is not None
    return number


def ended(committer: Committer, state: str = "failed", kind: str = "note", key: str | None = None) -> int:
    number = waiting(committer, kind, key)
    values = {"state": state, "waiting_key": None, "attempts": 5, "started": NOW, "finished": NOW, "error": "no"}
    committer.write(lambda c: c.execute(update(job).where(job.c.id == number).values(values)))
    return number


def claim(connection: Connection) -> Job | None:
    return lease.claim(connection, "me", ["note"], LATER, Micros(LATER + 60 * SECOND))


def seen(committer: Committer, number: int) -> JobRow:
    found = committer.write(lambda c: find_job(c, number))
    assert found is not None
    return found


def waiting_key(committer: Committer, number: int) -> Any:
    return committer.write(lambda c: c.execute(select(job.c.waiting_key).where(job.c.id == number)).scalar_one())


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each of them returned or raised."""
    start = threading.Barrier(len(acts))
    results: list[Any] = [None] * len(acts)

    def run(place: int) -> None:
        start.wait()
        try:
            results[place] = acts[place]()
        except JobRefused as refused:
            results[place] = refused

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("state", ["failed", "canceled"])
def test_a_retried_job_waits_as_if_it_had_never_begun(committer: Committer, state: str) -> None:
    number = ended(committer, state, key="k")

    retried = committer.write(lambda c: retry(c, number, BY))

    assert (retried.state, retried.attempts, retried.run_at, retried.finished) == ("new", 0, LATER, None)
    assert retried.error == "no", "what it failed of is known until it ends anew"
    assert waiting_key(committer, number) == "k"
    claimed = committer.write(claim)
    assert claimed is not None
    assert (claimed.id, claimed.attempt) == (number, 1)


def test_of_one_key_no_second_one_waits_by_a_retry(committer: Committer) -> None:
    failed, twin = ended(committer, key="k"), waiting(committer, key="k")

    with pytest.raises(JobRefused, match=f"job {failed} cannot be retried: another job with the key 'k' waits already"):
        committer.write(lambda c: retry(c, failed, BY))

    assert [seen(committer, number).state for number in (failed, twin)] == ["failed", "new"]


def test_a_cancelled_job_is_claimed_by_nobody_and_leaves_its_key_to_another(committer: Committer) -> None:
    number = waiting(committer, key="k")

    cancelled = committer.write(lambda c: cancel(c, number, BY))

    assert (cancelled.state, cancelled.finished) == ("canceled", LATER)
    assert committer.write(claim) is None
    assert waiting(committer, key="k") > number


@pytest.mark.parametrize(
    ("change", "state", "says"),
    [
        (retry, "new", "it waits already, and runs by itself"),
        (retry, "running", "it runs, and has not failed"),
        (retry, "done", "it is done, and has not failed"),
        (cancel, "running", "it runs, and cannot be stopped: it ends by itself"),
        (cancel, "done", "it is done"),
        (cancel, "failed", "it has failed and does not come again"),
    ],
)
def test_what_a_job_is_not_ready_for_is_refused_and_says_why(
    committer: Committer, change: Callable[..., JobRow], state: str, says: str
) -> None:
    number = ended(committer, state)

    with pytest.raises(JobRefused, match=f"job {number} cannot be .*: {says}$"):
        committer.write(lambda c: change(c, number, BY))

    assert seen(committer, number).state == state
    assert committer.write(lambda c: latest(c, 10)) == []


@pytest.mark.parametrize("change", [retry, cancel])
def test_a_job_that_is_not_there_is_told_so(committer: Committer, change: Callable[..., JobRow]) -> None:
    with pytest.raises(NoSuchJob, match="there is no job 999999"):
        committer.write(lambda c: change(c, 999_999, BY))


def test_who_cancels_again_learns_that_it_is_cancelled_and_the_journal_says_it_once(committer: Committer) -> None:
    number = waiting(committer)

    twice = [committer.write(lambda c: cancel(c, number, BY)) for _ in range(2)]
    committer.write(lambda c: retry(c, number, BY))

    assert twice[0] == twice[1]
    assert [
        (entry.door, entry.action, entry.subject, entry.actor, entry.origin, dict(entry.detail))
        for entry in committer.write(lambda c: latest(c, 10))
    ] == [
        ("jobs", "job cancelled", str(number), "root", "192.0.2.1", {"kind": "note"}),
        ("jobs", "job retried", str(number), "root", "192.0.2.1", {"kind": "note", "was": "canceled"}),
    ]


def test_of_many_failed_jobs_the_newest_of_each_key_waits_again(committer: Committer) -> None:
    keyless = [ended(committer) for _ in range(2)]
    same_key = [ended(committer, key="k") for _ in range(3)]
    taken = ended(committer, key="taken")
    waiting(committer, key="taken")
    other_kind, cancelled = ended(committer, kind="other"), ended(committer, "canceled")

    changed = committer.write(lambda c: retry_all(c, BY, kind="note"))

    assert changed.jobs == (*keyless, same_key[-1])
    assert not changed.more
    for number in (*same_key[:-1], taken, other_kind):
        assert seen(committer, number).state == "failed"
    assert committer.write(lambda c: retry_all(c, BY, state="canceled")).jobs == (cancelled,)
    assert committer.write(lambda c: latest(c, 10))[0].detail == {"was": "failed", "jobs": list(changed.jobs)}


@pytest.mark.parametrize("ending", ["failed", "canceled"])
def test_asked_again_while_there_are_more_all_that_can_wait_do(committer: Committer, ending: Endings) -> None:
    for _ in range(5):
        ended(committer, ending, key="k")
    numbers = [ended(committer, ending, key=f"{number}") for number in range(5)]

    found = [committer.write(lambda c: retry_all(c, BY, state=ending, at_most=2)) for _ in range(4)]

    assert [len(changed.jobs) for changed in found] == [2, 2, 2, 0]
    assert [changed.more for changed in found] == [True, True, True, False]
    assert all(seen(committer, number).state == "new" for number in numbers)


def test_all_that_wait_are_cancelled_in_steps_and_what_runs_is_not(committer: Committer) -> None:
    running, done = ended(committer, "running"), ended(committer, "done")
    numbers = [waiting(committer, key=f"{number}") for number in range(3)]
    other = waiting(committer, kind="other")

    found = [committer.write(lambda c: cancel_all(c, BY, kind="note", at_most=2)) for _ in range(2)]

    assert [changed.jobs for changed in found] == [tuple(numbers[:2]), (numbers[2],)]
    assert [changed.more for changed in found] == [True, False]
    assert [seen(committer, number).state for number in (running, done, other)] == ["running", "done", "new"]
    assert committer.write(lambda c: cancel_all(c, BY)).jobs == (other,)


def test_the_newest_jobs_are_listed_first_by_state_and_kind_and_in_pieces(committer: Committer) -> None:
    notes = [waiting(committer) for _ in range(3)]
    failed, other = ended(committer), waiting(committer, kind="other")

    def listed(**asked: Any) -> list[int]:
        return [row.id for row in committer.write(lambda c: jobs(c, **{"limit": 10, **asked}))]

    assert listed() == [other, failed, *reversed(notes)]
    assert listed(state="failed") == [failed]
    assert listed(state="new", kind="note") == list(reversed(notes))
    assert listed(limit=2) == [other, failed]
    assert listed(limit=2, before=failed) == [notes[2], notes[1]]
    assert listed(kind="nothing") == []


def test_the_next_job_of_a_schedule_comes_though_one_was_cancelled(committer: Committer) -> None:
    sweep = Schedule("sweep", every=60, kind="note")
    for moment in (NOW, LATER):
        committer.write(lambda c, now=moment: schedules.advance(c, sweep, now))  # type: ignore[misc]
    first = committer.write(lambda c: cancel_all(c, BY)).jobs

    assert len(first) == 1
    assert committer.write(lambda c: schedules.advance(c, sweep, Micros(LATER + 60 * SECOND)))
    assert len(committer.write(lambda c: jobs(c, state="new", limit=10))) == 1


def test_of_a_cancellation_and_a_claim_in_two_processes_exactly_one_wins(
    committer: Committer, another_process: Committer
) -> None:
    for _ in range(RACES):
        number = waiting(committer)

        cancelled, claimed = at_once(
            lambda number=number: committer.write(lambda c: cancel(c, number, BY)),  # type: ignore[misc]
            lambda: another_process.write(claim),
        )

        state = seen(committer, number).state
        assert state == ("running" if claimed is not None else "canceled")
        assert isinstance(cancelled, JobRefused) == (claimed is not None)


def test_of_two_retries_at_once_one_succeeds(committer: Committer, another_process: Committer) -> None:
    for _ in range(RACES):
        number = ended(committer, key="k")

        results = at_once(
            *(
                lambda by=by, number=number: by.write(lambda c: retry(c, number, BY))
                for by in (committer, another_process)
            )
        )

        assert sorted(isinstance(result, JobRefused) for result in results) == [False, True]
        committer.write(lambda c: cancel_all(c, BY))


def test_a_retry_and_one_that_is_enqueued_at_once_leave_one_waiting(
    committer: Committer, another_process: Committer
) -> None:
    for _ in range(RACES):
        number = ended(committer, key="k")

        retried, enqueued = at_once(
            lambda number=number: committer.write(lambda c: retry(c, number, BY)),  # type: ignore[misc]
            lambda: another_process.write(lambda c: enqueue(c, "note", {}, now=NOW, key="k")),
        )

        assert isinstance(retried, JobRefused) == (enqueued is not None)
        assert len(committer.write(lambda c: cancel_all(c, BY)).jobs) == 1


@pytest.mark.installed
@pytest.mark.parametrize("database_kind", ["postgresql", "mariadb"], indirect=True)
def test_where_writers_take_no_turns_a_cancellation_waits_for_a_claim_and_sees_it(
    committer: Committer, database: Database
) -> None:
    """The row's own lock decides, not only that committers queue for the generation row."""
    number = waiting(committer)

    with database.patient() as engine, engine.begin() as claiming:
        claimed = claim(claiming)
        future = committer.submit(lambda c: cancel(c, number, BY))
        with pytest.raises(TimeoutError):
            future.result(0.2)
    with pytest.raises(JobRefused, match="it runs"):
        future.result(10)

    assert claimed is not None


@pytest.mark.installed
@pytest.mark.parametrize("database_kind", ["postgresql", "mariadb"], indirect=True)
def test_a_key_that_is_enqueued_meanwhile_keeps_none_of_the_others_from_waiting_again(
    committer: Committer, database: Database
) -> None:
    """Who retries all has not seen it, and the database refuses the two together."""
    same, other = ended(committer, key="k"), ended(committer, key="other")

    with database.patient() as engine, engine.begin() as enqueuing:
        enqueue(enqueuing, "note", {}, now=NOW, key="k")
        future = committer.submit(lambda c: retry_all(c, BY))
        with pytest.raises(TimeoutError):
            future.result(0.2)

    assert future.result(10).jobs == (other,)
    assert seen(committer, same).state == "failed"


def test_a_job_is_not_retried_beside_one_of_its_key_that_runs(committer: Committer) -> None:
    number = ended(committer, key="k")
    running = waiting(committer, key="k")
    committer.write(claim)

    with pytest.raises(JobRefused, match="one with its key 'k' runs"):
        committer.write(lambda c: retry(c, number, BY))
    assert committer.write(lambda c: retry_all(c, BY)).jobs == ()

    committer.write(lambda c: c.execute(update(job).where(job.c.id == running).values(state="done")))
    assert committer.write(lambda c: retry_all(c, BY)).jobs == (number,)
