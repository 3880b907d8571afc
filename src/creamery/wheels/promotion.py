"""How a wheel comes to be trusted by everybody: an administrator says so, or enough users have built the same bytes.

Builds with a normalised environment are the same to the byte, so several who need not trust each other can vouch for
one: whoever wants to bring something else in needs as many accounts.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from sqlalchemy import BigInteger, Column, Connection, Table, delete, select

from creamery.accounts import user_by_id
from creamery.clock import SECOND, Micros
from creamery.contract import Digest
from creamery.database import TABLE_OPTIONS, DigestColumn, insert_unless_there, metadata
from creamery.journal import By, record_by
from creamery.wheels import tables
from creamery.wheels.checking import enqueue_check
from creamery.wheels.place import KeyTaken, Ring
from creamery.wheels.tables import Entry, wheel_entry

wheel_vouch = Table(
    "wheel_vouch",
    metadata,
    Column("key", DigestColumn, primary_key=True),
    Column("digest", DigestColumn, primary_key=True),
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("came", BigInteger, nullable=False),
    **TABLE_OPTIONS,
)

VOUCHED_FOR = 180 * 86_400 * SECOND
"""Half a year: whoever builds the same later begins anew."""

_OWN = frozenset({"id", "ring", "pinned", "hits", "kept_until"})


def vouch(connection: Connection, key: Digest, digest: Digest, user_id: int, now: Micros, enough: int) -> bool:
    """This user has built these bytes for that key; have so many? Who is let in no more does not count."""
    row = {"key": key, "digest": digest, "user_id": user_id, "came": now}
    connection.execute(insert_unless_there(connection, wheel_vouch), row)
    builders = connection.execute(
        select(wheel_vouch.c.user_id).where(wheel_vouch.c.key == key, wheel_vouch.c.digest == digest)
    ).scalars()
    users = (user_by_id(connection, builder) for builder in builders.all())
    let_in = (user for user in users if user is not None and not user.disabled)
    return len(list(islice(let_in, enough))) == enough


def forget_builders(connection: Connection, entries: Iterable[Entry]) -> None:
    """These bytes are not wanted: as many users as ever have to build them before they are promoted again."""
    for entry in entries:
        connection.execute(
            delete(wheel_vouch).where(wheel_vouch.c.key == entry.key, wheel_vouch.c.digest == entry.file.digest)
        )


def thin(connection: Connection, now: Micros) -> None:
    """Forget who has built what, long after."""
    connection.execute(delete(wheel_vouch).where(wheel_vouch.c.came < now - VOUCHED_FOR))


def promote(connection: Connection, entry: Entry, ring: Ring, by: By, why: str) -> bool:
    """Have a wheel in another ring, too, as it is; False: it is there already.

    One that waits for its check waits there, too: what the check finds of one row is not told of the other.

    Raises:
        KeyTaken: other bytes have its key there.
        BeingPushed: another process has just written it: look again.
    """
    digest = entry.file.digest
    assert digest is not None  # noqa: S101 - what is not here is no entry
    row_id, known = tables.locked_entry(connection, ring, entry.key)
    if known is not None and known.file.digest is not None:
        if known.file.digest == digest:
            return False
        raise KeyTaken(entry.file.filename, entry.key, known.file.digest, digest)
    row = connection.execute(select(wheel_entry).where(wheel_entry.c.id == entry.id)).one()
    values = {name: value for name, value in row._mapping.items() if name not in _OWN}  # noqa: SLF001 - its public name
    new_id = tables.fill(connection, row_id, {**values, "ring": ring})
    if row.state == "checking":
        enqueue_check(connection, new_id, by.now)
    detail = {"sha256": digest, "from": entry.ring, "to": ring, "why": why}
    record_by(connection, "wheels", "promoted", entry.file.filename, by, detail)
    return True
