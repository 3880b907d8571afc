"""Whatever is deleted, restored, removed, thinned, pinned and made room for, in whatever order: every sum is right.

What people do to trees is held to a model elsewhere (`test_against_a_model.py`); here nothing goes that was pinned, and
what a check looks at is so after each step.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, select

from creamery.hive import trashing, versions
from creamery.hive.errors import Refused
from creamery.hive.purging import (
    forget_for_room,
    oldest_versions,
    purge,
    purge_for_room,
    purge_older,
    purge_some,
)
from creamery.hive.quotas import excess
from creamery.hive.restoring import restore_trashed, restore_version
from creamery.hive.tables import trash, version
from tests.databases import create_tables
from tests.doubles.grove import SECOND, Grove

T = TypeVar("T")

NAMES = ["a", "b"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2).map("/".join)
HOUR = 3_600 * SECOND
QUOTA = 60


class Keeping(RuleBasedStateMachine):
    """Two spaces, and everything that is kept in them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copyfile(_empty(), self.folder / "hive.sqlite3")
        self.grove = Grove(f"sqlite:///{self.folder}/hive.sqlite3")
        self.spaces: list[int] = []

    @initialize()
    def begin(self) -> None:
        self.spaces = [self.grove.home(1, "alice").id, self.grove.project("hives", "preserving").id]
        for each in self.spaces:
            self.grove.make_folder(each, "a")
            for number in range(1, 4):
                self.grove.put(each, "a/b", b"x" * number)

    def teardown(self) -> None:
        self.grove.close()
        shutil.rmtree(self.folder)

    @rule(space=st.integers(0, 1), path=PATHS, data=st.binary(max_size=9), hours=st.sampled_from([0, 0, 1, 30, 900]))
    def put(self, space: int, path: str, data: bytes, hours: int) -> None:
        self.grove.now += hours * HOUR
        self._try(lambda: self.grove.put(self.spaces[space], path, data, quota=QUOTA))

    @rule(space=st.integers(0, 1), path=PATHS, count=st.integers(2, 12))
    def write_often(self, space: int, path: str, count: int) -> None:
        for number in range(count):
            self.put(space, path, bytes([number]) * (number % 7), 0)

    @rule(space=st.integers(0, 1), path=PATHS)
    def make_folder(self, space: int, path: str) -> None:
        self._try(lambda: self.grove.make_folder(self.spaces[space], path))

    @rule(space=st.integers(0, 1), path=PATHS)
    def delete(self, space: int, path: str) -> None:
        self._try(lambda: self.grove.delete(self.spaces[space], path))

    @rule(spaces=st.tuples(st.integers(0, 1), st.integers(0, 1)), path=PATHS, onto=PATHS)
    def move(self, spaces: tuple[int, int], path: str, onto: str) -> None:
        source, target = (self.spaces[spaces[0]], path), (self.spaces[spaces[1]], onto)
        self._try(lambda: self.grove.move(source, target, overwrite=True))

    @rule(choice=st.integers(0, 99))
    def restore(self, choice: int) -> None:
        for space_id, gone in self._some(self._trashed(), choice):
            act = self.grove.act()
            before = self.grove.space(space_id)
            back = self._try(lambda: self._write(lambda c: restore_trashed(c, act, space_id, gone.node_id)))  # noqa: B023
            if back is not None:
                after = self.grove.space(space_id)
                assert self.grove.find(space_id, "/".join(back.names)) == back.node
                assert sum(before[10:13]) == sum(after[10:13])
                assert (back.node.size, back.node.versions_size) == (gone.size, gone.versions_size)

    @rule(choice=st.integers(0, 99), at_most=st.integers(1, 5))
    def remove(self, choice: int, at_most: int) -> None:
        for space_id, gone in self._some(self._trashed(), choice):
            self._write(lambda c: purge(c, space_id, self.grove.now, [gone.node_id]))  # noqa: B023
            self._write(lambda c: purge_some(c, space_id, at_most))  # noqa: B023

    @rule(at_most=st.integers(1, 9))
    def go_on_removing(self, at_most: int) -> None:
        for space_id in self.spaces:
            self._write(lambda c: purge_some(c, space_id, at_most))  # noqa: B023

    @rule(hours=st.integers(0, 100))
    def remove_what_is_old(self, hours: int) -> None:
        self._write(lambda c: purge_older(c, self.grove.now - hours * HOUR, self.grove.now))

    @rule(choice=st.integers(0, 99))
    def restore_an_older_content(self, choice: int) -> None:
        for node_id, revision, _ in self._some(self._versions(), choice):
            act = self.grove.act(quota=QUOTA)
            self._try(lambda: self._write(lambda c: restore_version(c, act, node_id, revision)))  # noqa: B023

    @rule(choice=st.integers(0, 99), pinned=st.booleans())
    def pin(self, choice: int, pinned: bool) -> None:
        for node_id, revision, _ in self._some(self._versions(), choice):
            self._try(lambda: self._write(lambda c: versions.describe_version(c, node_id, revision, pinned=pinned)))  # noqa: B023

    @rule(choice=st.integers(0, 99))
    def delete_a_version(self, choice: int) -> None:
        for node_id, revision, _ in self._some(self._versions(), choice):
            self._try(lambda: self._write(lambda c: versions.delete_version(c, node_id, revision)))  # noqa: B023

    @rule(hours=st.sampled_from([0, 30, 900]))
    def thin_at_night(self, hours: int) -> None:
        self.grove.now += hours * HOUR
        pinned = {each for each in self._versions() if each[2]}
        for node_id in self.grove.database.read(lambda c: versions.many_versions(c, 0, 100)):
            self._write(lambda c: versions.thin_versions(c, node_id, self.grove.now))  # noqa: B023
        assert pinned <= set(self._versions())

    @rule(space=st.integers(0, 1), quota=st.integers(0, 80))
    def make_room(self, space: int, quota: int) -> None:
        space_id = self.spaces[space]
        pinned = {each for each in self._versions() if each[2]}
        has_trash = bool(self.grove.database.read(lambda c: c.execute(select(trash.c.node_id)).all()))
        while self._write(lambda c: purge_some(c, space_id)) or self._write(
            lambda c: purge_for_room(c, space_id, quota, self.grove.now)
        ):
            pass
        row = self.grove.space(space_id)
        missing = excess(row, quota)
        chosen = self.grove.database.read(lambda c: oldest_versions(c, row, missing)) if missing else []
        self._write(lambda c: forget_for_room(c, space_id, quota, chosen))
        row = self.grove.space(space_id)
        if excess(row, quota):
            assert row.used_trash == 0
        if not has_trash:  # pinned ones go with the file that is removed
            assert pinned <= set(self._versions())

    @invariant()
    def all_is_well(self) -> None:
        assert self.grove.findings() == []

    def _trashed(self) -> list[tuple[int, trashing.Trashed]]:
        read = self.grove.database.read
        return [(each, gone) for each in self.spaces for gone in read(lambda c, each=each: trashing.trashed(c, each))]  # type: ignore[misc]

    def _versions(self) -> list[tuple[int, int, bool]]:
        asked = select(version.c.node_id, version.c.revision, version.c.pinned).order_by(
            version.c.node_id, version.c.revision
        )
        return self.grove.database.read(lambda c: [(a, b, bool(p)) for a, b, p in c.execute(asked)])

    @staticmethod
    def _some(there: list[T], choice: int) -> list[T]:
        return [there[choice % len(there)]] if there else []

    def _write(self, work: Callable[[Connection], T]) -> T:
        return self.grove.write(work)

    @staticmethod
    def _try(what: Callable[[], T]) -> T | None:
        try:
            return what()
        except Refused:
            return None


@cache
def _empty() -> Path:
    """A database with all tables, made once."""
    path = Path(tempfile.mkdtemp()) / "empty.sqlite3"
    create_tables(f"sqlite:///{path}")
    return path


Keeping.TestCase.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
TestQuickly = Keeping.TestCase


@pytest.mark.installed
def test_at_length() -> None:
    run_state_machine_as_test(Keeping, settings=settings(max_examples=100, stateful_step_count=50, deadline=None))
