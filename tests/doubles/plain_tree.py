"""What a hive is to those who use it: trees of dictionaries, and what may be done to them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from creamery.hive.errors import IsFolder, NotThere, OntoItself, OverQuota, ParentMissing, Refused, Taken

Path = tuple[str, ...]


@dataclass(eq=False)
class Thing:
    """A file, or a folder. `number` is that of its node, once it is known."""

    name: str
    data: bytes | None = None
    below: dict[str, Thing] = field(default_factory=dict)
    number: int | None = None

    @property
    def is_folder(self) -> bool:
        return self.data is None

    @property
    def size(self) -> int:
        return sum(each.size for each in self.below.values()) if self.data is None else len(self.data)

    def everything(self) -> Iterator[Thing]:
        """Itself, and all below."""
        yield self
        for each in self.below.values():
            yield from each.everything()

    def copied(self, name: str) -> Thing:
        return Thing(name, self.data, {key: each.copied(each.name) for key, each in self.below.items()})

    def shown(self) -> object:
        """For comparing: names as they are, and contents."""
        return self.data if self.data is not None else {each.name: each.shown() for each in self.below.values()}


@dataclass
class PlainSpace:
    """One tree, and those that were deleted from it.

    Attributes:
        is_folded: does case not count?
        quota: bytes.
        top: its root.
        gone: what lies in its trash, and the folder that it lay in.
        touched: folders that something has changed in or below, since somebody emptied it; itself where it changed.
        came: folders that came from another space, likewise.
    """

    is_folded: bool
    quota: int | None = None
    top: Thing = field(default_factory=lambda: Thing("/"))
    gone: dict[Thing, Thing] = field(default_factory=dict)
    touched: set[Thing] = field(default_factory=set)
    came: set[Thing] = field(default_factory=set)

    def key(self, name: str) -> str:
        composed = unicodedata.normalize("NFC", name)
        return unicodedata.normalize("NFC", composed.casefold()) if self.is_folded else composed

    def find(self, path: Path) -> tuple[list[Thing], Thing | None]:
        """What a path leads through, and what it names; the first is empty for the root."""
        above: list[Thing] = []
        at: Thing | None = self.top
        for name in path:
            if at is None:
                return above, None
            above.append(at)
            at = at.below.get(self.key(name))
        return above, at

    def _parent(self, path: Path) -> Thing:
        if not path:
            raise IsFolder("/")
        above, _ = self.find(path)
        if len(above) < len(path) or not above[-1].is_folder:
            raise ParentMissing("/".join(path))
        return above[-1]

    def _touch(self, path: Path) -> None:
        self.touched.update(self.find(path)[0])

    def refuse_over_quota(self, more: int) -> None:
        if self.quota is not None and more > 0 and self.top.size + more > self.quota:
            raise OverQuota(more, 0)

    def put(self, path: Path, data: bytes) -> Thing:
        parent = self._parent(path)
        old = self.find(path)[1]
        if old is not None and old.is_folder:
            raise IsFolder("/".join(path))
        self.refuse_over_quota(len(data) - (0 if old is None or old.data is None else len(old.data)))
        made = old or Thing(path[-1])
        made.data = data
        parent.below[self.key(path[-1])] = made
        self._touch(path)
        return made

    def make_folder(self, path: Path) -> Thing:
        if self.find(path)[1] is not None:
            raise Taken("/".join(path))
        made = self._parent(path).below[self.key(path[-1])] = Thing(path[-1])
        self.touched.add(made)
        self._touch(path)
        return made

    def delete(self, path: Path) -> Thing:
        found = self._must_find(path)
        if not path:
            raise OntoItself("/")
        self._touch(path)
        parent = self.find(path)[0][-1]
        self.gone[parent.below.pop(self.key(path[-1]))] = parent
        return found

    def restore(self, thing: Thing, name: str) -> None:
        """Back to where it was, else into the root; under its own name, unless that is taken."""
        self.refuse_over_quota(thing.size)
        path = next((path for path, each in self._folders(self.top, ()) if each is self.gone[thing]), ())
        parent = self.find((*path, "?"))[0][-1]
        assert (name == thing.name) == (self.key(thing.name) not in parent.below)
        assert self.key(name) not in parent.below
        del self.gone[thing]
        thing.name = name
        parent.below[self.key(name)] = thing
        self._touch((*path, name))
        self.touched.add(thing)

    def _folders(self, at: Thing, path: Path) -> Iterator[tuple[Path, Thing]]:
        yield path, at
        for each in at.below.values():
            if each.is_folder:
                yield from self._folders(each, (*path, each.name))

    def _must_find(self, path: Path) -> Thing:
        found = self.find(path)[1]
        if found is None:
            raise NotThere("/".join(path))
        return found


def move(source: PlainSpace, path: Path, target: PlainSpace, onto: Path, *, overwrite: bool) -> Thing:
    """As the hive's."""
    moved = source._must_find(path)
    there = _target(source, path, target, onto)
    is_renamed = there is moved
    if is_renamed and moved.name == onto[-1]:
        raise OntoItself("/".join(onto))
    if there is not None and not is_renamed and not overwrite:
        raise Taken("/".join(onto))
    if source is not target:
        target.refuse_over_quota(moved.size - (0 if there is None else there.size))
        if source.is_folded != target.is_folded:
            _refuse_twins(moved, target)
    if there is not None and not is_renamed:
        target.delete(onto)
    source._touch(path)
    target._touch(onto)
    above = target.find(onto)[0]
    del source.find(path)[0][-1].below[source.key(path[-1])]
    if source is not target:
        _rekey(moved, target)
        target.came.update(each for each in moved.everything() if each.is_folder)
    moved.name = onto[-1]
    above[-1].below[target.key(onto[-1])] = moved
    target.touched.add(moved)
    return moved


def copy(source: PlainSpace, path: Path, target: PlainSpace, onto: Path, *, overwrite: bool) -> Thing:
    """As the hive's."""
    original = source._must_find(path)
    there = _target(source, path, target, onto)
    if there is original:
        raise OntoItself("/".join(onto))
    if there is not None and not overwrite:
        raise Taken("/".join(onto))
    target.refuse_over_quota(original.size - (0 if there is None else there.size))
    _refuse_twins(original, target)
    if there is not None:
        target.delete(onto)
    made = original.copied(onto[-1])
    _rekey(made, target)
    target._parent(onto).below[target.key(onto[-1])] = made
    target._touch(onto)
    target.touched.update(made.everything())
    return made


def _target(source: PlainSpace, path: Path, target: PlainSpace, onto: Path) -> Thing | None:
    moved = source._must_find(path)
    above, there = target.find(onto)
    if not path or not onto or moved in above or (there is not None and there in source.find(path)[0]):
        raise OntoItself("/".join(onto))
    target._parent(onto)
    return there


def _refuse_twins(thing: Thing, target: PlainSpace) -> None:
    for each in thing.everything():
        if len({target.key(one.name) for one in each.below.values()}) < len(each.below):
            raise Taken(each.name)


def _rekey(thing: Thing, target: PlainSpace) -> None:
    for each in thing.everything():
        each.below = {target.key(one.name): one for one in each.below.values()}


REFUSALS = (IsFolder, NotThere, OntoItself, OverQuota, ParentMissing, Taken)
Refusal = type[Refused]
