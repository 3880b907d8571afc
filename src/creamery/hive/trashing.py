"""Into the trash: one row, whatever lies below; and what lies in it.

What comes out again is `restoring.py`'s, what goes for good `purging.py`'s.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, insert, or_, select, update

from creamery.hive import locks
from creamery.hive.acts import Act
from creamery.hive.errors import NotInTrash
from creamery.hive.ledger import Change, Space, log_change, raise_above, settle, space_now
from creamery.hive.nodes import Found
from creamery.hive.tables import PURGED, node, trash


class Trashed(NamedTuple):
    """Something in the trash of a space.

    Attributes:
        node_id: its number, by which it is named there.
        name, path: what it was called, and where it was, for people.
        from_parent: the folder that it was in.
        at: when it was deleted; microseconds since 1970.
        by_id: the user who did it.
        kind: see `tables.py`.
        size, versions_size: bytes of its files, and of what they had in them before.
    """

    node_id: int
    name: str
    path: str
    from_parent: int
    at: int
    by_id: int | None
    kind: int
    size: int
    versions_size: int


def into_trash(connection: Connection, act: Act, row: Space, found: Found, path: str) -> None:
    """Hang what was found below the trash of its space, locks on it and below removed.

    Args:
        connection: of the write.
        act: who does it, and when.
        row: the space as this transaction leaves it so far.
        found: what goes.
        path: where it was, for people.
    """
    gone = found.node
    assert gone is not None, "nothing goes into the trash"  # noqa: S101 - whoever asks has found it
    locks.remove_below(connection, row, gone.id)
    row = space_now(connection, row.id)
    serial = row.serial + 1
    connection.execute(
        update(node)
        .where(node.c.id == gone.id)
        .values(parent_id=row.trash_id, name_key=str(gone.id), serial=serial, tree_serial=serial)
    )
    connection.execute(
        insert(trash),
        {
            "node_id": gone.id,
            "space_id": row.id,
            "from_parent": gone.parent_id,
            "name": gone.name,
            "path": path,
            "at": act.now,
            "by_id": act.user_id,
        },
    )
    raise_above(connection, found.ancestors, serial, -gone.size, -gone.versions_size)
    settle(
        connection,
        row._replace(
            serial=serial,
            used_files=row.used_files - gone.size,
            used_versions=row.used_versions - gone.versions_size,
            used_trash=row.used_trash + gone.size + gone.versions_size,
        ),
    )
    log_change(
        connection,
        Change(row.id, serial, "gone", gone.id, gone.parent_id, gone.name, gone.kind, act.user_id, act.now),
    )


def trashed(
    connection: Connection, space_id: int, before: tuple[int, int] | None = None, limit: int = 1_000
) -> list[Trashed]:
    """What lies in a space's trash, the latest first; what is being removed is not in it.

    Args:
        connection: any.
        space_id: the space.
        before: the moment and number of one, to go on behind it.
        limit: so many at most.
    """
    asked = _lying(space_id).order_by(trash.c.at.desc(), trash.c.node_id.desc()).limit(limit)
    if before is not None:
        at, node_id = before
        asked = asked.where(or_(trash.c.at < at, and_(trash.c.at == at, trash.c.node_id < node_id)))
    return [Trashed._make(row) for row in connection.execute(asked)]


def oldest_trashed(connection: Connection, space_id: int, limit: int) -> list[Trashed]:
    """What was deleted first. One range of an index."""
    asked = _lying(space_id).order_by(trash.c.at, trash.c.node_id).limit(limit)
    return [Trashed._make(row) for row in connection.execute(asked)]


def find_trashed(connection: Connection, space_id: int, node_id: int) -> Trashed:
    """One of them.

    Raises:
        NotInTrash: it is not in that space's, or is being removed.
    """
    row = connection.execute(_lying(space_id).where(trash.c.node_id == node_id)).first()
    if row is None:
        raise NotInTrash(node_id)
    return Trashed._make(row)


def _lying(space_id: int) -> Select[Any]:
    of_row = [trash.c[name] for name in Trashed._fields[:6]]
    return (
        select(*of_row, node.c.kind, node.c.size, node.c.versions_size)
        .join_from(trash, node, node.c.id == trash.c.node_id)
        .where(trash.c.space_id == space_id, trash.c.from_parent != PURGED)
    )
