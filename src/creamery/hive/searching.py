"""Files and folders found by a part of their name, in the spaces of whoever asks.

Folders are walked from a space's root down, those nearest to it first. So what is found is alive, and is in a space
that was named: nothing of the trash, and nothing of others, is even read. One statement reads what lies in some hundred
folders, and gives back what is a folder itself and what may be meant.

Neither case nor accents count (`folded`). The database compares names of ASCII alone, where that is simple in each of
them; names with other characters are compared here. With SQLite 1,000,000 names without a hit take half a second.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, LargeBinary, Select, and_, cast, func, or_, select, true

from creamery.hive.ledger import Space
from creamery.hive.nodes import Node
from creamery.hive.tables import FOLDER, node
from creamery.limits import Limits

FOLDERS_AT_ONCE = 500
"""In one statement; MariaDB and SQLite take thousands of parameters."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for: all of it must be so.

    Attributes:
        part: of the name; empty: any name.
        kind: see `tables.py`; None: any.
        least_size, most_size: bytes of a file, or of all below a folder.
        since, until: of its last change, in microseconds since 1970; itself included.
    """

    part: str = ""
    kind: int | None = None
    least_size: int | None = None
    most_size: int | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that is so.

    Attributes:
        space_id: where it is.
        path: from the space's root down, its own name last.
        node: itself.
    """

    space_id: int
    path: tuple[str, ...]
    node: Node


@dataclass(frozen=True, slots=True)
class Hits:
    """What was found, by space and path.

    Attributes:
        hits: no more than were asked for.
        is_cut: there may be more; how many, nobody has counted.
    """

    hits: tuple[Hit, ...]
    is_cut: bool


def search(connection: Connection, spaces: Sequence[Space], wish: Wish, most: int, limits: Limits) -> Hits:
    """Look through spaces. For a snapshot, in a thread.

    Args:
        connection: any.
        spaces: those of whoever asks (`access.spaces_for`): nobody asks for rights here.
        wish: what for.
        most: hits.
        limits: `search_rows` bounds the time: folders, and names that the database cannot compare.
    """
    found: list[Hit] = []
    left = limits.search_rows
    for row in spaces:
        walk = _Walk(connection, row, wish, left)
        for hit in walk.hits():
            if len(found) == most:
                return _told(found, is_cut=True)
            found.append(hit)
        left = walk.left
        if left < 0:
            return _told(found, is_cut=True)
    return _told(found, is_cut=False)


def folded(name: str) -> str:
    """What two names have in common that differ in case, accents and form only: `Straße` and `STRASSE`."""
    if name.isascii():
        return name.lower()
    return _without_marks(_without_marks(name).casefold())  # folding makes new marks: of `İ`, and of Greek


def _without_marks(name: str) -> str:
    return "".join([each for each in unicodedata.normalize("NFKD", name) if unicodedata.category(each) != "Mn"])


def _told(found: Sequence[Hit], *, is_cut: bool) -> Hits:
    return Hits(tuple(sorted(found, key=lambda hit: (hit.space_id, hit.path))), is_cut)


class _Walk:
    """Through one space.

    Attributes:
        left: rows that may still be read; below 0: there were more.
    """

    def __init__(self, connection: Connection, row: Space, wish: Wish, left: int) -> None:
        self._connection = connection
        self._row = row
        self._wish = wish
        self._part = folded(wish.part)
        self._names: dict[int, tuple[int, str]] = {}
        self.left = left

    def hits(self) -> Iterator[Hit]:
        """One after the other, as they are found."""
        waiting = deque([self._row.root_id])
        while waiting and self.left >= 0:
            some = [waiting.popleft() for _ in range(min(FOLDERS_AT_ONCE, len(waiting)))]
            for row in self._connection.execute(self._asked(some)):
                self.left -= 1
                if self.left < 0:
                    return
                each = Node._make(row)
                if each.is_folder:
                    self._names[each.id] = (each.parent_id, each.name)
                    waiting.append(each.id)
                if self._is_meant(each):
                    yield Hit(self._row.id, self._path_of(each), each)

    def _asked(self, folders: Sequence[int]) -> Select[tuple[Node]]:
        asked = select(node).where(
            node.c.parent_id.in_(folders), or_(node.c.kind == FOLDER, and_(true(), *self._conditions()))
        )
        return asked.limit(self.left + 1)

    def _conditions(self) -> Iterator[ColumnElement[bool]]:
        """What the database can tell of anything that is meant."""
        wish = self._wish
        if wish.kind is not None:
            yield node.c.kind == wish.kind
        if wish.least_size is not None:
            yield node.c.size >= wish.least_size
        if wish.most_size is not None:
            yield node.c.size <= wish.most_size
        if wish.since is not None:
            yield node.c.mtime >= wish.since
        if wish.until is not None:
            yield node.c.mtime <= wish.until
        if self._part:
            others = _has_others_than_ascii(self._connection)
            yield or_(node.c.name.icontains(self._part, autoescape=True), others) if self._part.isascii() else others

    def _is_meant(self, each: Node) -> bool:
        wish = self._wish
        return (
            self._part in folded(each.name)
            and wish.kind in {None, each.kind}
            and _is_between(each.size, wish.least_size, wish.most_size)
            and _is_between(each.mtime, wish.since, wish.until)
        )

    def _path_of(self, each: Node) -> tuple[str, ...]:
        path = [each.name]
        above = each.parent_id
        while above in self._names:
            above, name = self._names[above]
            path.append(name)
        return tuple(reversed(path))


def _is_between(value: int, least: int | None, most: int | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _has_others_than_ascii(connection: Connection) -> ColumnElement[bool]:
    """In UTF-8 such a name has more bytes than characters."""
    if connection.dialect.name == "sqlite":  # `octet_length` came with 3.43
        return func.length(cast(node.c.name, LargeBinary)) != func.length(node.c.name)
    return func.octet_length(node.c.name) != func.char_length(node.c.name)
