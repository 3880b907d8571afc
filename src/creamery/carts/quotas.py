"""How much of carts somebody may have: what the settings say for everybody, but for those who have a row of their own.

All strangers together are one owner, and have what the settings say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import BigInteger, Column, Connection, Integer, String, Table, bindparam, delete, insert, select

from creamery.cart_sections import Carts
from creamery.carts import tables
from creamery.database import TABLE_OPTIONS, metadata
from creamery.journal import By, record_by

cart_quota = Table(
    "cart_quota",
    metadata,
    Column("owner", String(255), primary_key=True),
    Column("carts", Integer, nullable=True),
    Column("bytes", BigInteger, nullable=True),
    **TABLE_OPTIONS,
)


class QuotaReached(Exception):
    """Whoever asks has as many carts, or as many bytes in them, as they may.

    Attributes:
        is_space: it is bytes.
    """

    def __init__(self, reason: str, *, is_space: bool) -> None:
        super().__init__(reason)
        self.is_space = is_space


@dataclass(frozen=True, slots=True)
class Quota:
    """What somebody may have.

    Attributes:
        carts, bytes: so many carts, and so many bytes in all of them.
        own_carts, own_bytes: it is theirs alone, and not what the settings say for everybody.
    """

    carts: int
    bytes: int
    own_carts: bool = False
    own_bytes: bool = False

    @property
    def said_by(self) -> tuple[str, str]:
        """Where whoever runs the hub changes the one and the other."""
        own = "creamery user quota"
        return own if self.own_carts else "carts.quota_carts", own if self.own_bytes else "carts.quota_bytes"


def quota_of(connection: Connection, owner: str | None, settings: Carts) -> Quota:
    """What an owner may have; None: all strangers together."""
    row = None if owner is None else connection.execute(_ONE, {"of": owner}).first()
    carts, size = (None, None) if row is None else row
    return Quota(
        settings.quota_carts if carts is None else int(carts),
        settings.quota_bytes if size is None else int(size),
        carts is not None,
        size is not None,
    )


_ONE = select(cart_quota.c.carts, cart_quota.c.bytes).where(cart_quota.c.owner == bindparam("of"))


def set_quota(
    connection: Connection, owner: str, changes: Mapping[Literal["carts", "bytes"], int | None], subject: str, by: By
) -> None:
    """Give an owner other numbers of their own; None: what the settings say again.

    Args:
        connection: in the transaction that changes it.
        owner: who may have so much.
        changes: what is changed; the rest stays.
        subject: who that is, for the journal.
        by: who does it.
    """
    row = connection.execute(_ONE, {"of": owner}).first()
    values: dict[str, int | None] = dict(zip(("carts", "bytes"), row or (None, None), strict=True)) | {**changes}
    connection.execute(delete(cart_quota).where(cart_quota.c.owner == owner))
    if any(value is not None for value in values.values()):
        connection.execute(insert(cart_quota).values(owner=owner, **values))
    record_by(connection, "carts", "quota", subject, by, values)


def refuse_beyond(connection: Connection, owner: str | None, settings: Carts) -> None:
    """See that an owner may have one more cart.

    Raises:
        QuotaReached: they may not.
    """
    quota, (count, size) = quota_of(connection, owner, settings), tables.usage(connection, owner)
    by_carts, by_bytes = quota.said_by
    if count >= quota.carts:
        raise QuotaReached(
            f"{count} carts are there already, and {quota.carts} may be ({by_carts}); delete one, or ask whoever runs"
            " the hub for more",
            is_space=False,
        )
    if size >= quota.bytes:
        raise QuotaReached(
            f"carts with {size} bytes are there already, and {quota.bytes} may be ({by_bytes}); delete one, or ask"
            " whoever runs the hub for more",
            is_space=True,
        )
