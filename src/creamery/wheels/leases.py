"""Who builds what at this moment, and what lately could not be built: rows by ring and key, and their questions.

A lease is a promise for a while: whoever has it renews it, and when they die it passes on. All times are the hub's; no
client's clock counts. An end further off than any can be was written by a clock that was ahead, and is not believed. A
failure is a build backend's, and is remembered for longer each time; it counts in the ring of whoever wrote it, so that
nobody keeps others from trying.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    Row,
    String,
    Table,
    and_,
    delete,
    func,
    insert,
    not_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from creamery.clock import SECOND, Micros
from creamery.contract import Digest, ProjectName
from creamery.database import TABLE_OPTIONS, DigestColumn, LongText, metadata
from creamery.journal import By, record_by
from creamery.limits import Limits
from creamery.wheels.place import PushRefused, Ring
from creamery.wheels.tables import BeingPushed

wheel_lease = Table(
    "wheel_lease",
    metadata,
    Column("ring", String(64), primary_key=True),
    Column("key", DigestColumn, primary_key=True),
    Column("token", String(64), nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("holder", String(255), nullable=False),
    **TABLE_OPTIONS,
)

wheel_failure = Table(
    "wheel_failure",
    metadata,
    Column("ring", String(64), primary_key=True),
    Column("key", DigestColumn, primary_key=True),
    Column("project", String(255), nullable=False, index=True),
    Column("version", String(255), nullable=False),
    Column("reason", LongText, nullable=False),
    Column("log_digest", DigestColumn, nullable=True, index=True),
    Column("log_size", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("holder", String(255), nullable=False),
    **TABLE_OPTIONS,
)


class LeaseLost(PushRefused):
    """It has passed on: it was not renewed in time, was given back, or the wheel is here."""


class TooManyLeases(PushRefused):
    """One holder has as many as one may."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Somebody builds it.

    Attributes:
        token: what renews it and gives it back.
        until: when it passes on, unless it is renewed.
        holder: who, for people.
    """

    ring: Ring
    key: Digest
    token: str
    until: Micros
    holder: str


@dataclass(frozen=True, slots=True)
class Failure:
    """It could not be built.

    Attributes:
        project, version: what was built.
        reason: in a sentence.
        log_digest, log_size: what the build said, compressed; None: nothing.
        times: how often it failed.
        last: when, the last time.
        until: from then on somebody should try anew.
        holder: who said so.
    """

    ring: Ring
    key: Digest
    project: ProjectName
    version: str
    reason: str
    log_digest: Digest | None
    log_size: int
    times: int
    last: Micros
    until: Micros
    holder: str


def take(connection: Connection, ring: Ring, key: Digest, by: By, limits: Limits) -> Lease | None:
    """The lease of a key, where nobody has it; None: somebody has.

    Raises:
        TooManyLeases: whoever asks has as many as one may.
        BeingPushed: another process has just written it: look again.
    """
    known = connection.execute(select(wheel_lease).where(*_of(ring, key)).with_for_update()).first()
    if known is not None and by.now < known.until <= _latest(by.now, limits.wheel_lease_seconds):
        return None
    count = select(func.count()).where(wheel_lease.c.holder == by.actor, _lasts(by.now, limits))
    if connection.execute(count).scalar_one() >= limits.wheel_leases:
        raise TooManyLeases(f"{by.actor} has {limits.wheel_leases} leases (limits.wheel_leases): give some back first")
    lease = Lease(ring, key, secrets.token_hex(32), _end(by.now, limits), by.actor)
    values = {"token": lease.token, "until": lease.until, "holder": lease.holder}
    if known is not None:
        connection.execute(update(wheel_lease).where(*_of(ring, key)).values(**values))
        return lease
    try:
        connection.execute(insert(wheel_lease).values(ring=ring, key=key, **values))
    except IntegrityError as error:
        raise BeingPushed(key) from error
    return lease


def renew(connection: Connection, ring: Ring, key: Digest, token: str, now: Micros, limits: Limits) -> Micros:
    """Have it for longer; returns the new end.

    Raises:
        LeaseLost: somebody else has it, or may have it by now.
    """
    until = _end(now, limits)
    row = update(wheel_lease).where(*_of(ring, key), wheel_lease.c.token == token, wheel_lease.c.until > now)
    if not connection.execute(row.values(until=until)).rowcount:
        raise LeaseLost("the lease has passed on: it was not renewed in time, was given back, or the wheel is here")
    return until


def give_back(connection: Connection, ring: Ring, key: Digest, token: str | None = None) -> None:
    """Nobody builds it any more; without a token: because the wheel has come."""
    owned = () if token is None else (wheel_lease.c.token == token,)
    connection.execute(delete(wheel_lease).where(*_of(ring, key), *owned))


def leases_of(connection: Connection, keys: Sequence[Digest], ring: Ring, now: Micros, limits: Limits) -> list[Lease]:
    """Those of these keys that somebody builds."""
    query = select(wheel_lease).where(wheel_lease.c.key.in_(keys), wheel_lease.c.ring == ring, _lasts(now, limits))
    return [Lease(*row) for row in connection.execute(query)]


def fail(connection: Connection, failure: Failure, by: By, limits: Limits) -> Failure:
    """Remember a failure for a while, for twice as long each time; its lease is given back.

    That of somebody else, to whom it has passed on, is not: they build, and may do better.
    """
    known = find_failure(connection, failure.key, failure.ring)
    times = 1 if known is None else known.times + 1
    seconds = min(limits.wheel_failure_seconds * 2 ** min(times - 1, 30), limits.wheel_failure_most_seconds)
    values: dict[str, Any] = {
        "project": failure.project,
        "version": failure.version,
        "reason": failure.reason,
        "log_digest": failure.log_digest,
        "log_size": failure.log_size,
        "times": times,
        "last": by.now,
        "until": by.now + round(seconds * SECOND),
        "holder": by.actor,
    }
    if known is None:
        try:
            connection.execute(insert(wheel_failure).values(ring=failure.ring, key=failure.key, **values))
        except IntegrityError as error:
            raise BeingPushed(failure.key) from error
    else:
        row = update(wheel_failure).where(wheel_failure.c.ring == failure.ring, wheel_failure.c.key == failure.key)
        connection.execute(row.values(**values))
    connection.execute(delete(wheel_lease).where(*_of(failure.ring, failure.key), wheel_lease.c.holder == by.actor))
    record_by(connection, "wheels", "failed", f"{failure.project} {failure.version}", by, {"key": failure.key})
    found = find_failure(connection, failure.key, failure.ring)
    assert found is not None  # noqa: S101 - written in this transaction
    return found


def find_failure(connection: Connection, key: Digest, ring: Ring) -> Failure | None:
    """What is remembered of a key in a ring, also when its while is over."""
    query = select(wheel_failure).where(wheel_failure.c.key == key, wheel_failure.c.ring == ring)
    row = connection.execute(query).first()
    return None if row is None else _failure(row)


def failures_of(
    connection: Connection, keys: Sequence[Digest], ring: Ring, now: Micros, limits: Limits
) -> list[Failure]:
    """Those of these keys whose while is not over."""
    latest = _latest(now, limits.wheel_failure_most_seconds)
    query = select(wheel_failure).where(wheel_failure.c.key.in_(keys), wheel_failure.c.ring == ring)
    lasting = query.where(wheel_failure.c.until > now, wheel_failure.c.until <= latest)
    return [_failure(row) for row in connection.execute(lasting)]


def failures_of_project(connection: Connection, project: ProjectName, ring: Ring) -> list[Failure]:
    """All that is remembered of a project's builds, in the order of their times."""
    query = select(wheel_failure).where(wheel_failure.c.project == project, wheel_failure.c.ring == ring)
    return [_failure(row) for row in connection.execute(query.order_by(wheel_failure.c.last))]


def forget_failure(connection: Connection, key: Digest, ring: Ring) -> None:
    """It was built after all."""
    connection.execute(delete(wheel_failure).where(wheel_failure.c.key == key, wheel_failure.c.ring == ring))


def thin(connection: Connection, now: Micros, limits: Limits) -> None:
    """Let go of leases that have ended, and of failures whose longest while is over."""
    connection.execute(delete(wheel_lease).where(not_(_lasts(now, limits))))
    oldest = now - round(limits.wheel_failure_most_seconds * SECOND)
    connection.execute(delete(wheel_failure).where(wheel_failure.c.until <= oldest))


def _end(now: Micros, limits: Limits) -> Micros:
    return Micros(now + round(limits.wheel_lease_seconds * SECOND))


def _lasts(now: Micros, limits: Limits) -> ColumnElement[bool]:
    """A lease does."""
    return and_(wheel_lease.c.until > now, wheel_lease.c.until <= _latest(now, limits.wheel_lease_seconds))


def _latest(now: Micros, seconds: float) -> Micros:
    """When at most something ends that lasts so long; twice that, for two machines' clocks are never the same."""
    return Micros(now + 2 * round(seconds * SECOND))


def _of(ring: Ring, key: Digest) -> tuple[Any, Any]:
    return wheel_lease.c.ring == ring, wheel_lease.c.key == key


def _failure(row: Row[Any]) -> Failure:
    return Failure(**row._mapping)  # noqa: SLF001 - its public name
