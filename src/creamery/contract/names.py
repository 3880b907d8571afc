r"""Names of projects and files, read as the packaging standards read them.

Standards: PEP 503 (normalised names), PEP 427 (wheel names), PEP 625 (sdist names). Names are data:
they are checked once, here, with ASCII rules, so that no look-alike letter passes for a plain one
(`"\u212a".lower()` is `"k"`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NewType

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

ProjectName = NewType("ProjectName", str)
"""A normalised project name: lowercase ASCII letters, digits and single hyphens."""

MAX_NAME_LENGTH = 255
MAX_FILENAME_LENGTH = 255

_NAME = re.compile(r"[A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9])?", re.ASCII | re.IGNORECASE)
_SEPARATORS = re.compile(r"[-_.]+", re.ASCII)
_FILENAME = re.compile(r"[A-Z0-9_][A-Z0-9._+!~@=-]*", re.ASCII | re.IGNORECASE)

_LEGACY_SUFFIXES = (".tar.bz2", ".tar.xz", ".tar.Z", ".tgz", ".tar", ".egg", ".exe", ".msi", ".rpm", ".deb", ".dmg")


class InvalidName(ValueError):
    """The text is no project name, or no file name of a distribution."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a file's name says about it."""

    project: ProjectName
    version: Version
    kind: Literal["wheel", "sdist"]


@lru_cache(4_096)  # a pattern match and a substitution are 4 % of a warm page
def normalize(name: str) -> ProjectName:
    """The one spelling of a project's name (PEP 503).

    Raises:
        InvalidName: the text is no project name (empty, longer than 255, other than ASCII letters, digits,
            `.`, `-`, `_`, or beginning or ending in one of the last three).
    """
    if len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name) or not name.isascii():
        raise InvalidName(
            f"{name[:80]!r} is no project name: it needs 1 to {MAX_NAME_LENGTH} ASCII letters, digits, '.', '-' or '_',"
            " beginning and ending with a letter or digit"
        )
    return ProjectName(_SEPARATORS.sub("-", name).lower())


def ultranormalize(name: str) -> str:
    """What is left of a name when letters that people take for each other are one: as PyPI compares new names.

    Separators go, `l` and `i` are `1`, `o` is `0`: `Flask-LogIn` and `flask1ogin` are alike.
    """
    return _SEPARATORS.sub("", name).lower().translate(_ALIKE)


_ALIKE = str.maketrans("lio", "110")


def check_filename(filename: str) -> str:
    """The file name itself, when it can be the last segment of an address and a name on any disk.

    Raises:
        InvalidName: for slashes, control characters, dot names, letters beyond ASCII, more than 255 characters.
    """
    if len(filename) > MAX_FILENAME_LENGTH or not filename.isascii() or not _FILENAME.fullmatch(filename):
        raise InvalidName(
            f"{filename[:80]!r} is no file name of a distribution: it needs 1 to {MAX_FILENAME_LENGTH} ASCII letters,"
            " digits and '._+!~@=-', beginning with a letter, digit or '_'"
        )
    return filename


def parse_filename(filename: str) -> Distribution:
    """What a wheel's or sdist's file name says: project, version and kind.

    Raises:
        InvalidName: neither a wheel (PEP 427) nor an sdist (PEP 625 and its `.zip` elder).
    """
    check_filename(filename)
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
            return Distribution(normalize(name), version, "wheel")
        name, version = parse_sdist_filename(filename)
        return Distribution(normalize(name), version, "sdist")
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion) as error:
        raise InvalidName(f"{filename!r} is neither a wheel's nor an sdist's name: {error}") from error


def version_text(filename: str, project: ProjectName) -> str | None:
    """The version that a file's name carries, as written there; None where it cannot be told.

    Unlike `parse_filename` this also reads the old kinds that an upstream may still list
    (eggs, installers, versions that PEP 440 refuses), because PEP 700 wants them in `versions`.
    """
    if filename.endswith((".whl", ".egg", ".exe")):
        parts = filename.rsplit(".", 1)[0].split("-")
        return parts[1] if len(parts) > 1 else None
    stem = filename
    for suffix in (".tar.gz", ".zip", *_LEGACY_SUFFIXES):
        if filename.endswith(suffix):
            stem = filename[: -len(suffix)]
            break
    # The project's name may itself hold hyphens: the version begins after as many parts as the name has.
    pieces = _SEPARATORS.split(stem)
    count = project.count("-") + 1
    if _SEPARATORS.sub("-", "-".join(pieces[:count])).lower() != project or len(pieces) <= count:
        return None
    offset = 0
    for match_number, match in enumerate(_SEPARATORS.finditer(stem), start=1):
        if match_number == count:
            offset = match.end()
            break
    return stem[offset:] or None
