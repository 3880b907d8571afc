"""People who do things to a tree at random, all at once, each in what they last saw of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from creamery.hive import tree
from creamery.hive.acts import Act
from creamery.hive.errors import Refused
from creamery.hive.tree import Place
from tests.doubles.grove import Grove, content

Path = tuple[str, ...]
Where = tuple[int, Path]


class Gardener:
    """One of them; what is refused is refused."""

    def __init__(self, number: int, space_ids: Sequence[int]) -> None:
        self.number = number
        self._space_ids = space_ids
        self._random = random.Random(number)
        self._folders: list[Where] = [(space_id, ()) for space_id in space_ids]
        self._files: list[Where] = []
        self._made = 0
        self._last: Future[Any] | None = None
        self._at: list[Where] = []

    def do(self, grove: Grove) -> Future[Any]:
        """The next thing, once the last one has ended: what was refused is not tried again."""
        if self._last is not None and self._last.exception(60) is not None:
            for space_id, path in self._at:
                self._forget(space_id, path)
        self._last = self._do(grove)
        return self._last

    def _do(self, grove: Grove) -> Future[Any]:
        act = grove.act(self.number)
        turn = self._random.random()
        if turn < 0.5 or len(self._files) < 5:
            return self._put(grove, act)
        if turn < 0.65:
            return self._make_folder(grove, act)
        if turn < 0.75:
            return self._delete(grove, act)
        return self._move(grove, act)

    def _forget(self, space_id: int, path: Path) -> None:
        """Itself, and what would lie below; a space's root stays."""
        if path:
            gone = len(path)
            for places in (self._folders, self._files):
                places[:] = [each for each in places if each[0] != space_id or each[1][:gone] != path]

    def _put(self, grove: Grove, act: Act) -> Future[Any]:
        is_new = self._random.random() < 0.6 or not self._files
        space_id, path = self._new_place() if is_new else self._random.choice(self._files)
        self._files.append((space_id, path))
        self._at = [(space_id, path[:-1])]
        self._made += 1
        body = content(b"%d of %d" % (self._made, self.number))
        place = Place(space_id, path)
        return grove.submit(lambda connection: tree.put(connection, act, place, body), gathers=True)

    def _make_folder(self, grove: Grove, act: Act) -> Future[Any]:
        space_id, path = self._new_place()
        self._folders.append((space_id, path))
        self._at = [(space_id, path[:-1])]
        place = Place(space_id, path)
        return grove.submit(lambda connection: tree.make_folder(connection, act, place), gathers=True)

    def _delete(self, grove: Grove, act: Act) -> Future[Any]:
        space_id, path = self._random.choice(self._files if self._random.random() < 0.9 else self._folders)
        place = Place(space_id, path)
        self._at = [(space_id, path)]
        return grove.submit(lambda connection: tree.delete(connection, act, place))

    def _move(self, grove: Grove, act: Act) -> Future[Any]:
        source = Place(*self._random.choice(self._files if self._random.random() < 0.85 else self._folders))
        target = Place(*self._new_place())
        self._at = [(source.space_id, source.names)]
        return grove.submit(lambda connection: tree.move(connection, act, source, target, overwrite=True))

    def _new_place(self) -> tuple[int, Path]:
        space_id, path = self._random.choice(self._folders[-12:] + self._folders[: len(self._space_ids)])
        return space_id, (*path[-6:], self._random.choice("abcdefghijklmnop"))


def settled(futures: Sequence[Future[Any]]) -> int:
    """Wait for all; how many were done. What is no refusal is an error."""
    done = 0
    for future in futures:
        error = future.exception(60)
        if error is None:
            done += 1
        elif not isinstance(error, Refused):
            raise error
    return done
