"""All nodes at once, in arrays: what hangs where, and how much lies below. For checks, which ask of every node.

A million nodes take some 90 MB and 4 s, and a whole check of them 140 MB and 10 to 20 s. The table is read once, in its
own order, so that what lies in one folder comes together and its parent is looked up once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from creamery.hive.ledger import Space
from creamery.hive.names import NameRefused, check_name, key_of
from creamery.hive.spaces import every_space
from creamery.hive.tables import FILE, FOLDER, MOUNT, node, version

ROWS_AT_ONCE = 10_000

TOP, NOWHERE = -1, -2
"""In place of a parent's position: it is a space's root or trash; its parent is no folder, or not there."""

BAD_NAME, OTHER_KEY, OTHER_FOLDED_KEY, BAD_FORM = 1, 2, 4, 8
"""Of a node's name and columns: no legal name; not its key where case counts, and where it does not; not as its kind
should be."""

_UNKNOWN, _ON_THE_WAY = 0, -2
_LOST = -1


@dataclass(slots=True)
class Survey:
    """Every node by its position in the table.

    Attributes:
        spaces: all of them, by number.
        ids, sizes, versions, serials, tree_serials: as the rows have them.
        kinds: `FOLDER`, `FILE` or `MOUNT`.
        wrong: `BAD_NAME` and its kin.
        parents: the position of the folder that it lies in, `TOP` or `NOWHERE`.
        folders: positions of folders, by number.
        tops: of a position that is `TOP`, the space.
        homes: of a folder, the position of the root or trash that it lies below; -1: of none.
        depths: of a folder, how many names lead to it.
        cycles: of each ring of folders that lie in each other, the one with the lowest number.
    """

    spaces: dict[int, Space]
    ids: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    versions: array[int] = field(default_factory=lambda: array("q"))
    serials: array[int] = field(default_factory=lambda: array("q"))
    tree_serials: array[int] = field(default_factory=lambda: array("q"))
    kinds: bytearray = field(default_factory=bytearray)
    wrong: bytearray = field(default_factory=bytearray)
    parents: array[int] = field(default_factory=lambda: array("q"))
    folders: dict[int, int] = field(default_factory=dict)
    tops: dict[int, int] = field(default_factory=dict)
    homes: array[int] = field(default_factory=lambda: array("q"))
    depths: array[int] = field(default_factory=lambda: array("i"))
    cycles: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def home_of(self, position: int) -> int:
        """The position of the root or trash that a node is, or lies below; -1 where it lies nowhere."""
        if self.kinds[position] == FOLDER:
            return self.homes[position]
        parent = self.parents[position]
        return _LOST if parent < 0 else self.homes[parent]

    def depth_of(self, position: int) -> int:
        """How many names lead to a node that lies somewhere."""
        return 0 if self.parents[position] < 0 else self.depths[self.parents[position]] + 1

    def space_of(self, position: int) -> int | None:
        """The number of its space."""
        home = self.home_of(position)
        return None if home < 0 else self.tops[home]

    def heads(self) -> Iterator[int]:
        """Of all that lies nowhere, what the rest of it lies below: a node without a parent, one of each ring."""
        yield from (at for at, parent in enumerate(self.parents) if parent == NOWHERE)
        yield from self.cycles

    def deepest_first(self) -> list[int]:
        """Positions of all folders that lie somewhere."""
        found = [position for position in self.folders.values() if self.homes[position] >= 0]
        found.sort(key=self.depths.__getitem__, reverse=True)
        return found


def survey(connection: Connection) -> Survey:
    """Read all nodes, and find where each hangs."""
    found = Survey({row.id: row for row in every_space(connection)})
    parent_ids = _read(connection, found)
    _find_parents(found, parent_ids)
    found.homes.frombytes(bytes(8 * len(found)))
    found.depths.frombytes(bytes(found.depths.itemsize * len(found)))
    for position in found.folders.values():
        if found.homes[position] == _UNKNOWN:
            _climb(found, position)
    for position in found.folders.values():  # a position counts from 0, and 0 meant unknown while they were found
        if found.homes[position] > 0:
            found.homes[position] -= 1
    return found


def sizes_of_versions(connection: Connection) -> Iterator[tuple[int, int, int, int]]:
    """Of each file that has some: its number, their bytes, how many there are, the highest revision."""
    asked = select(version.c.node_id, func.sum(version.c.size), func.count(), func.max(version.c.revision))
    grouped = asked.group_by(version.c.node_id).order_by(version.c.node_id)
    for number, size, count, highest in connection.execute(grouped, execution_options={"yield_per": ROWS_AT_ONCE}):
        yield number, int(size), count, highest


def _read(connection: Connection, found: Survey) -> array[int]:
    """The columns as they are; returns the parents' numbers."""
    parent_ids = array("q")
    columns = (node.c.parent_id, node.c.name_key, node.c.id, node.c.name, node.c.kind, node.c.digest, node.c.size)
    more = (node.c.versions_size, node.c.serial, node.c.tree_serial, node.c.target_id)
    asked = select(*columns, *more).order_by(node.c.parent_id, node.c.name_key)
    trashes = {row.trash_id for row in found.spaces.values()}
    for row in connection.execute(asked, execution_options={"yield_per": ROWS_AT_ONCE}):
        parent, key, number, name, kind, digest, size, versions, serial, tree_serial, target = row
        if kind == FOLDER:
            found.folders[number] = len(found.ids)
        parent_ids.append(parent)
        found.ids.append(number)
        found.kinds.append(kind if kind in {FOLDER, FILE, MOUNT} else 0)
        found.sizes.append(size)
        found.versions.append(versions)
        found.serials.append(serial)
        found.tree_serials.append(tree_serial)
        is_well_formed = (digest is not None) == (kind == FILE) and (target is not None) == (kind == MOUNT)
        wrong = 0 if is_well_formed and kind in {FOLDER, FILE, MOUNT} and size >= 0 else BAD_FORM
        if parent > 0:
            wrong |= _wrong_name(name, key if parent not in trashes else None, number, key)
        found.wrong.append(wrong)
    return parent_ids


def _wrong_name(name: str, key: str | None, number: int, given: str) -> int:
    """Args: `key` is None for what lies in the trash, whose key is its number."""
    wrong = 0
    try:
        check_name(name)
    except NameRefused:
        wrong = BAD_NAME
    if key is None:
        return wrong if given == str(number) else wrong | OTHER_KEY | OTHER_FOLDED_KEY
    if key != key_of(name, "sensitive"):
        wrong |= OTHER_KEY
    if key != key_of(name, "preserving"):
        wrong |= OTHER_FOLDED_KEY
    return wrong


def _find_parents(found: Survey, parent_ids: array[int]) -> None:
    tops = {number: row.id for row in found.spaces.values() for number in (row.root_id, row.trash_id)}
    last, place = 0, NOWHERE
    for position, parent in enumerate(parent_ids):
        if parent < 0:
            number = found.ids[position]
            is_top = tops.get(number) == -parent and found.kinds[position] == FOLDER
            if is_top:
                found.tops[position] = -parent
            found.parents.append(TOP if is_top else NOWHERE)
            continue
        if parent != last:
            last, place = parent, found.folders.get(parent, NOWHERE)
        found.parents.append(place)


def _climb(found: Survey, position: int) -> None:
    """From a folder up to one whose home is known, and back."""
    homes, parents, way = found.homes, found.parents, []
    at = position
    while homes[at] == _UNKNOWN:
        homes[at] = _ON_THE_WAY
        way.append(at)
        if parents[at] < 0:
            break
        at = parents[at]
    if homes[at] == _ON_THE_WAY and parents[at] == TOP:
        homes[at], depth = at + 1, 0
    elif homes[at] == _ON_THE_WAY:
        if parents[at] != NOWHERE:
            ring = way[way.index(at) :]
            found.cycles.append(min(ring, key=found.ids.__getitem__))
        homes[at], depth = _LOST, 0
    else:
        depth = found.depths[at]
    home = homes[at]
    for each in reversed(way):
        if each == at:
            continue
        depth += 1
        homes[each], found.depths[each] = home, depth
