"""What happened in a space since a serial: for clients that ask instead of looking everywhere (RFC 6578).

The log says what happened where; what is true now, the tree says. So a name that went and came back is a change and
no loss, and a line about a thing that has gone since is told as its loss, once, where it last was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select, update

from creamery.hive.ledger import Space
from creamery.hive.names import key_of
from creamery.hive.nodes import Node, by_id, chain_of, every_child, find
from creamery.hive.tables import FOLDER, ROOT, change, space

MOST_LINES = 10_000
"""Of the log, in one answer: whoever has missed more lists anew."""

_TOKEN = re.compile(r"urn:x-creamery:sync:([0-9]{1,18}):([0-9a-f]{8}):([0-9]{1,18})", re.ASCII)


class StaleToken(Exception):
    """A token of another space, of before a restore, or of so long ago that nobody knows; or of no hub at all."""

    def __init__(self) -> None:
        super().__init__("The sync-token is not, or no longer, one of this folder's. List it anew with an empty one.")


class TooManyResults(Exception):
    """More would have to be told at once than may be."""

    def __init__(self, most: int) -> None:
        super().__init__(f"More than {most} files and folders would have to be told at once. List folder by folder.")


@dataclass(frozen=True, slots=True)
class Told:
    """What a client is told.

    Attributes:
        there: what is there, new or other than before, with its path from the folder that was asked for.
        gone: paths of what was there, and is not.
        serial: what it may ask from next time.
        is_cut: there is more; ask on from `serial`.
    """

    there: tuple[tuple[tuple[str, ...], Node], ...]
    gone: tuple[tuple[str, ...], ...]
    serial: int
    is_cut: bool = False


def token_of(space_id: int, epoch: str, serial: int) -> str:
    """What a client keeps: the same for every folder of a space."""
    return f"urn:x-creamery:sync:{space_id}:{epoch}:{serial}"


def serial_of(token: str, row: Space, epoch: str) -> int:
    """The serial that a token of this space names.

    Raises:
        StaleToken: it is none, or nobody knows what happened since.
    """
    found = _TOKEN.fullmatch(token)
    if found is None or int(found[1]) != row.id or found[2] != epoch:
        raise StaleToken
    serial = int(found[3])
    if not row.log_floor <= serial <= row.serial:
        raise StaleToken
    return serial


def everything(connection: Connection, row: Space, folder: Node, *, is_deep: bool, most: int) -> Told:
    """All that lies in a folder now, for whoever knows nothing yet.

    Raises:
        TooManyResults: it is more than `most`.
    """
    there: list[tuple[tuple[str, ...], Node]] = []
    for found in _below(connection, folder.id, is_deep=is_deep):
        there.append(found)
        if len(there) > most:
            raise TooManyResults(most)
    return Told(tuple(there), (), row.serial)


def since(connection: Connection, row: Space, folder: Node, serial: int, *, is_deep: bool, most: int) -> Told:
    """What happened in a folder, and with `is_deep` below it, after a serial.

    Raises:
        StaleToken: so much that listing costs less; or another folder has the name of one that is gone.
        TooManyResults: what one line tells is more than `most`: a large folder that came.
    """
    asked = select(change).where(change.c.space_id == row.id, change.c.serial > serial).order_by(change.c.serial)
    lines = connection.execute(asked.limit(MOST_LINES + 1)).fetchall()
    if len(lines) > MOST_LINES:
        raise StaleToken
    reader = _Reader(connection, row, folder, is_deep=is_deep)
    upto = serial
    for line in lines:
        before = reader.count
        reader.take(line)
        if reader.count > most:
            if not before:
                raise TooManyResults(most)
            reader.take_back()
            return reader.told(upto, is_cut=True)
        upto = line.serial
    return reader.told(row.serial, is_cut=False)


class _Reader:
    """What the lines read so far come to."""

    def __init__(self, connection: Connection, row: Space, folder: Node, *, is_deep: bool) -> None:
        self._connection = connection
        self._row = row
        self._folder = folder
        self._is_deep = is_deep
        self._there: dict[int, tuple[tuple[str, ...], Node]] = {}
        self._gone: dict[tuple[str, ...], None] = {}
        self._last: tuple[list[int], list[tuple[str, ...]]] = ([], [])

    @property
    def count(self) -> int:
        """How many results there are."""
        return len(self._there) + len(self._gone)

    def take(self, line: Any) -> None:
        """One line of the log."""
        self._last = ([], [])
        if line.what == "gone":
            self._take_gone(line.node_id, line.parent_id, line.name, line.kind)
        else:
            self._take_there(line.node_id, came=line.what in {"created", "moved"})

    def take_back(self) -> None:
        """The last line was one too many."""
        for number in self._last[0]:
            del self._there[number]
        for path in self._last[1]:
            del self._gone[path]

    def told(self, serial: int, *, is_cut: bool) -> Told:
        """All of it."""
        return Told(tuple(self._there.values()), tuple(self._gone), serial, is_cut)

    def _take_there(self, node_id: int, *, came: bool) -> None:
        node = by_id(self._connection, node_id)
        path = None if node is None else self._path_of(node.id)
        if node is None or path is None or (len(path) > 1 and not self._is_deep):
            return
        self._tell(path, node)
        if came and self._is_deep and node.is_folder:
            for below, each in _below(self._connection, node.id, is_deep=True):
                self._tell((*path, *below), each)

    def _tell(self, path: tuple[str, ...], node: Node) -> None:
        if node.id not in self._there:
            self._last[0].append(node.id)
        self._there[node.id] = (path, node)

    def _take_gone(self, node_id: int, parent_id: int, name: str, kind: int) -> None:
        above = () if parent_id == self._folder.id else self._path_of(parent_id)
        if above is None or (above and not self._is_deep):
            return
        now = find(self._connection, parent_id, [key_of(name, self._row.case_policy)]).node
        if now is None:
            path = (*above, name)
            if path not in self._gone:
                self._last[1].append(path)
                self._gone[path] = None
        elif kind == FOLDER and now.id != node_id and self._is_deep:
            raise StaleToken  # an answer names a path once, and nobody knows what of the old folder a client has

    def _path_of(self, node_id: int) -> tuple[str, ...] | None:
        """From the folder down to a node below it; None where it is elsewhere."""
        chain = chain_of(self._connection, node_id)
        if chain is None or chain.names[0] != ROOT or self._folder.id not in chain.above:
            return None
        return chain.names[chain.above.index(self._folder.id) + 1 :]


def _below(connection: Connection, folder_id: int, *, is_deep: bool) -> Iterator[tuple[tuple[str, ...], Node]]:
    waiting: list[tuple[tuple[str, ...], int]] = [((), folder_id)]
    while waiting:
        path, number = waiting.pop()
        for each in every_child(connection, number):
            yield (*path, each.name), each
            if is_deep and each.is_folder:
                waiting.append(((*path, each.name), each.id))


def forget_before(connection: Connection, moment: int, most: int) -> int:
    """Forget lines of the log from before a moment, the oldest first; returns how many, at most `most`.

    A space's floor rises before its lines go: whoever asks from below it is told to list anew.
    """
    asked = select(change.c.space_id, change.c.serial).where(change.c.at < moment).order_by(change.c.at).limit(most)
    last: dict[int, int] = {}
    for space_id, serial in connection.execute(asked):
        last[space_id] = max(serial, last.get(space_id, 0))
    count = 0
    for space_id, serial in sorted(last.items()):
        connection.execute(update(space).where(space.c.id == space_id).values(log_floor=serial))
        gone = delete(change).where(change.c.space_id == space_id, change.c.serial <= serial)
        count += connection.execute(gone).rowcount
    return count
