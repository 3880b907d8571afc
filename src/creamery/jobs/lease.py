"""Who runs a job, and until when. Each function is one step of a job's life, in the caller's transaction.

    new --claim--> running --finish--> done
     ^                |------fail----> failed, when its attempts are used up
     |<--fail, postpone, recover (its lease ran out)

What people do to a job, retry and cancel, is in `by_hand.py`.

A lease is owner and time: `finish` and its like change the row only while the caller still holds it. Should somebody
else have taken the job over, they return False and change nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import orjson
from sqlalchemy import ColumnElement, Connection, and_, or_, select, update
from sqlalchemy.exc import IntegrityError

from creamery.clock import SECOND, Micros
from creamery.jobs.job import Job
from creamery.jobs.tables import job

ERROR_LENGTH = 4_000
CANDIDATES = 3
LONGEST_PAUSE = 3_600 * SECOND


def claim(connection: Connection, owner: str, kinds: Sequence[str], now: Micros, until: Micros) -> Job | None:
    """Take the job that is due for longest; None where there is none for these kinds.

    The row found is locked, or passed over if another process has locked it (SQLite: there is one writer). Where a
    database cannot pass over, the UPDATE's own condition decides who wins, and the loser tries the next.
    """
    due = (
        select(job.c.id, job.c.kind, job.c.payload, job.c.attempts)
        .where(job.c.state == "new", job.c.run_at <= now, job.c.kind.in_(kinds))
        .order_by(job.c.run_at, job.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    for _ in range(CANDIDATES):
        row = connection.execute(due).first()
        if row is None:
            return None
        taken = connection.execute(
            update(job)
            .where(job.c.id == row.id, job.c.state == "new")
            .values(
                state="running",
                waiting_key=None,
                attempts=row.attempts + 1,
                lease_owner=owner,
                lease_until=until,
                started=now,
            )
        )
        if taken.rowcount == 1:
            return Job(row.id, row.kind, orjson.loads(row.payload), row.attempts + 1)
    return None


def renew(connection: Connection, owner: str, ids: Collection[int], until: Micros) -> None:
    """Hold on to running jobs."""
    held = and_(job.c.id.in_(ids), job.c.state == "running", job.c.lease_owner == owner)
    connection.execute(update(job).where(held).values(lease_until=until))


def finish(connection: Connection, owner: str, mine: Job, now: Micros) -> bool:
    """It is done."""
    done = {"state": "done", "finished": now, "error": None, "lease_owner": None, "lease_until": None}
    return connection.execute(update(job).where(_is_held(owner, mine)).values(done)).rowcount == 1


def fail(connection: Connection, owner: str, mine: Job, now: Micros, error: str, again_at: Micros | None) -> bool:
    """It raised: it comes again, or has failed for good where `again_at` is None."""
    row = connection.execute(select(job.c.key).where(_is_held(owner, mine)).with_for_update()).first()
    if row is None:
        return False
    if again_at is None:
        _end_as_failed(connection, mine.id, now, error)
    else:
        _let_wait(connection, mine.id, row.key, now, again_at, mine.attempt, error)
    return True


def postpone(connection: Connection, owner: str, mine: Job, now: Micros, again_at: Micros) -> bool:
    """It asked to come later; the attempt does not count."""
    row = connection.execute(select(job.c.key).where(_is_held(owner, mine)).with_for_update()).first()
    if row is None:
        return False
    _let_wait(connection, mine.id, row.key, now, again_at, mine.attempt - 1, None)
    return True


def release(connection: Connection, owner: str, ids: Collection[int], now: Micros) -> None:
    """Leave running jobs to whoever comes first; being cut short is not their fault, so the attempt does not count."""
    held = and_(job.c.id.in_(ids), job.c.state == "running", job.c.lease_owner == owner)
    connection.execute(update(job).where(held).values(lease_until=now, attempts=job.c.attempts - 1))


def is_late(connection: Connection, mine: Collection[int], now: Micros, lease: Micros) -> bool:
    """Is there anything to `recover`? Two looks into the index."""
    for question in (_expired(mine, now, lease), _from_the_future(now, lease)):
        if connection.execute(select(job.c.id).where(question).limit(1)).first() is not None:
            return True
    return False


def recover(connection: Connection, mine: Collection[int], now: Micros, lease: Micros, attempts: int) -> int:
    """Let jobs wait again whose process has fallen silent, or whose time lies where the clock jumped back from.

    Args:
        connection: the caller's.
        mine: jobs that run in this process, whatever their lease says: a clock that jumps must not run them twice.
        now: the time.
        lease: how long a lease lasts; an end further away than two of them was written before the clock jumped back.
        attempts: a job that has brought down its process so often fails for good.

    Returns:
        How many jobs wait again.
    """
    expired = select(job.c.id, job.c.key, job.c.attempts).where(_expired(mine, now, lease))
    recovered = 0
    for row in connection.execute(expired.with_for_update(skip_locked=True)).all():
        if row.attempts >= attempts:
            _end_as_failed(connection, row.id, now, f"its process ended or fell silent at attempt {row.attempts}")
        elif _let_wait(connection, row.id, row.key, now, now, row.attempts, "its process ended or fell silent"):
            recovered += 1
    moved = connection.execute(update(job).where(_from_the_future(now, lease)).values(run_at=now, created=now))
    return recovered + moved.rowcount


def restart(connection: Connection, now: Micros) -> int:
    """In a restored database: what ran when the backup was made waits again. Returns how many jobs.

    Being cut short is not their fault, so the attempt does not count.
    """
    running = select(job.c.id, job.c.key, job.c.attempts).where(job.c.state == "running")
    rows = connection.execute(running).all()
    for row in rows:
        _let_wait(connection, row.id, row.key, now, now, row.attempts - 1, None)
    return len(rows)


def pause_after(attempt: int, first_seconds: float) -> int:
    """Microseconds from a failed attempt to the next: four times as long each time, an hour at most."""
    return int(min(first_seconds * SECOND * 4.0 ** min(attempt - 1, 30), LONGEST_PAUSE))


def _let_wait(
    connection: Connection, number: int, key: str | None, now: Micros, run_at: Micros, attempts: int, error: str | None
) -> bool:
    """Back to `new`, unless a job of the same key waits already: that one does the same work."""
    waits = {
        "state": "new",
        "waiting_key": key,
        "run_at": run_at,
        "attempts": attempts,
        "lease_owner": None,
        "lease_until": None,
        "error": _cut(error),
    }
    savepoint = connection.begin_nested()
    try:
        connection.execute(update(job).where(job.c.id == number).values(waits))
        savepoint.commit()
    except IntegrityError:
        savepoint.rollback()
        _end_as_failed(connection, number, now, f"{error or 'postponed'}; another job of the same key waits already")
        return False
    return True


def _end_as_failed(connection: Connection, number: int, now: Micros, error: str) -> None:
    ended = {"state": "failed", "finished": now, "error": _cut(error), "lease_owner": None, "lease_until": None}
    connection.execute(update(job).where(job.c.id == number).values(ended))


def _is_held(owner: str, mine: Job) -> ColumnElement[bool]:
    return and_(
        job.c.id == mine.id,
        job.c.state == "running",
        job.c.lease_owner == owner,
        job.c.attempts == mine.attempt,
    )


def _expired(mine: Collection[int], now: Micros, lease: Micros) -> ColumnElement[bool]:
    over = or_(job.c.lease_until <= now, job.c.lease_until > now + 2 * lease)
    return and_(job.c.state == "running", over, job.c.id.not_in(mine))


def _from_the_future(now: Micros, lease: Micros) -> ColumnElement[bool]:
    """`run_at` is asked first because the index has it; `created` tells a jump of the clock from a job for later."""
    return and_(job.c.state == "new", job.c.run_at > now, job.c.created > now + lease)


def _cut(error: str | None) -> str | None:
    """An exception's text may be of any length, hold half a character, or the NUL that PostgreSQL refuses."""
    if error is None:
        return None
    return error[:ERROR_LENGTH].replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()
