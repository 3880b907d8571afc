"""The rows of pauses: while one lasts, nothing becomes `gone`."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from creamery.blobs.tables import blob_pause
from creamery.clock import Micros


def hold_pause(connection: Connection, holder: str, now: Micros, until: Micros) -> None:
    """Begin a pause, and take away those that ended without a word."""
    connection.execute(delete(blob_pause).where(blob_pause.c.until <= now))
    connection.execute(insert(blob_pause).values(holder=holder, until=until))


def renew_pause(connection: Connection, holder: str, now: Micros, until: Micros) -> bool:
    """Let it last longer; False where it has ended meanwhile."""
    lasting = update(blob_pause).where(blob_pause.c.holder == holder, blob_pause.c.until > now)
    return connection.execute(lasting.values(until=until)).rowcount == 1


def end_pause(connection: Connection, holder: str) -> None:
    """It is over."""
    connection.execute(delete(blob_pause).where(blob_pause.c.holder == holder))


def is_paused(connection: Connection, now: Micros, longest: Micros) -> bool:
    """Does any pause last? One whose end lies beyond `longest` was written before the clock jumped back."""
    lasting = blob_pause.c.until.between(now + 1, longest)
    return connection.execute(select(blob_pause.c.holder).where(lasting).limit(1)).first() is not None
