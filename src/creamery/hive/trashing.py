"""Into the trash: one row, whatever lies below."""

from __future__ import annotations

from sqlalchemy import Connection, insert, update

from creamery.hive import locks
from creamery.hive.ledger import Change, Space, log_change, raise_above, settle, space_now
from creamery.hive.nodes import Found
from creamery.hive.tables import node, trash


def into_trash(connection: Connection, now: int, user_id: int | None, row: Space, found: Found, path: str) -> None:
    """Hang what was found below the trash of its space, locks on it and below removed.

    Args:
        row: the space as this transaction leaves it so far.
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
            "at": now,
            "by_id": user_id,
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
    log_change(connection, Change(row.id, serial, "gone", gone.id, gone.parent_id, gone.name, gone.kind, user_id, now))
