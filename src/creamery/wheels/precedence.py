"""Does an installer that can use both of two wheels of one version always take the published one?

Read first: PEP 425 (tags), PEP 600 (manylinux), PEP 656 (musllinux), and the order in which `packaging.tags` lists what
an environment can use, which pip has from there and uv writes down likewise:

1. its own ABI (`cp312-cp312-PLATFORM`),
2. the stable ABI of its own version, then `cp312-none-PLATFORM`, then the stable ABI of each older version,
3. `py312-none-PLATFORM`, `py3-none-PLATFORM`, `py311-none-PLATFORM` and so on down,
4. `cp312-none-any`, then `py312-none-any`, `py3-none-any` and so on down;

within each of these by platform, the newest libc or macOS first. What cannot be told from the tags alone, such as
whether an old `linux_x86_64` goes before manylinux (it did not before packaging 26.3), counts as "not always".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from packaging.tags import Tag

_INTERPRETER = re.compile(r"([a-z]+)(\d)(\d*)", re.ASCII)
_PLATFORM = re.compile(r"(manylinux|musllinux|macosx|ios)_(\d+)_(\d+)_(.+)", re.ASCII)
_LEGACY = {"manylinux1": "manylinux_2_5", "manylinux2010": "manylinux_2_12", "manylinux2014": "manylinux_2_17"}
_LEGACY_PLATFORM = re.compile(r"(manylinux1|manylinux2010|manylinux2014)_(.+)", re.ASCII)
_ONE_OF_SEVERAL = {
    "fat": {"i386", "ppc"},
    "fat3": {"i386", "x86_64", "ppc"},
    "fat64": {"x86_64", "ppc64"},
    "intel": {"i386", "x86_64"},
    "universal": {"i386", "x86_64", "ppc", "ppc64", "arm64"},
    "universal2": {"x86_64", "arm64"},
    # A 32-bit Python on a newer processor takes what was built for the older one.
    "armv6l": {"arm"},
    "armv7l": {"arm"},
    "armv8l": {"arm"},
}
_NEWEST = 1_000
"""Above every minor version of Python."""


def stands_in_for(built: Iterable[Tag], published: Iterable[Tag]) -> bool:
    """Is there an environment that could use both wheels and would not certainly take the published one?"""
    theirs = [_read(tag) for tag in published]
    return any(ours.meets(other) and not other.goes_ahead_of(ours) for ours in map(_read, built) for other in theirs)


class _Place(IntEnum):
    """Where a tag stands in an environment's list; the stable ABI of an older version stands behind OWN."""

    ABI = 0
    STABLE = 1
    OWN = 2
    PYTHON = 3
    OWN_ANYWHERE = 4
    PYTHON_ANYWHERE = 5


@dataclass(frozen=True, slots=True)
class _Platform:
    """What a tag's last part means.

    Attributes:
        system: `any`, or what the part begins with; the whole of it where nothing more is known about it.
        version: of the libc or the system that it needs; None: none is told.
        architectures: that it runs on.
    """

    system: str
    version: tuple[int, int] | None
    architectures: frozenset[str]

    def meets(self, other: _Platform) -> bool:
        """Is there a machine for both?"""
        if "any" in {self.system, other.system}:
            return True
        if self.architectures.isdisjoint(other.architectures):
            return False
        return self.system == other.system or "linux" in {self.system, other.system}

    def goes_ahead_of(self, other: _Platform) -> bool:
        """Does it on each such machine, all else being the same?"""
        if self.version is None or other.version is None or self.system != other.system:
            return False
        if self.version == other.version:  # macOS: what is for this processor alone goes before fat files
            return len(self.architectures) == 1 < len(other.architectures)
        return self.version > other.version


@dataclass(frozen=True, slots=True)
class _Reach:
    """Who can use a tag, and where it stands with them.

    Attributes:
        implementation: `cp`, `pp`; `py`: any; empty: nobody knows.
        oldest, newest: minor versions of Python.
        abi: as it is written.
        free_threaded: needs a Python without the lock, or (False) one with it; None: either will do.
    """

    implementation: str
    major: int
    oldest: int
    newest: int
    abi: str
    free_threaded: bool | None
    place: _Place
    platform: _Platform

    def meets(self, other: _Reach) -> bool:
        """Is there an environment that can use both?"""
        if not self.platform.meets(other.platform):
            return False
        if not self.implementation or not other.implementation:
            return True
        return (
            (self.implementation == other.implementation or "py" in {self.implementation, other.implementation})
            and self.major == other.major
            and max(self.oldest, other.oldest) <= min(self.newest, other.newest)
            and (None in {self.free_threaded, other.free_threaded} or self.free_threaded == other.free_threaded)
        )

    def goes_ahead_of(self, other: _Reach) -> bool:
        """Does it in each of these? False as well where nobody knows."""
        if not self.implementation or not other.implementation:
            return False
        if (self.place, other.place) == (_Place.STABLE, _Place.OWN):
            return self.oldest == other.oldest == other.newest
        if (self.place, other.place) == (_Place.OWN, _Place.STABLE):
            return self.oldest == self.newest != other.oldest
        if self.place != other.place:
            return self.place < other.place
        if self._generation == other._generation and self.abi == other.abi:
            return self.platform.goes_ahead_of(other.platform)
        newer_first = self.place in {_Place.STABLE, _Place.PYTHON, _Place.PYTHON_ANYWHERE}
        return newer_first and self.oldest > other.oldest >= 0

    @property
    def _generation(self) -> tuple[str, int, int]:
        return self.implementation, self.oldest, self.newest


@lru_cache(4_096)
def _read(tag: Tag) -> _Reach:
    platform = _platform(tag.platform)
    found = _INTERPRETER.fullmatch(tag.interpreter)
    if found is None:
        return _Reach("", 0, 0, 0, tag.abi, None, _Place.ABI, platform)
    implementation, major = found[1], int(found[2])
    oldest, newest = (int(found[3]), int(found[3])) if found[3] else (-1, _NEWEST)
    is_anywhere = platform.system == "any"
    free_threaded = None
    if tag.abi == "none":
        place = _Place.OWN_ANYWHERE if is_anywhere else _Place.OWN
        if implementation == "py":
            place = _Place.PYTHON_ANYWHERE if is_anywhere else _Place.PYTHON
            newest = _NEWEST
    elif tag.abi in {"abi3", "abi3t"}:  # PEP 803: a wheel may be for both kinds, and a client may take it so
        place, newest = _Place.STABLE, _NEWEST
        free_threaded = False if tag.abi == "abi3" else None
    else:
        place = _Place.ABI
        if implementation == "cp":
            free_threaded = tag.abi.rstrip("dmu").endswith("t")
    return _Reach(implementation, major, oldest, newest, tag.abi, free_threaded, place, platform)


def _platform(text: str) -> _Platform:
    if (legacy := _LEGACY_PLATFORM.fullmatch(text)) is not None:
        text = f"{_LEGACY[legacy[1]]}_{legacy[2]}"
    if (found := _PLATFORM.fullmatch(text)) is not None:
        return _Platform(found[1], (int(found[2]), int(found[3])), _architectures(found[4]))
    if text.startswith("linux_"):
        return _Platform("linux", None, _architectures(text.removeprefix("linux_")))
    if text.endswith("_wasm32"):  # Pyodide takes several kinds
        return _Platform("wasm", None, frozenset({"wasm32"}))
    return _Platform(text, None, frozenset({text}))


def _architectures(text: str) -> frozenset[str]:
    return frozenset(_ONE_OF_SEVERAL.get(text, {text}))
