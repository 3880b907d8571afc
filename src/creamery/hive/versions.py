"""What files had in them before: kept when other bytes come, thinned by age, pinned, named, and let go.

The sums of what they take are exact after each write: of the file itself, of all folders above it, of its space.
What is restored is restored by `restoring.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from creamery.contract import Digest
from creamery.database import Prepared
from creamery.hive.acts import Act
from creamery.hive.errors import NoSuchVersion, NotThere
from creamery.hive.ledger import change_sums, settle, space_now
from creamery.hive.nodes import Node, chain_of
from creamery.hive.tables import ROOT, version
from creamery.hive.thinning import Moment, superfluous

SAME_SAVE = 2_000_000
"""Microseconds within which one author's writes are one: editors write a file several times to save it."""

FEW = 5
"""So many of one file are never thinned."""

LABEL_LENGTH = 255


class Version(NamedTuple):
    """What a file had in it before.

    Attributes:
        revision: the file's, at that time.
        digest, size, mtime: of that content.
        created: when other bytes took its place.
        author_id: the user who had brought it.
        label: what somebody calls it.
        pinned: it stays whatever its age, and however little room there is.
    """

    revision: int
    digest: Digest
    size: int
    mtime: int
    created: int
    author_id: int | None
    label: str | None
    pinned: bool


_KEEP = Prepared(insert(version), [column.key for column in version.columns])
_OF = Prepared(
    select(*[version.c[name] for name in Version._fields])
    .where(version.c.node_id == bindparam("node"))
    .order_by(version.c.revision.desc())
)
_FORGET = Prepared(
    delete(version).where(version.c.node_id == bindparam("node"), version.c.revision == bindparam("revision_"))
)


def keep_old(connection: Connection, act: Act, old: Node, *, always: bool = False) -> int:
    """Before other bytes come: those of now become a version, and older ones are thinned.

    Nothing is kept of an empty file, nor, but for `always`, of what its author wrote a moment ago. For writes that
    gather: no row is touched but those of this file.

    Returns:
        How many bytes its versions have more now; below zero where thinning frees more than is kept.
    """
    if not old.size:
        return 0
    if not always and old.author_id == act.user_id and 0 <= act.now - old.mtime < SAME_SAVE:
        return 0
    _KEEP.run(
        connection,
        {
            "node_id": old.id,
            "revision": old.revision,
            "digest": old.digest,
            "size": old.size,
            "mtime": old.mtime,
            "created": act.now,
            "author_id": old.author_id,
            "label": None,
            "pinned": False,
        },
    )
    if old.revision <= FEW:  # each change of bytes is one revision: there cannot be more versions
        return old.size
    return old.size - _remove(connection, old.id, _thinned(connection, old.id, act.now))


def versions_of(connection: Connection, node_id: int) -> list[Version]:
    """All of a file, the latest first; one range of the table."""
    return [_version_of(row) for row in _OF.run(connection, {"node": node_id}).fetchall()]


def find_version(connection: Connection, node_id: int, revision: int) -> Version:
    """One of them.

    Raises:
        NoSuchVersion: the file has had none of that number, or it is gone.
    """
    for each in versions_of(connection, node_id):
        if each.revision == revision:
            return each
    raise NoSuchVersion(revision)


def describe_version(
    connection: Connection, node_id: int, revision: int, *, pinned: bool | None = None, label: str | None = None
) -> Version:
    """Let one stay for ever, or no more; and give it a name, an empty one to take that away. None: as it was.

    Raises:
        NotThere: the file is not in a tree, but in the trash, or nowhere.
        NoSuchVersion: there is none of that number.
    """
    _refuse_unless_alive(connection, node_id)
    there = find_version(connection, node_id, revision)
    changed = there._replace(
        pinned=there.pinned if pinned is None else pinned, label=there.label if label is None else label or None
    )
    connection.execute(
        update(version)
        .where(version.c.node_id == node_id, version.c.revision == revision)
        .values(pinned=changed.pinned, label=changed.label)
    )
    return changed


def delete_version(connection: Connection, node_id: int, revision: int) -> Version:
    """Let one go, pinned or not.

    Raises:
        NotThere: the file is not in a tree, but in the trash, or nowhere.
        NoSuchVersion: there is none of that number.
    """
    _refuse_unless_alive(connection, node_id)
    gone = find_version(connection, node_id, revision)
    forget_versions(connection, node_id, [gone])
    return gone


def thin_versions(connection: Connection, node_id: int, now: int) -> int:
    """Let those of one file go that are superfluous by now. Not for writes that gather. Returns their bytes."""
    return forget_versions(connection, node_id, _thinned(connection, node_id, now))


def many_versions(connection: Connection, after: int, limit: int) -> list[int]:
    """The next files, by their numbers, that have so many versions that they are thinned."""
    asked = (
        select(version.c.node_id)
        .where(version.c.node_id > after)
        .group_by(version.c.node_id)
        .having(func.count() > FEW)
        .order_by(version.c.node_id)
        .limit(limit)
    )
    return [int(number) for number in connection.execute(asked).scalars()]


def forget_versions(connection: Connection, node_id: int, gone: Collection[Version]) -> int:
    """Let some of a file's go, wherever the file is, and count anew. Returns their bytes.

    No serial is taken: nothing that anybody lists has changed.
    """
    chain = chain_of(connection, node_id) if gone else None
    if chain is None:
        return 0
    freed = _remove(connection, node_id, gone)
    row = space_now(connection, chain.space_id)
    if chain.names[0] == ROOT:
        change_sums(connection, (*chain.above, node_id), versions=-freed)
        settle(connection, row._replace(used_versions=row.used_versions - freed))
    else:  # a trash has no sums of its own: what lies in it has, and the space
        change_sums(connection, (*chain.above[1:], node_id), versions=-freed)
        settle(connection, row._replace(used_trash=row.used_trash - freed))
    return freed


def _version_of(row: Any) -> Version:
    """A row as the driver gives it."""
    return Version._make((row[0], Digest(bytes(row[1]).hex()), *row[2:7], bool(row[7])))


def _thinned(connection: Connection, node_id: int, now: int) -> list[Version]:
    found = versions_of(connection, node_id)
    if len(found) <= FEW:
        return []
    gone = superfluous([Moment(each.created, each.revision) for each in found if not each.pinned], now)
    return [each for each in found if each.revision in gone]


def _remove(connection: Connection, node_id: int, gone: Collection[Version]) -> int:
    _FORGET.run_many(connection, [{"node": node_id, "revision_": each.revision} for each in gone])
    return sum(each.size for each in gone)


def _refuse_unless_alive(connection: Connection, node_id: int) -> None:
    chain = chain_of(connection, node_id)
    if chain is None or chain.names[0] != ROOT:
        raise NotThere(f"node {node_id}")
