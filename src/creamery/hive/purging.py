"""What goes for good: out of the trash, some rows at a time, and former contents where room is needed.

    in the trash --purge--> marked, nobody sees it any more --purge_some, again and again--> gone, its row last

Each step is one transaction after which every sum is right, so that a job that is killed goes on where it was. Bytes
go later, with a sweep, unless something else holds them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update

from creamery.database import Prepared
from creamery.hive import trashing
from creamery.hive.ledger import Space, change_sums, settle, space_now
from creamery.hive.nodes import Node, by_id
from creamery.hive.properties import remove_for
from creamery.hive.quotas import enqueue_purge, excess
from creamery.hive.tables import FOLDER, HAS_PROPERTIES, PURGED, node, trash, version
from creamery.hive.versions import Version, forget_versions, versions_of

AT_ONCE = 5_000
"""Rows that one transaction removes: about 15 ms, for which all other writers wait."""

PAGE = 1_000
TOGETHER = 500

_REMOVE = Prepared(delete(node).where(node.c.parent_id == bindparam("parent"), node.c.name_key == bindparam("key_")))
_REMOVE_LEAVES = Prepared(
    delete(node).where(
        node.c.parent_id == bindparam("parent"),
        node.c.name_key >= bindparam("first"),
        node.c.name_key <= bindparam("last"),
        node.c.kind != FOLDER,
    )
)
_WITH_VERSIONS = Prepared(
    select(node.c.id, node.c.kind).where(node.c.parent_id == bindparam("parent"), node.c.versions_size > 0)
)


def purge(connection: Connection, space_id: int, now: int, nodes: Sequence[int] | None = None) -> int:
    """Have some of a space's trash removed, or all of it; from now on nobody sees it. Returns how many there are.

    What is not in the trash is left out. Not for writes that gather.
    """
    lies = (trash.c.space_id == space_id, trash.c.from_parent != PURGED)
    chosen = lies if nodes is None else (*lies, trash.c.node_id.in_(nodes))
    marked = connection.execute(update(trash).where(*chosen).values(from_parent=PURGED)).rowcount
    if marked:
        enqueue_purge(connection, space_id, now)
    return marked


def purge_older(connection: Connection, before: int, now: int) -> int:
    """Have everything removed, in all spaces, that was deleted before a moment. Returns how many there are.

    What a clock has dated into the future stays.
    """
    old = (trash.c.at < min(before, now), trash.c.from_parent != PURGED)
    spaces = list(
        connection.execute(select(trash.c.space_id).where(*old).distinct().order_by(trash.c.space_id)).scalars()
    )
    marked = connection.execute(update(trash).where(*old).values(from_parent=PURGED)).rowcount if spaces else 0
    for space_id in spaces:
        enqueue_purge(connection, int(space_id), now)
    return marked


def purge_some(connection: Connection, space_id: int, at_most: int = AT_ONCE) -> bool:
    """Remove rows of what is marked in a space; True: there may be more. Not for writes that gather."""
    left, freed = at_most, 0
    while left > 0:
        asked = select(trash.c.node_id).where(trash.c.space_id == space_id, trash.c.from_parent == PURGED).limit(1)
        top = connection.execute(asked).scalar()
        if top is None:
            break
        removal = _Removal(connection, left)
        if removal.remove(by_id(connection, int(top))):
            connection.execute(delete(trash).where(trash.c.node_id == top))
            removal.left -= 1
        left, freed = removal.left, freed + removal.freed
    if freed:
        row = space_now(connection, space_id)
        settle(connection, row._replace(used_trash=row.used_trash - freed))
    return left <= 0


def purge_for_room(connection: Connection, space_id: int, default: int | None, now: int) -> bool:
    """Mark what was deleted first, as much as a space has too much; True: something was. Not for writes that gather."""
    missing = excess(space_now(connection, space_id), default)
    chosen: list[int] = []
    for each in trashing.oldest_trashed(connection, space_id, TOGETHER) if missing else ():
        if missing <= 0:
            break
        chosen.append(each.node_id)
        missing -= each.size + each.versions_size
    return bool(chosen) and bool(purge(connection, space_id, now, chosen))


def oldest_versions(connection: Connection, row: Space, missing: int) -> list[tuple[int, int]]:
    """The former contents that go first, as file and revision, until so many bytes are found; pinned ones never.

    Reads all files of the space that have any: for a snapshot, not within a write.
    """
    latest_first: list[tuple[int, int, int, int]] = []
    found = 0
    for node_id, each in _every_version(connection, row):
        if each.pinned:
            continue
        heapq.heappush(latest_first, (-each.created, node_id, each.revision, each.size))
        found += each.size
        while latest_first and found - latest_first[0][3] >= missing:
            found -= heapq.heappop(latest_first)[3]
    return [(node_id, revision) for _, node_id, revision, _ in sorted(latest_first, reverse=True)]


def forget_for_room(
    connection: Connection, space_id: int, default: int | None, chosen: Sequence[tuple[int, int]]
) -> None:
    """Let these go, in their order, as long as the space has too much; what is pinned by now stays."""
    row = space_now(connection, space_id)
    for node_id, revision in chosen:
        if not excess(space_now(connection, row.id), default):
            return
        gone = [each for each in versions_of(connection, node_id) if each.revision == revision and not each.pinned]
        forget_versions(connection, node_id, gone)


def _every_version(connection: Connection, row: Space) -> Iterator[tuple[int, Version]]:
    folders = [row.root_id]
    while folders:
        rows: Any = _WITH_VERSIONS.run(connection, {"parent": folders.pop()}).fetchall()
        for node_id, kind in rows:
            if kind == FOLDER:
                folders.append(node_id)
            else:
                yield from ((node_id, each) for each in versions_of(connection, node_id))


class _Row(NamedTuple):
    """What has to be known of a node to remove it."""

    name_key: str
    id: int
    parent_id: int
    kind: int
    size: int
    versions_size: int
    flags: int


_BELOW = Prepared(
    select(*[node.c[name] for name in _Row._fields])
    .where(node.c.parent_id == bindparam("parent"))
    .order_by(node.c.name_key)
    .limit(bindparam("limit"))
)


class _Removal:
    """Removes one tree from its leaves on.

    Attributes:
        left: rows that may still be removed.
        freed: bytes of what was.
    """

    def __init__(self, connection: Connection, left: int) -> None:
        self._connection = connection
        self._lowered: dict[int, list[int]] = {}
        self.left = left
        self.freed = 0

    def remove(self, top: Node | None) -> bool:
        """Remove it, or as much as may be; True: it is gone."""
        if top is None:
            return True
        row = _Row._make([getattr(top, name) for name in _Row._fields])
        if row.kind != FOLDER:
            self._remove_leaves([row], ())
            return True
        levels: list[tuple[_Row, list[_Row]]] = [(row, [])]
        while levels and self.left > 0:
            folder, waiting = levels[-1]
            if waiting:
                levels.append((waiting.pop(), []))
            elif there := self._below(folder):
                self._remove_leaves([each for each in there if each.kind != FOLDER], [each.id for each, _ in levels])
                waiting += [each for each in there if each.kind == FOLDER]
            else:
                self._remove_folder(folder)
                levels.pop()
        for each, (size, versions) in self._lowered.items():
            change_sums(self._connection, [each], -size, -versions)
        return not levels

    def _below(self, folder: _Row) -> list[_Row]:
        values = {"parent": folder.id, "limit": min(PAGE, self.left)}
        return [_Row._make(row) for row in _BELOW.run(self._connection, values).fetchall()]

    def _remove_folder(self, empty: _Row) -> None:
        _REMOVE.run(self._connection, {"parent": empty.parent_id, "key_": empty.name_key})
        self._forget_properties([empty])
        self._lowered.pop(empty.id, None)
        self.left -= 1

    def _remove_leaves(self, leaves: Sequence[_Row], above: Sequence[int]) -> None:
        """All files between two names, and what they had in them before; what they lay in is lowered at the end."""
        if not leaves:
            return
        between = {"parent": leaves[0].parent_id, "first": leaves[0].name_key, "last": leaves[-1].name_key}
        _REMOVE_LEAVES.run(self._connection, between)
        self.left -= len(leaves)
        with_versions = [each.id for each in leaves if each.versions_size]
        for start in range(0, len(with_versions), TOGETHER):
            some = with_versions[start : start + TOGETHER]
            self.left -= self._connection.execute(delete(version).where(version.c.node_id.in_(some))).rowcount
        self._forget_properties(leaves)
        size, versions = sum(each.size for each in leaves), sum(each.versions_size for each in leaves)
        self.freed += size + versions
        for each in above:
            known = self._lowered.setdefault(each, [0, 0])
            known[0] += size
            known[1] += versions

    def _forget_properties(self, gone: Sequence[_Row]) -> None:
        remove_for(self._connection, [each.id for each in gone if each.flags & HAS_PROPERTIES])
