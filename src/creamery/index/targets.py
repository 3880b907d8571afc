"""An interpreter on a platform, by name, and which files it could install: `python3.12-linux`, `3.11-musl-aarch64`.

What a name leaves open is taken as the newest in use: the last patch release of the Python, musl 1.2, macOS 15;
processors as most machines of that system have them. But for glibc: that is 2.28, as for `creamery index prefetch
--platform linux`, so that both say the same of a wheel.

Standards: PEP 425 (tags), PEP 600 (manylinux), PEP 656 (musllinux), PEP 345 (Requires-Python).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from creamery.policy_rules import kind_of

NEWEST_GLIBC = 28
NEWEST_MUSL = 2
NEWEST_MACOS = (15, 0)
LAST_PATCH = 99

PROCESSORS: dict[str, tuple[str, ...]] = {
    "linux": ("x86_64", "aarch64", "i686", "armv7l", "ppc64le", "riscv64", "s390x"),
    "musl": ("x86_64", "aarch64", "i686", "armv7l", "ppc64le", "riscv64", "s390x"),
    "macos": ("arm64", "x86_64"),
    "windows": ("amd64", "arm64", "x86"),
}
"""By system; the first is meant where none is named."""

REMEDY = (
    "write a Python and a system, then perhaps a processor, such as python3.12-linux, python3.11.4-musl-aarch64,"
    " python3.13-macos or python3.12-windows-arm64"
)

_TARGET = re.compile(
    r"(?:cpython|python|py|cp)?(?P<major>3)\.(?P<minor>[0-9]{1,2})(?:\.(?P<patch>[0-9]{1,3}))?"
    r"-(?P<system>linux|musl|macos|windows)(?:-(?P<processor>[a-z0-9_]+))?",
    re.ASCII | re.IGNORECASE,
)
_SAME = {"amd64": "x86_64", "x86_64": "amd64", "arm64": "aarch64", "aarch64": "arm64", "win32": "x86", "i386": "i686"}
_WINDOWS = {"amd64": "win_amd64", "arm64": "win_arm64", "x86": "win32"}
_OLD_GLIBC = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_FIRST_GLIBC = {"x86_64": 5, "i686": 5}
_LAST_WITH_M = 7


class NoTarget(ValueError):
    """The text names no interpreter on a platform; it says what to write."""


@dataclass(frozen=True, slots=True)
class Target:
    """CPython of one version on one platform.

    Attributes:
        name: in full, with the processor that is meant.
        python: its version.
        ranks: the tags of wheels that it takes; the lower, the better.
    """

    name: str
    python: Version
    ranks: Mapping[Tag, int] = field(repr=False)

    def why_not(self, filename: str, requires_python: str | None) -> str | None:
        """Why it cannot install a file; None: it can (of an sdist: it can try to build it)."""
        if kind_of(filename) == "other":
            return "installers take wheels and sdists alone"
        if not _suits(requires_python, self.python):
            return f"it needs Python {requires_python}"
        if kind_of(filename) == "wheel" and self.rank(filename) is None:
            return "its tags are for other Pythons or platforms"
        return None

    def rank(self, filename: str) -> int | None:
        """How well a wheel fits: 0 is best; None: not at all."""
        try:
            tags = parse_wheel_filename(filename)[3]
        except InvalidWheelFilename:
            return None
        return min((self.ranks[tag] for tag in tags if tag in self.ranks), default=None)


@lru_cache(64)
def parse_target(text: str) -> Target:
    """Read a name.

    Raises:
        NoTarget: it is none.
    """
    match = _TARGET.fullmatch(text.strip())
    if match is None:
        raise NoTarget(f"{text[:80]!r} names no interpreter on a platform: {REMEDY}")
    system, minor = match["system"].lower(), int(match["minor"])
    processor = _processor(system, match["processor"])
    patch = LAST_PATCH if match["patch"] is None else int(match["patch"])
    shown = f"3.{minor}" if match["patch"] is None else f"3.{minor}.{patch}"
    tags = dict.fromkeys(_tags(minor, list(_platforms(system, processor))))
    ranks = {tag: rank for rank, tag in enumerate(tags)}
    return Target(f"python{shown}-{system}-{processor}", Version(f"3.{minor}.{patch}"), ranks)


def _processor(system: str, written: str | None) -> str:
    known = PROCESSORS[system]
    if written is None:
        return known[0]
    lowered = written.lower()
    found = next((each for each in (lowered, _SAME.get(lowered)) if each in known), None)
    if found is None:
        raise NoTarget(f"{written[:40]!r} is no processor that {system} is told of here: {', '.join(known)}")
    return found


def _tags(minor: int, platforms: list[str]) -> Iterator[Tag]:
    interpreter = f"cp3{minor}"
    abi = f"{interpreter}m" if minor <= _LAST_WITH_M else interpreter
    yield from cpython_tags((3, minor), [abi], platforms)
    yield from compatible_tags((3, minor), interpreter, platforms)


def _platforms(system: str, processor: str) -> Iterator[str]:
    if system == "windows":
        yield _WINDOWS[processor]
    elif system == "macos":
        yield from mac_platforms(NEWEST_MACOS, processor)
    elif system == "musl":
        yield f"linux_{processor}"
        yield from (f"musllinux_1_{number}_{processor}" for number in range(NEWEST_MUSL, -1, -1))
    else:
        yield f"linux_{processor}"
        for number in range(NEWEST_GLIBC, _FIRST_GLIBC.get(processor, 17) - 1, -1):
            yield f"manylinux_2_{number}_{processor}"
            if number in _OLD_GLIBC:
                yield f"{_OLD_GLIBC[number]}_{processor}"


def _suits(requires_python: str | None, python: Version) -> bool:
    """What cannot be read hinders nobody: pip passes it over, too."""
    if requires_python is None:
        return True
    try:
        return SpecifierSet(requires_python).contains(python, prereleases=True)
    except InvalidSpecifier:
        return True
