"""What files had in them before."""

from __future__ import annotations

from sqlalchemy import Connection, insert

from creamery.database import Prepared
from creamery.hive.nodes import Node
from creamery.hive.tables import version

SAME_SAVE = 2_000_000
"""Microseconds within which one author's writes are one: editors write a file several times to save it."""

_KEEP = Prepared(insert(version), [column.key for column in version.columns])


def keep_old(connection: Connection, old: Node, now: int, user_id: int | None) -> int:
    """Before other bytes come: those of now become a version. Returns how many bytes it has, 0 where none is made.

    Nothing is kept of an empty file, nor of what its author wrote a moment ago.
    """
    if not old.size or (old.author_id == user_id and 0 <= now - old.mtime < SAME_SAVE):
        return 0
    _KEEP.run(
        connection,
        {
            "node_id": old.id,
            "revision": old.revision,
            "digest": old.digest,
            "size": old.size,
            "mtime": old.mtime,
            "created": now,
            "author_id": old.author_id,
            "label": None,
            "pinned": False,
        },
    )
    return old.size
