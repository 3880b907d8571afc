"""What people do to jobs: let one that has ended badly wait again, take one that waits back.

    failed, canceled --retry--> new --cancel--> canceled

One use case a function, in the caller's transaction, with its entry in the journal. A row is locked before its state is
looked at: of a cancellation and a claim one wins, in whichever processes they are, and the other sees who did.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, exists, select, update
from sqlalchemy.exc import IntegrityError

from creamery.clock import Micros
from creamery.database import announce
from creamery.jobs.tables import JobRow, find_job, is_running, job
from creamery.journal import By, record_by

Endings = Literal["failed", "canceled"]
"""What can be retried. `done` is not among it: whoever wants its work again enqueues it."""

DOOR = "jobs"
AT_ONCE = 500
"""Jobs that one transaction changes at most: all other writers wait for it."""

_CANNOT_RETRY = {
    "new": "it waits already, and runs by itself",
    "running": "it runs, and has not failed",
    "done": "it is done, and has not failed",
}
_CANNOT_CANCEL = {
    "running": "it runs, and cannot be stopped: it ends by itself",
    "done": "it is done",
    "failed": "it has failed and does not come again",
}


class NoSuchJob(LookupError):
    """There is no job of that number, or no longer."""

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no job {number}; rows of finished jobs are kept for a while only")


class JobRefused(ValueError):
    """A job cannot be retried or cancelled as it is; the text says why."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What was done to all that match.

    Attributes:
        jobs: their numbers.
        more: there may be others: one transaction changes `AT_ONCE` at most.
    """

    jobs: tuple[int, ...]
    more: bool


def retry(connection: Connection, number: int, by: By) -> JobRow:
    """Let a job that has failed or was cancelled wait again; its attempts begin anew.

    Raises:
        NoSuchJob: there is none of that number.
        JobRefused: it has not failed, or another job of its key waits or runs.
    """
    found = _locked(connection, number)
    if found.state in _CANNOT_RETRY:
        raise JobRefused(f"job {number} cannot be retried: {_CANNOT_RETRY[found.state]}")
    if found.key is not None and is_running(connection, found.key):
        raise JobRefused(
            f"job {number} cannot be retried: one with its key {found.key!r} runs; wait until it has ended"
        )
    if not _begin_anew(connection, [number], by.now):
        reason = f"another job with the key {found.key!r} waits already, and does the same work"
        raise JobRefused(f"job {number} cannot be retried: {reason}")
    announce(connection, "jobs")
    _write_down(connection, "job retried", str(number), by, {"kind": found.kind, "was": found.state})
    return _locked(connection, number)


def cancel(connection: Connection, number: int, by: By) -> JobRow:
    """Take a waiting job back: it does not run. One that was cancelled before is left as it is.

    Raises:
        NoSuchJob: there is none of that number.
        JobRefused: it runs, and cannot be stopped, or it has ended.
    """
    found = _locked(connection, number)
    if found.state in _CANNOT_CANCEL:
        raise JobRefused(f"job {number} cannot be cancelled: {_CANNOT_CANCEL[found.state]}")
    if found.state == "canceled":
        return found
    _take_back(connection, [number], by.now)
    _write_down(connection, "job cancelled", str(number), by, {"kind": found.kind})
    return _locked(connection, number)


def retry_all(
    connection: Connection, by: By, *, state: Endings = "failed", kind: str | None = None, at_most: int = AT_ONCE
) -> Changed:
    """Let jobs wait again that ended in `state`, the newest first; of those with one key one, unless one waits or runs.

    Asked again while there are more, it comes to an end: what cannot wait for its key's sake is not looked at.
    """
    other = job.alias("other")
    in_the_way = exists().where(other.c.key == job.c.key, other.c.state.in_(("new", "running")))
    question = (
        select(job.c.id, job.c.key)
        .where(job.c.state == state, ~in_the_way)
        .order_by(job.c.id.desc())
        .limit(at_most)
        .with_for_update()
    )
    rows = connection.execute(question if kind is None else question.where(job.c.kind == kind)).all()
    newest = {("id", row.id) if row.key is None else ("key", row.key): row.id for row in reversed(rows)}
    numbers: Sequence[int] = sorted(newest.values())
    if not _begin_anew(connection, numbers, by.now):  # another transaction has just enqueued one of the keys
        numbers = [number for number in numbers if _begin_anew(connection, [number], by.now)]
    if numbers:
        announce(connection, "jobs")
        _write_down(connection, "jobs retried", kind or "all", by, {"was": state, "jobs": numbers})
    return Changed(tuple(numbers), more=len(rows) == at_most)


def cancel_all(connection: Connection, by: By, *, kind: str | None = None, at_most: int = AT_ONCE) -> Changed:
    """Take waiting jobs back, those that are due first."""
    question = select(job.c.id).where(job.c.state == "new").order_by(job.c.run_at, job.c.id).limit(at_most)
    chosen = question if kind is None else question.where(job.c.kind == kind)
    numbers = sorted(connection.execute(chosen.with_for_update()).scalars())
    _take_back(connection, numbers, by.now)
    if numbers:
        _write_down(connection, "jobs cancelled", kind or "all", by, {"jobs": numbers})
    return Changed(tuple(numbers), more=len(numbers) == at_most)


def _locked(connection: Connection, number: int) -> JobRow:
    found = find_job(connection, number, lock=True)
    if found is None:
        raise NoSuchJob(number)
    return found


def _begin_anew(connection: Connection, numbers: Collection[int], now: Micros) -> bool:
    """All of them wait again; or none, because a job of one's key waits already."""
    fresh = {"state": "new", "run_at": now, "attempts": 0, "started": None, "finished": None}
    savepoint = connection.begin_nested()
    try:
        connection.execute(update(job).where(job.c.id.in_(numbers)).values(waiting_key=job.c.key, **fresh))
        savepoint.commit()
    except IntegrityError:
        savepoint.rollback()
        return False
    return True


def _take_back(connection: Connection, numbers: Collection[int], now: Micros) -> None:
    """With its key: from now on another one may wait."""
    taken = {"state": "canceled", "waiting_key": None, "finished": now}
    connection.execute(update(job).where(job.c.id.in_(numbers)).values(taken))


def _write_down(connection: Connection, action: str, subject: str, by: By, detail: dict[str, Any]) -> None:
    record_by(connection, DOOR, action, subject, by, detail)
