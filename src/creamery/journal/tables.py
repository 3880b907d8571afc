"""The rows of the journal. Serials have no gaps and become visible in their order.

A serial is taken from one row, which stays locked until the transaction ends: the holder of 12 got it only after the
transaction of 11 was committed, so no reader sees 12 before 11. Writers of the journal therefore queue for that row;
record late in a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import BigInteger, Column, Connection, Integer, RowMapping, String, Table, insert, select

from creamery.clock import Micros
from creamery.database import TABLE_OPTIONS, LongText, metadata, take_number

journal = Table(
    "journal",
    metadata,
    Column("serial", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("door", String(32), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", LongText, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("origin", String(64), nullable=False),
    Column("detail", LongText, nullable=False),
    **TABLE_OPTIONS,
)

journal_serial = Table(
    "journal_serial",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("serial", BigInteger, nullable=False, server_default="0"),
    **TABLE_OPTIONS,
)


@dataclass(frozen=True, slots=True)
class By:
    """Who changes something, when, and from where; for the journal."""

    now: Micros
    actor: str = "hub"
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    Attributes:
        serial: its place in the order.
        at: when, by the clock of the process that wrote it.
        door: whose it is.
        action: the door's verb, such as `cached` or `uploaded`.
        subject: what it happened to.
        actor: who did it; `hub` for the hub itself.
        origin: the address that it was asked from; empty where it was not asked over the network.
        detail: whatever else an auditor wants to know; never a secret.
    """

    serial: int
    at: Micros
    door: str
    action: str
    subject: str
    actor: str
    origin: str
    detail: Mapping[str, Any] = field(default_factory=dict)


def record(  # noqa: PLR0913 - what the journal says, by name
    connection: Connection,
    door: str,
    action: str,
    subject: str,
    *,
    now: Micros,
    actor: str = "hub",
    origin: str = "",
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Write what happened, in the transaction in which it happens, and return its serial."""
    serial = take_number(connection, journal_serial.c.serial)
    said = {"action": action, "subject": subject, "detail": orjson.dumps(dict(detail or {})).decode()}
    by = {"at": now, "actor": actor, "origin": origin}
    connection.execute(_INSERT, {"serial": serial, "door": door, **said, **by})
    return serial


_INSERT = insert(journal)


def record_by(
    connection: Connection, door: str, action: str, subject: str, by: By, detail: Mapping[str, Any] | None = None
) -> int:
    """`record`, of what somebody does."""
    return record(connection, door, action, subject, now=by.now, actor=by.actor, origin=by.origin, detail=detail)


def latest(connection: Connection, limit: int) -> list[Entry]:
    """The last `limit` entries, in order (one range of the primary key)."""
    rows = connection.execute(select(journal).order_by(journal.c.serial.desc()).limit(limit)).mappings().all()
    return [_entry(row) for row in reversed(rows)]


def since(connection: Connection, serial: int, limit: int) -> list[Entry]:
    """The first `limit` entries after `serial`, in order (one range of the primary key)."""
    rows = connection.execute(select(journal).where(journal.c.serial > serial).order_by(journal.c.serial).limit(limit))
    return [_entry(row) for row in rows.mappings()]


def _entry(row: RowMapping) -> Entry:
    return Entry(**(dict(row) | {"detail": orjson.loads(row["detail"])}))
