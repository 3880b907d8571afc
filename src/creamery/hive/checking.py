"""Does everything in the hive agree with everything else? Asked of a whole database, in one snapshot.

What is looked at: that every node hangs, by folders alone, in a space or its trash; names, their keys, and columns;
bytes; the sums and serials that folders keep of what lies below; what spaces count; the log; trash, versions, locks.
Mending is `mending.py`'s, and nothing of it deletes anything of anybody's.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, func, or_, select

from creamery.blobs import inventory
from creamery.hive import tables
from creamery.hive.ledger import Space
from creamery.hive.names import MAX_SEGMENTS
from creamery.hive.nodes import Chain, chain_of
from creamery.hive.survey import (
    BAD_FORM,
    BAD_NAME,
    OTHER_FOLDED_KEY,
    OTHER_KEY,
    ROWS_AT_ONCE,
    TOP,
    Survey,
    sizes_of_versions,
    survey,
)
from creamery.hive.tables import FILE, FOLDER, ROOT, TRASH, change, lock, node, trash, version


class Kind(StrEnum):
    """What is wrong."""

    LOST = "lost node"
    DEEP = "too deep"
    NAME = "illegal name"
    KEY = "wrong key"
    FORM = "wrong columns"
    BYTES = "no bytes"
    SUM = "wrong sum"
    SERIAL = "wrong serial"
    SPACE = "wrong count"
    ROOT = "missing root"
    LOG = "hole in the log"
    TRASH = "trash without row"
    TRASH_ROW = "row without trash"
    VERSION = "wrong version"
    LOCK = "dead lock"
    NUMBER = "wrong next number"


REMEDIES = {
    Kind.LOST: "--repair puts it, with all below it, into the folder `found` in a space's trash",
    Kind.DEEP: "move something that it lies in higher up: no address is so long",
    Kind.NAME: "rename it",
    Kind.KEY: "--repair corrects it where nothing else in the folder has that key; else rename one of the two",
    Kind.FORM: "restore the database from a backup, or delete the node",
    Kind.BYTES: "upload the file again, or take its bytes from a backup; creamery fsck says more",
    Kind.SUM: "--repair adds up anew",
    Kind.SERIAL: "--repair raises it",
    Kind.SPACE: "--repair counts anew",
    Kind.ROOT: "--repair makes it anew",
    Kind.LOG: "--repair lets those who follow the log begin anew",
    Kind.TRASH: "--repair writes the row",
    Kind.TRASH_ROW: "--repair forgets the row",
    Kind.VERSION: "restore the database from a backup, or delete the version",
    Kind.LOCK: "--repair removes it",
    Kind.NUMBER: "--repair raises it",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: what.
        subject: where.
        detail: what is there instead of what.
        remedy: what to do.
        space_id: the space, where it is one's.
    """

    kind: Kind
    subject: str
    detail: str
    remedy: str
    space_id: int | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """What should stand in folders and spaces.

    Attributes:
        sizes, versions: of positions where the row says something else.
        serials: of folders whose tree has a higher serial than they, that serial.
        below: of each root and trash, by position: bytes of files, and of versions.
        highest: of each space, the highest serial in it.
    """

    sizes: dict[int, int]
    versions: dict[int, int]
    serials: dict[int, int]
    below: dict[int, tuple[int, int]]
    highest: dict[int, int]


def check(connection: Connection) -> Iterator[Finding]:
    """Everything that is wrong. Three passes over nodes, one of them in memory; see `survey.py` for what it takes.

    Raises:
        DBAPIError: the database does not answer.
    """
    found = survey(connection)
    yield from _of_number(connection, found)
    yield from _of_places(connection, found)
    yield from _of_names(connection, found)
    yield from _of_bytes(connection)
    yield from _of_sums(connection, found)
    yield from of_log(connection, found)
    yield from of_trash(connection, found)
    yield from _of_versions(connection)
    yield from of_locks(connection, found)


def count(connection: Connection) -> dict[str, int]:
    """How much there is to look at."""
    asked = {"nodes": tables.node, "spaces": tables.space}
    return {
        name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
        for name, table in asked.items()
    }


def sums_of(connection: Connection, found: Survey) -> Sums:
    """Add up, from the deepest folders to the roots."""
    kept = {number: size for number, size, _, _ in sizes_of_versions(connection)}
    sums = Sums({}, {}, {}, {}, {row.id: row.serial for row in found.spaces.values()})
    sizes, versions, serials = (dict.fromkeys(found.folders.values(), 0) for _ in range(3))
    for position, kind in enumerate(found.kinds):
        if kind == FOLDER:
            continue
        actual = kept.get(found.ids[position], 0)
        if actual != found.versions[position]:
            sums.versions[position] = actual
        if (parent := found.parents[position]) >= 0:
            sizes[parent] += found.sizes[position] if kind == FILE else 0
            versions[parent] += actual
            highest = max(found.serials[position], found.tree_serials[position])
            serials[parent] = max(serials[parent], highest)
    for position in found.deepest_first():
        _settle(found, sums, position, sizes, versions, serials)
    return sums


def _settle(
    found: Survey, sums: Sums, position: int, sizes: dict[int, int], versions: dict[int, int], serials: dict[int, int]
) -> None:
    """Compare a folder with what lies in it, and hand that on to the folder that it lies in."""
    space_id = found.tops[found.homes[position]]
    serial = max(serials[position], found.serials[position], found.tree_serials[position])
    sums.highest[space_id] = max(sums.highest[space_id], serial)
    parent = found.parents[position]
    if parent == TOP:
        sums.below[position] = (sizes[position], versions[position])
        if found.ids[position] == found.spaces[space_id].trash_id:
            return  # what has been deleted is counted by the space, and nobody compares tags there
    else:
        sizes[parent] += sizes[position]
        versions[parent] += versions[position]
        serials[parent] = max(serials[parent], serial)
    if sizes[position] != found.sizes[position]:
        sums.sizes[position] = sizes[position]
    if versions[position] != found.versions[position]:
        sums.versions[position] = versions[position]
    if serial > found.tree_serials[position]:
        sums.serials[position] = serial


def counts_of(row: Space, found: Survey, sums: Sums) -> dict[str, int]:
    """What a space's row should say."""
    root = sums.below.get(found.folders.get(row.root_id, -1), (0, 0))
    gone = sums.below.get(found.folders.get(row.trash_id, -1), (0, 0))
    return {"used_files": root[0], "used_versions": root[1], "used_trash": sum(gone)}


def _of_number(connection: Connection, found: Survey) -> Iterator[Finding]:
    following = connection.execute(select(tables.number.c.next).where(tables.number.c.id == 1)).scalar()
    highest = max(found.ids, default=0)
    if following is None or following <= highest:
        yield _finding(Kind.NUMBER, "the next node", f"it would have the number {following}, and {highest} is taken")


def _of_places(connection: Connection, found: Survey) -> Iterator[Finding]:
    for row in found.spaces.values():
        for number, name in ((row.root_id, "root"), (row.trash_id, "trash")):
            if found.tops.get(found.folders.get(number, -1)) != row.id:
                yield _finding(Kind.ROOT, f"space {row.id}", f"its {name}, node {number}, is not there", row.id)
    for head in found.heads():
        parents = select(node.c.parent_id, node.c.name).where(node.c.id == found.ids[head])
        parent, name = connection.execute(parents).one()
        detail = f"it lies in node {parent}, which is no folder that hangs anywhere"
        yield _finding(Kind.LOST, f"node {found.ids[head]} ({name!r})", detail)
    for position, kind in enumerate(found.kinds):
        if kind and found.home_of(position) >= 0 and (depth := found.depth_of(position)) > MAX_SEGMENTS:
            detail = f"{depth} names lead to it, and {MAX_SEGMENTS} are the most"
            yield _finding(Kind.DEEP, subject(connection, found, position), detail, found.space_of(position))


def _of_names(connection: Connection, found: Survey) -> Iterator[Finding]:
    for position, wrong in enumerate(found.wrong):
        if not wrong:
            continue
        space_id = found.space_of(position)
        if wrong & BAD_FORM:
            detail = "its kind, digest, target and size do not fit each other"
            yield _finding(Kind.FORM, subject(connection, found, position), detail, space_id)
        if wrong & BAD_NAME:
            detail = "nothing may be called so"
            yield _finding(Kind.NAME, subject(connection, found, position), detail, space_id)
        if has_wrong_key(found, position):
            detail = "nobody finds it by its name"
            yield _finding(Kind.KEY, subject(connection, found, position), detail, space_id)


def has_wrong_key(found: Survey, position: int) -> bool:
    """Is it found by another key than its space's rule makes of its name?"""
    space_id = found.space_of(position)
    if space_id is None:
        return False  # lost: it gets one when it is found
    is_folded = found.spaces[space_id].case_policy == "preserving"
    return bool(found.wrong[position] & (OTHER_FOLDED_KEY if is_folded else OTHER_KEY))


def _of_bytes(connection: Connection) -> Iterator[Finding]:
    """Files, and what they had in them before, beside blobs: both in order of digest."""
    stored = _Stored(connection)
    files = select(node.c.digest, node.c.size, node.c.id, node.c.name)
    files = files.where(node.c.kind == FILE, node.c.digest.is_not(None)).order_by(node.c.digest)
    for row, detail in stored.without(connection, files):
        yield _finding(Kind.BYTES, f"node {row.id} ({row.name!r})", detail)
    older = select(version.c.digest, version.c.size, version.c.node_id, version.c.revision).order_by(version.c.digest)
    for row, detail in stored.without(connection, older):
        yield _finding(Kind.BYTES, f"revision {row.revision} of node {row.node_id}", detail)


class _Stored:
    """Digests and sizes of all blobs, 40 bytes for each: MariaDB reads one long answer at a time."""

    def __init__(self, connection: Connection) -> None:
        self._digests = bytearray()
        self._sizes = array("q")
        for item in inventory(connection, ()):
            if item.is_whole:
                self._digests += bytes.fromhex(item.digest)
                self._sizes.append(item.size)

    def without(self, connection: Connection, asked: Select[Any]) -> Iterator[tuple[Any, str]]:
        """Rows, in order of digest, whose bytes are not there, and why."""
        at = 0
        for row in connection.execute(asked, execution_options={"yield_per": ROWS_AT_ONCE}):
            digest = bytes.fromhex(row.digest)
            while at < len(self._sizes) and self._digest(at) < digest:
                at += 1
            if at == len(self._sizes) or self._digest(at) != digest:
                yield row, f"there is no whole blob {row.digest}"
            elif self._sizes[at] != row.size:
                yield row, f"it says {row.size} bytes, and blob {row.digest} has {self._sizes[at]}"

    def _digest(self, at: int) -> bytes:
        return bytes(self._digests[32 * at : 32 * at + 32])


def _of_sums(connection: Connection, found: Survey) -> Iterator[Finding]:
    sums = sums_of(connection, found)
    for name, wrong, given in (("size", sums.sizes, found.sizes), ("versions", sums.versions, found.versions)):
        for position, right in wrong.items():
            detail = f"{name}: it says {given[position]}, and all in it come to {right}"
            yield _finding(Kind.SUM, subject(connection, found, position), detail, found.space_of(position))
    for position, serial in sums.serials.items():
        detail = f"its tree is at {found.tree_serials[position]}, and something in it at {serial}"
        yield _finding(Kind.SERIAL, subject(connection, found, position), detail, found.space_of(position))
    for row in found.spaces.values():
        for name, right in counts_of(row, found, sums).items():
            if getattr(row, name) != right:
                detail = f"{name}: it says {getattr(row, name)}, and it is {right}"
                yield _finding(Kind.SPACE, f"space {row.id}", detail, row.id)
        if sums.highest[row.id] > row.serial:
            detail = f"it is at serial {row.serial}, and something in it at {sums.highest[row.id]}"
            yield _finding(Kind.SERIAL, f"space {row.id}", detail, row.id)


def of_log(connection: Connection, found: Survey) -> Iterator[Finding]:
    """Serials follow each other. A hole may only be where a folder came from a space with higher ones."""
    last = {row.id: row.log_floor for row in found.spaces.values()}
    asked = select(change.c.space_id, change.c.serial, change.c.what, change.c.kind)
    asked = asked.order_by(change.c.space_id, change.c.serial)
    for space_id, serial, what, kind in connection.execute(asked, execution_options={"yield_per": ROWS_AT_ONCE}):
        if space_id not in last or serial <= last[space_id]:
            continue  # of a space that is no more, or forgotten and not yet taken away
        if serial != last[space_id] + 1 and not (what == "created" and kind == FOLDER):
            yield _finding(Kind.LOG, f"space {space_id}", f"{serial} follows {last[space_id]}", space_id)
        last[space_id] = serial
    for row in found.spaces.values():
        if last[row.id] != row.serial:
            yield _finding(Kind.LOG, f"space {row.id}", f"it ends at {last[row.id]} instead of {row.serial}", row.id)


def of_trash(connection: Connection, found: Survey) -> Iterator[Finding]:
    """What lies directly in a trash has a row, and the other way round."""
    there = {found.folders[row.trash_id]: row for row in found.spaces.values() if row.trash_id in found.folders}
    lying = {found.ids[at]: there[parent].id for at, parent in enumerate(found.parents) if parent in there}
    asked = select(trash.c.node_id, trash.c.space_id)
    for number, space_id in connection.execute(asked, execution_options={"yield_per": ROWS_AT_ONCE}):
        if lying.pop(number, None) != space_id:
            detail = "a row says that it lies in the trash, and it does not"
            yield _finding(Kind.TRASH_ROW, f"node {number}", detail, space_id)
    for number, space_id in lying.items():
        yield _finding(Kind.TRASH, f"node {number}", "it lies in the trash, and no row says since when", space_id)


def _of_versions(connection: Connection) -> Iterator[Finding]:
    asked = select(version.c.node_id, version.c.revision, node.c.kind, node.c.revision)
    asked = asked.select_from(version.outerjoin(node, node.c.id == version.c.node_id))
    wrong = or_(node.c.id.is_(None), node.c.kind != FILE, version.c.revision >= node.c.revision)
    for number, revision, kind, present in connection.execute(asked.where(wrong)):
        detail = f"the file is at revision {present} itself" if kind == FILE else "there is no such file"
        yield _finding(Kind.VERSION, f"revision {revision} of node {number}", detail)


def of_locks(connection: Connection, found: Survey) -> Iterator[Finding]:
    """Locks hang on something that is alive, and spaces count them."""
    asked = select(lock.c.token, lock.c.node_id, lock.c.space_id, node.c.id)
    asked = asked.select_from(lock.outerjoin(node, node.c.id == lock.c.node_id))
    counts = dict.fromkeys(found.spaces, 0)
    for token, number, space_id, there in connection.execute(asked).fetchall():
        chain = None if there is None or space_id not in counts else chain_of(connection, number)
        if chain is None or chain.space_id != space_id or chain.names[0] != ROOT:
            yield _finding(Kind.LOCK, token, f"it hangs on node {number}, which is not in space {space_id}", space_id)
        if space_id in counts:
            counts[space_id] += 1
    for row in found.spaces.values():
        if counts[row.id] != row.lock_count:
            detail = f"lock_count: it says {row.lock_count}, and there are {counts[row.id]}"
            yield _finding(Kind.SPACE, f"space {row.id}", detail, row.id)


def subject(connection: Connection, found: Survey, position: int) -> str:
    """A node for people: its number, and where it lies."""
    number = found.ids[position]
    chain = None if found.home_of(position) < 0 else chain_of(connection, number)
    return f"node {number}" if chain is None else f"node {number} ({_shown(chain)})"


def _shown(chain: Chain) -> str:
    where = "trash:" if chain.names[0] == TRASH else ""
    return f"space {chain.space_id}, {where}/{'/'.join(chain.names[1:])}"


def _finding(kind: Kind, about: str, detail: str, space_id: int | None = None) -> Finding:
    return Finding(kind, about, detail, REMEDIES[kind], space_id)
