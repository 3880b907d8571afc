"""Nodes as values, and the questions that find them. None of them costs more than the depth of a path.

A path is found by joining one node to the next, up to 16 in one statement: over the primary key, forwards. (With an
index on parents alone SQLite begins at the leaf's end and reads the whole table: tests hold the plan.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, FromClause, and_, bindparam, insert, select

from creamery.contract import Digest
from creamery.database import Prepared
from creamery.hive.tables import FILE, FOLDER, node

STEPS_AT_ONCE = 16
"""Names in one statement: SQLite joins 64 tables, MariaDB 61."""


class Node(NamedTuple):
    """A folder, a file or a mount.

    Attributes:
        parent_id, name_key: where it is.
        id: its number, for ever.
        name: as it was sent.
        kind: `FOLDER`, `FILE` or `MOUNT`.
        digest: of a file's bytes.
        size: of a file; of everything below a folder.
        versions_size: bytes of its former contents, or of all below it.
        revision: how often a file's bytes have changed, from 1.
        serial: of the space's last change of this node itself.
        tree_serial: the same for it and everything below.
        mtime, created: microseconds since 1970.
        author_id: the user who brought the present bytes.
        target_id: what a mount shows.
        flags: see `tables.py`.
    """

    parent_id: int
    name_key: str
    id: int
    name: str
    kind: int
    digest: Digest | None
    size: int
    versions_size: int
    revision: int
    serial: int
    tree_serial: int
    mtime: int
    created: int
    author_id: int | None
    target_id: int | None
    flags: int

    @property
    def is_folder(self) -> bool:
        """Can something lie in it?"""
        return self.kind == FOLDER

    @property
    def is_file(self) -> bool:
        """Has it bytes?"""
        return self.kind == FILE


class Step(NamedTuple):
    """A node that a path leads through."""

    id: int
    kind: int


class Found(NamedTuple):
    """Where a path leads.

    Attributes:
        above: what it leads through, from the root on, as far as it is there; not the node itself.
        node: what it names; None where nothing does.
        missing: how many of its last names nothing has.
    """

    above: tuple[Step, ...]
    node: Node | None
    missing: int

    @property
    def has_parent(self) -> bool:
        """Is the folder there that the last name would lie in, and is it one?"""
        return self.missing <= 1 and bool(self.above) and self.above[-1].kind == FOLDER

    @property
    def ancestors(self) -> list[int]:
        """The numbers of what it lies in."""
        return [step.id for step in self.above]


def find(connection: Connection, root_id: int, keys: Sequence[str]) -> Found:
    """Follow the keys of names from a folder down. One statement for each 16."""
    if not keys:
        return Found((), by_id(connection, root_id), 0)
    above = [Step(root_id, FOLDER)]
    last: Node | None = None
    for start in range(0, len(keys), STEPS_AT_ONCE):
        if last is not None:
            above.append(Step(last.id, last.kind))
        some = keys[start : start + STEPS_AT_ONCE]
        values = {"root": above[-1].id, **{f"k{depth}": key for depth, key in enumerate(some)}}
        row: Any = _steps(len(some)).run(connection, values).first()
        if row is not None:
            ids, kinds = row[0 : 2 * len(some) - 2 : 2], row[1 : 2 * len(some) - 1 : 2]
            above += [Step(*step) for step in zip(ids, kinds, strict=True) if step[0] is not None]
        if row is None or row[2 * len(some)] is None:
            return Found(tuple(above), None, len(keys) - len(above) + 1)
        last = node_of(row[2 * len(some) - 2 :])
    return Found(tuple(above), last, 0)


@lru_cache(STEPS_AT_ONCE)
def _steps(count: int) -> Prepared:
    tables = [node.alias(f"n{depth}") for depth in range(count)]
    joined: FromClause = tables[0]
    for depth in range(1, count):
        on = and_(
            tables[depth].c.parent_id == tables[depth - 1].c.id, tables[depth].c.name_key == bindparam(f"k{depth}")
        )
        joined = joined.outerjoin(tables[depth], on)
    wanted = [column for table in tables[:-1] for column in (table.c.id, table.c.kind)]
    asked = select(*wanted, *tables[-1].c).select_from(joined)
    return Prepared(asked.where(tables[0].c.parent_id == bindparam("root"), tables[0].c.name_key == bindparam("k0")))


def node_of(row: Any) -> Node:
    """A row of the table as the driver gives it."""
    digest = row[5]
    return Node._make((*row[:5], None if digest is None else Digest(bytes(digest).hex()), *row[6:]))


_BY_ID = Prepared(select(node).where(node.c.id == bindparam("id")))


def by_id(connection: Connection, node_id: int) -> Node | None:
    """One point read."""
    row = _BY_ID.run(connection, {"id": node_id}).first()
    return None if row is None else node_of(row)


_CHILDREN = Prepared(
    select(node)
    .where(node.c.parent_id == bindparam("parent"), node.c.name_key > bindparam("after"))
    .order_by(node.c.name_key)
    .limit(bindparam("limit"))
)


def children(connection: Connection, parent_id: int, after: str = "", limit: int = 1_000) -> list[Node]:
    """The next nodes of a folder, in the order of their keys; one range of the table."""
    found = _CHILDREN.run(connection, {"parent": parent_id, "after": after, "limit": limit}).fetchall()
    return [node_of(row) for row in found]


def every_child(connection: Connection, parent_id: int) -> Iterator[Node]:
    """All nodes of a folder, in the order of their keys; read in pages, so that none of them need fit in memory."""
    after = ""
    while some := children(connection, parent_id, after):
        yield from some
        after = some[-1].name_key


_ABOVE = Prepared(select(node.c.parent_id, node.c.name).where(node.c.id == bindparam("id")))


class Chain(NamedTuple):
    """What a node lies in.

    Attributes:
        space_id: of whose two trees it is in one.
        names: from the topmost node (`ROOT` or `TRASH`) down to the node itself.
        above: the numbers of what it lies in, the topmost first.
    """

    space_id: int
    names: tuple[str, ...]
    above: tuple[int, ...]


def chain_of(connection: Connection, node_id: int) -> Chain | None:
    """From a node up, one point read for each level; None where the chain ends nowhere, or in itself."""
    names: list[str] = []
    numbers: list[int] = []
    at = node_id
    while True:
        row: Any = _ABOVE.run(connection, {"id": at}).first()
        if row is None:
            return None
        names.append(row[1])
        at = int(row[0])
        if at < 0:
            return Chain(-at, tuple(reversed(names)), tuple(reversed(numbers)))
        if at in numbers:
            return None
        numbers.append(at)


_INSERT = Prepared(insert(node), [column.key for column in node.columns])


def insert_node(connection: Connection, fresh: Node) -> None:
    """A new row."""
    _INSERT.run(connection, fresh._asdict())


def insert_nodes(connection: Connection, fresh: Sequence[Node]) -> None:
    """New rows."""
    _INSERT.run_many(connection, [each._asdict() for each in fresh])
