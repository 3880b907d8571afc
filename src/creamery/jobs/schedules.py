"""Schedules: of several processes, one enqueues.

A schedule's row has the moment at which it is due. Whoever moves that moment on enqueues the job in the same
transaction, so a lease is not needed: a process that dies in between has moved nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from creamery.clock import SECOND, Micros
from creamery.jobs.job import Schedule
from creamery.jobs.tables import enqueue, is_running, schedule


def due(connection: Connection, schedules: Sequence[Schedule], now: Micros) -> list[Schedule]:
    """Those that have come due or were never seen (one read of a table with a row each)."""
    moments = {name: int(next_at) for name, next_at in connection.execute(select(schedule.c.name, schedule.c.next_at))}
    return [one for one in schedules if one.name not in moments or _is_due(one, moments[one.name], now)]


def advance(connection: Connection, one: Schedule, now: Micros) -> bool:
    """Move the schedule on and enqueue its job, unless another process was faster; True where a job was enqueued."""
    question = select(schedule.c.next_at).where(schedule.c.name == one.name).with_for_update()
    row = connection.execute(question).first()
    if row is None:
        _begin(connection, one, now)
        return False
    if not _is_due(one, row.next_at, now):
        return False
    connection.execute(update(schedule).where(schedule.c.name == one.name).values(next_at=_next(one, row.next_at, now)))
    key = f"schedule:{one.name}"
    if is_running(connection, key):  # a long one would else run twice side by side
        return False
    return enqueue(connection, one.kind, one.payload, now=now, key=key) is not None


def _begin(connection: Connection, one: Schedule, now: Micros) -> None:
    savepoint = connection.begin_nested()
    try:
        connection.execute(insert(schedule).values(name=one.name, next_at=now + _span(one)))
        savepoint.commit()
    except IntegrityError:  # another process has just begun it
        savepoint.rollback()


def _is_due(one: Schedule, next_at: int, now: Micros) -> bool:
    """A moment further away than one distance was written before the clock jumped back, or `every` was shortened."""
    return next_at <= now or next_at > now + _span(one)


def _next(one: Schedule, next_at: int, now: Micros) -> int:
    """One distance after the moment that was due, so that the rhythm holds; what was missed is not made up for."""
    following = next_at + _span(one)
    return following if now < following <= now + _span(one) else now + _span(one)


def _span(one: Schedule) -> int:
    return int(one.every * SECOND)
