"""Whatever is done, however it is batched, and wherever the process dies: the hive is what plain dictionaries are."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, select

from creamery.hive import copying, restoring, tree
from creamery.hive.acts import Act
from creamery.hive.errors import OverQuota, Refused
from creamery.hive.nodes import Node
from creamery.hive.tables import FILE, change
from creamery.hive.tree import Place
from tests.databases import create_tables
from tests.doubles import plain_tree
from tests.doubles.batches import batch
from tests.doubles.grove import Grove, content
from tests.doubles.plain_tree import PlainSpace, Thing

NAMES = ["a", "A", "b", "\u00e9", "e\u0301", "\u00c9", "Stra\u00dfe", "STRASSE", "\u1e9b\u0323", "CON"]
"""With twins by case, by form and by both."""

QUOTA = 60

Outcome = Thing | type[Refused]
Where = tuple[int, tuple[str, ...]]


@dataclass(frozen=True)
class Deed:
    """Something to do: to the hive, and to the dictionaries."""

    what: str
    at: Where
    onto: Where = (0, ())
    data: bytes = b""
    overwrite: bool = False
    user_id: int = 1

    @property
    def gathers(self) -> bool:
        return self.what in {"put", "make_folder"}

    def work(self, act: Act, space_ids: list[int]) -> Callable[[Connection], int]:
        """Done to the hive it returns a node's number."""
        place = Place(space_ids[self.at[0]], self.at[1])
        target = Place(space_ids[self.onto[0]], self.onto[1])
        works: dict[str, Callable[[Connection], Any]] = {
            "put": lambda connection: tree.put(connection, act, place, content(self.data)).node,
            "make_folder": lambda connection: tree.make_folder(connection, act, place).node,
            "delete": lambda connection: tree.delete(connection, act, place),
            "move": lambda connection: tree.move(connection, act, place, target, overwrite=self.overwrite).node,
            "copy": lambda connection: (
                copying.copy(
                    connection, act, place, target, lambda _, digests: set(digests), overwrite=self.overwrite
                ).node
            ),
        }
        return lambda connection: int(works[self.what](connection).id)

    def expect(self, trees: list[PlainSpace]) -> Outcome:
        """Done to the dictionaries."""
        space, (target, onto) = trees[self.at[0]], (trees[self.onto[0]], self.onto[1])
        works: dict[str, Callable[[], Thing]] = {
            "put": lambda: space.put(self.at[1], self.data),
            "make_folder": lambda: space.make_folder(self.at[1]),
            "delete": lambda: space.delete(self.at[1]),
            "move": lambda: plain_tree.move(space, self.at[1], target, onto, overwrite=self.overwrite),
            "copy": lambda: plain_tree.copy(space, self.at[1], target, onto, overwrite=self.overwrite),
        }
        try:
            return works[self.what]()
        except Refused as refusal:
            return type(refusal)


spaces = st.integers(0, 1)
steps = st.tuples(spaces, st.lists(st.integers(0, 5), max_size=3), st.sampled_from(NAMES))
"""A space; into which of a folder's folders to go, so that most paths lead somewhere; a name there."""


class AgainstDictionaries(RuleBasedStateMachine):
    """A home where case counts, and a project where it does not, which has a quota."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copyfile(_empty(), self.folder / "creamery.sqlite3")
        self.grove = Grove(f"sqlite:///{self.folder}/creamery.sqlite3")
        self.deaths = 0
        self.trees = [PlainSpace(is_folded=False), PlainSpace(is_folded=True, quota=QUOTA)]
        self.space_ids: list[int] = []
        self.tags: dict[int, set[tuple[int, int]]] = {}
        self.last: dict[int, tuple[int, int]] = {}
        self.snapshots: list[list[tuple[int, dict[int, Node]]]] = []

    @initialize()
    def begin(self) -> None:
        made = [self.grove.home(1, "alice"), self.grove.project("apiary", "preserving", QUOTA)]
        self.space_ids = [row.id for row in made]
        for plain, row in zip(self.trees, made, strict=True):
            plain.top.number = row.root_id

    def teardown(self) -> None:
        for snapshot in self.snapshots[::7]:
            self._replay(snapshot)
        self.grove.close()
        shutil.rmtree(self.folder)

    # What is done

    @rule(where=steps, data=st.binary(max_size=12), user_id=st.integers(1, 2))
    def put(self, where: Any, data: bytes, user_id: int) -> None:
        self._do([Deed("put", self._new(where), data=data, user_id=user_id)])

    @rule(where=steps)
    def make_folder(self, where: Any) -> None:
        self._do([Deed("make_folder", self._new(where))])

    @rule(choice=st.integers(0, 99))
    def delete(self, choice: int) -> None:
        self._do([Deed("delete", self._there(choice))])

    @rule(choice=st.integers(0, 99), where=steps, overwrite=st.booleans(), what=st.sampled_from(["move", "copy"]))
    def move_or_copy(self, choice: int, where: Any, overwrite: bool, what: str) -> None:
        self._do([Deed(what, self._there(choice), self._new(where), overwrite=overwrite)])

    @rule(choice=st.integers(0, 99), other=st.integers(0, 99), what=st.sampled_from(["move", "copy"]))
    def move_or_copy_over(self, choice: int, other: int, what: str) -> None:
        self._do([Deed(what, self._there(choice), self._there(other), overwrite=True)])

    @rule(choice=st.integers(0, 99), name=st.sampled_from(NAMES))
    def rename(self, choice: int, name: str) -> None:
        space, path = self._there(choice)
        self._do([Deed("move", (space, path), (space, (*path[:-1], name)), overwrite=False)])

    @precondition(lambda self: any(plain.gone for plain in self.trees))
    @rule(choice=st.integers(0, 99))
    def restore(self, choice: int) -> None:
        every = [(plain, thing) for plain in self.trees for thing in plain.gone]
        plain, thing = every[choice % len(every)]
        space_id, number = self.space_ids[self.trees.index(plain)], thing.number
        assert number is not None
        self._begin()
        act = self.grove.act()
        try:
            done = self.grove.write(lambda connection: restoring.restore_trashed(connection, act, space_id, number))
        except OverQuota:
            with pytest.raises(OverQuota):
                plain.restore(thing, thing.name)
        else:
            plain.restore(thing, done.names[-1])
        self._compare_tags()
        self._follow_log()

    @rule(data=st.data(), count=st.integers(2, 6))
    def do_several_in_one_batch(self, data: st.DataObject, count: int) -> None:
        """Some of them are refused, in the middle of what others have gathered."""
        deeds = []
        for number in range(count):
            what = data.draw(st.sampled_from(["put", "put", "make_folder", "make_folder", "delete", "move", "copy"]))
            new = self._new(data.draw(steps))
            old = self._there(data.draw(st.integers(0, 99)))
            body = b"%d" % number * data.draw(st.sampled_from([0, 1, 9, QUOTA // 2]))
            is_new = what in {"put", "make_folder"}
            deeds.append(Deed(what, new if is_new else old, new, body, overwrite=data.draw(st.booleans())))
        self._do(deeds)

    @precondition(lambda self: self.deaths < 5)
    @rule()
    def die_and_begin_anew(self) -> None:
        self.deaths += 1
        self.grove.crash(self.folder / f"life {self.deaths}")

    # What must be true

    @invariant()
    def everything_is_there_and_nothing_else(self) -> None:
        if not self.space_ids:
            return
        rows = self.grove.nodes()
        below: dict[int, list[Node]] = {}
        for each in rows:
            below.setdefault(each.parent_id, []).append(each)
        for plain, space_id in zip(self.trees, self.space_ids, strict=True):
            [top] = [each for each in below[-space_id] if each.name_key == "/"]
            [trash] = [each for each in below[-space_id] if each.name_key == "/trash"]
            assert _shown(top, below) == _model(plain.top)
            gone = {each.id: _shown(each, below) for each in below.get(trash.id, [])}
            assert gone == {each.number: _model(each) for each in plain.gone}
        assert self.grove.findings() == []

    # Steps

    def _new(self, where: Any) -> Where:
        """Somewhere in a folder that is there, mostly."""
        space, turns, name = where
        at, path = self.trees[space].top, []
        for turn in turns:
            folders = [each for each in at.below.values() if each.is_folder]
            if not folders:
                break
            at = folders[turn % len(folders)]
            path.append(at.name)
        return space, (*path, name)

    def _there(self, choice: int) -> Where:
        """Something that is there; the root of a home where nothing else is."""
        every = [
            (number, path) for number, plain in enumerate(self.trees) for path in _paths(plain.top, ()) if path
        ] or [(0, ("a",))]
        return every[choice % len(every)]

    def _do(self, deeds: list[Deed]) -> None:
        self._begin()
        acts = [self.grove.act(deed.user_id) for deed in deeds]
        works = [(deed.work(act, self.space_ids), deed.gathers) for deed, act in zip(deeds, acts, strict=True)]
        if len(works) == 1:
            done = [self.grove.submit(works[0][0], gathers=works[0][1])]
            done[0].exception(10)
        else:
            done = batch(self.grove.committer, *works)
        for deed, future in zip(deeds, done, strict=True):
            expected = deed.expect(self.trees)
            if isinstance(expected, Thing):
                assert expected.number in {None, future.result()}
                expected.number = future.result()
            else:
                assert type(future.exception()) is expected, (deed, future.exception())
        self._learn()
        self._compare_tags()
        self._follow_log()

    def _begin(self) -> None:
        for plain in self.trees:
            plain.touched.clear()
            plain.came.clear()

    def _learn(self) -> None:
        """What came with copies, after all of a batch: numbers are found in the rows, by their names."""
        every = [thing for plain in self.trees for top in (plain.top, *plain.gone) for thing in top.everything()]
        if all(thing.number is not None for thing in every):
            return
        rows: dict[int, dict[str, int]] = {}
        for each in self.grove.nodes():
            rows.setdefault(each.parent_id, {})[each.name] = each.id
        for thing in every:  # those above come first
            for below in thing.below.values():
                assert thing.number is not None
                below.number = rows[thing.number][below.name]

    def _compare_tags(self) -> None:
        """A folder's changes with anything below it, is never one that it had, and else stays."""
        rows = {each.id: each for each in self.grove.nodes()}
        last, self.last = self.last, {}  # of what is deleted meanwhile, nobody sees a tag
        for plain, space_id in zip(self.trees, self.space_ids, strict=True):
            for each in plain.top.everything():
                if not each.is_folder or each.number is None:
                    continue
                tag, known = (space_id, rows[each.number].tree_serial), self.tags.setdefault(each.number, set())
                if each in plain.touched:
                    assert tag not in known, f"{each.name} has changed, and has a tag that it had"
                elif each not in plain.came and each.number in last:
                    assert tag == last[each.number], f"{each.name} has not changed, and has another tag"
                known.add(tag)
                self.last[each.number] = tag

    def _follow_log(self) -> None:
        """From the listing before, and some older ones at the end."""
        if self.snapshots:
            self._replay(self.snapshots[-1])
        self.snapshots.append(
            [(self.grove.space(space_id).serial, self._listing(space_id)) for space_id in self.space_ids]
        )

    def _listing(self, space_id: int) -> dict[int, Node]:
        below: dict[int, list[Node]] = {}
        for each in self.grove.nodes():
            below.setdefault(each.parent_id, []).append(each)
        [top] = [each for each in below[-space_id] if each.name_key == "/"]
        return {each.id: each for each in _everything(top, below)}

    def _log(self, space_id: int, serial: int) -> Sequence[Any]:
        asked = select(change).where(change.c.space_id == space_id, change.c.serial > serial).order_by(change.c.serial)
        return self.grove.database.read(lambda connection: connection.execute(asked).fetchall())

    def _replay(self, snapshot: list[tuple[int, dict[int, Node]]]) -> None:
        """What somebody knows who had that listing, and has read the log since."""
        for space_id, (serial, listing) in zip(self.space_ids, snapshot, strict=True):
            present, known = self._listing(space_id), dict(listing)
            rows = self._log(space_id, serial)
            came = set()
            for row in rows:
                if row.what == "gone":  # with all that was known to be below
                    gone = {row.node_id, *(each.id for each in known.values() if row.node_id in _above(each, known))}
                    known = {number: each for number, each in known.items() if number not in gone}
                elif row.node_id in present:  # it is looked at as it is now
                    known[row.node_id] = present[row.node_id]
                    came.add(row.node_id)
            for number, each in present.items():  # what came as a whole is listed as a whole
                if any(above in came for above in _above(each, present)):
                    known.setdefault(number, each)
            below: dict[int, list[Node]] = {}
            for each in known.values():
                below.setdefault(each.parent_id, []).append(each)
            [top] = [each for each in present.values() if each.parent_id == -space_id]
            found = {each.id: (each.parent_id, each.name, each.digest) for each in _everything(top, below)}
            assert found == {each.id: (each.parent_id, each.name, each.digest) for each in present.values()}


def _paths(thing: Thing, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    for each in thing.below.values():
        yield from _paths(each, (*path, each.name))


def _everything(top: Node, below: dict[int, list[Node]]) -> Iterator[Node]:
    yield top
    for each in below.get(top.id, []):
        yield from _everything(each, below)


def _above(each: Node, listing: dict[int, Node]) -> Iterator[int]:
    at: Node | None = each
    while at is not None:
        yield at.parent_id
        at = listing.get(at.parent_id)


def _shown(top: Node, below: dict[int, list[Node]]) -> object:
    if top.kind == FILE:
        return top.id, top.name, top.digest
    return top.id, top.name, {each.name_key: _shown(each, below) for each in below.get(top.id, [])}


def _model(thing: Thing) -> object:
    if thing.data is not None:
        return thing.number, thing.name, content(thing.data).digest
    return thing.number, thing.name, {key: _model(each) for key, each in thing.below.items()}


_made: list[Path] = []


def _empty() -> Path:
    """A database with all tables, made once."""
    if not _made:
        path = Path(tempfile.mkdtemp()) / "empty.sqlite3"
        create_tables(f"sqlite:///{path}")
        _made.append(path)
    return _made[0]


AgainstDictionaries.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestQuickly = AgainstDictionaries.TestCase


@pytest.mark.installed
def test_at_length() -> None:
    run_state_machine_as_test(AgainstDictionaries, settings=settings(max_examples=100, stateful_step_count=40))
