"""A hive without bytes: its tables, one committer, and what is done to its trees in few words."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from creamery.clock import SystemClock
from creamery.contract import Digest, digest_of
from creamery.database import Committer, Database, Generations
from creamery.hive import spaces, tree
from creamery.hive.acts import Act
from creamery.hive.checking import Finding, Kind, check
from creamery.hive.ledger import Space
from creamery.hive.names import CasePolicy
from creamery.hive.nodes import Node
from creamery.hive.tables import node
from creamery.hive.tree import Content, Done, Place
from creamery.limits import Limits
from creamery.telemetry import Telemetry

T = TypeVar("T")

SECOND = 1_000_000


def content(data: bytes, mtime: int | None = None) -> Content:
    """As if the bytes were a blob."""
    return Content(Digest(digest_of(data)), len(data), mtime)


class Grove:
    """One process at a hive's database. Time goes on by ten seconds with each act that is asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = 1_700_000_000 * SECOND
        self._open()

    def _open(self) -> None:
        self.telemetry = Telemetry()
        self.database = Database(self.url, Limits(), self.telemetry)
        self.committer = Committer(self.database, Generations(self.database), Limits(), SystemClock(), self.telemetry)
        self.committer.start()

    def close(self) -> None:
        self.committer.close()
        self.database.close()

    def crash(self, into: Path) -> None:
        """Go on with what lay on the disk at this moment, as after `kill -9`; SQLite's log included."""
        assert self.database.path is not None
        into.mkdir()
        for file in self.database.path.parent.glob(f"{self.database.path.name}*"):
            shutil.copyfile(file, into / file.name)
        self.close()
        self.url = f"sqlite:///{into / self.database.path.name}"
        self._open()

    def act(self, user_id: int = 1, **more: Any) -> Act:
        self.now += 10 * SECOND
        return Act(self.now, user_id, **more)

    def write(self, work: Callable[[Connection], T], *, gathers: bool = False) -> T:
        return self.committer.write(work, gathers=gathers)

    def submit(self, work: Callable[[Connection], T], *, gathers: bool = False) -> Future[T]:
        return self.committer.submit(work, gathers=gathers)

    # Spaces

    def home(self, user_id: int, name: str) -> Space:
        return self.write(lambda connection: spaces.make_home(connection, user_id, name, self.now))

    def project(self, name: str, case_policy: CasePolicy = "sensitive", quota: int | None = None) -> Space:
        return self.write(lambda connection: spaces.make_project(connection, 1, name, self.now, case_policy, quota))

    def space(self, space_id: int) -> Space:
        found = self.database.read(lambda connection: spaces.find_space(connection, space_id))
        assert found is not None
        return found

    # What people do

    def put(self, space_id: int, path: str, data: bytes, **more: Any) -> Done:
        act, place = self.act(**more), at(space_id, path)
        return self.write(lambda connection: tree.put(connection, act, place, content(data)), gathers=True)

    def make_folder(self, space_id: int, path: str, **more: Any) -> Done:
        act, place = self.act(**more), at(space_id, path)
        return self.write(lambda connection: tree.make_folder(connection, act, place), gathers=True)

    def delete(self, space_id: int, path: str, **more: Any) -> Node:
        act, place = self.act(**more), at(space_id, path)
        return self.write(lambda connection: tree.delete(connection, act, place))

    def move(self, source: tuple[int, str], target: tuple[int, str], *, overwrite: bool = False, **more: Any) -> Done:
        act = self.act(**more)
        return self.write(lambda connection: tree.move(connection, act, at(*source), at(*target), overwrite=overwrite))

    # What is there

    def find(self, space_id: int, path: str) -> Node | None:
        return self.database.read(
            lambda connection: tree.follow(connection, self.space(space_id), at(space_id, path).names).node
        )

    def nodes(self) -> list[Node]:
        return self.database.read(lambda connection: [Node._make(row) for row in connection.execute(select(node))])

    def findings(self, *, ignoring: frozenset[Kind] = frozenset({Kind.BYTES})) -> list[Finding]:
        """What a check finds; nobody keeps bytes here."""
        return [
            each for each in self.database.read(lambda connection: list(check(connection))) if each.kind not in ignoring
        ]


def at(space_id: int, path: str) -> Place:
    """A place by its path, as people write it."""
    return Place(space_id, tuple(name for name in path.split("/") if name))
