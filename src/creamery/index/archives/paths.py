"""Paths inside archives, as bytes: which may be there at all, and which exclude one another.

An archive is refused where two readers could see two different things in it, or one disk could not hold what it says:
names that a disk without case, or one that composes letters, takes for the same would silently lose one of two files.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property

from creamery.contract import InvalidName, ProjectName, normalize
from creamery.index.archives.refusal import BadArchive, shown
from creamery.limits import Limits

DIST_INFO = ".dist-info"

_UNWANTED = re.compile(rb"[\x00-\x1f\x7f\\]|\xc2[\x80-\x9f]")  # the last are U+0080 to U+009F, in UTF-8
_DRIVE = re.compile(rb"[A-Za-z]:")
_LOST_ON_WINDOWS = re.compile(rb"[. ](/|$)|:")  # such ends are cut off there; behind a colon lies a stream of the file
_NOT_SEGMENTS = frozenset({b"", b".", b".."})


def check_path(path: bytes, limits: Limits) -> None:
    """See that a member's path (without the slash that marks a folder) stays inside of where it is unpacked.

    Raises:
        BadArchive: it is absolute, or has `..`, `.`, empty segments or a drive; or as `check_text`.
    """
    segments = check_text(path, limits)
    if not _NOT_SEGMENTS.isdisjoint(segments) or _DRIVE.match(path):
        raise BadArchive(
            f"The path {shown(path)} could lead out of the folder that it is unpacked in (it is absolute, or has an"
            " empty segment, '.' or '..'). Build the archive with a build tool, `python -m build`."
        )
    if _LOST_ON_WINDOWS.search(path):
        raise BadArchive(
            f"The path {shown(path)} has a colon, or a name that ends with a dot or a blank, which Windows reads as"
            " another one; rename that file."
        )


def check_text(path: bytes, limits: Limits) -> list[bytes]:
    """See that a path, or the target of a link, is one that every disk can have; the answer is its segments.

    Raises:
        BadArchive: it has a backslash or a control character; it is no UTF-8; it is too long or too deep.
    """
    if len(path) > limits.archive_path_bytes:
        raise BadArchive(
            f"The path {shown(path)} has {len(path)} bytes; limits.archive_path_bytes are"
            f" {limits.archive_path_bytes}. Give its folders shorter names."
        )
    segments = path.split(b"/")
    if len(segments) > limits.archive_path_depth:
        raise BadArchive(
            f"The path {shown(path)} has {len(segments)} levels; limits.archive_path_depth are"
            f" {limits.archive_path_depth}. Leave it out, or nest it less."
        )
    if _UNWANTED.search(path) or not (path.isascii() or _is_text(path)):
        raise BadArchive(
            f"The path {shown(path)} has a backslash or a control character, or is no UTF-8; rename that file."
        )
    return segments


def _is_text(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_metadata_of(member: str, project: ProjectName) -> bool:
    """Whether a member of a wheel is the METADATA of this project (PEP 427)."""
    folder, _, name = member.partition("/")
    if name != "METADATA" or not folder.endswith(DIST_INFO):
        return False
    try:
        return normalize(folder.removesuffix(DIST_INFO).partition("-")[0]) == project
    except InvalidName:
        return False


class Tree:
    """The members of an archive by their paths, as a disk will see them."""

    def __init__(self, members: Iterable[tuple[bytes, bool]]) -> None:
        """Of each member its path and whether it is a folder.

        Raises:
            BadArchive: two have one path, or a file's path is also that of a folder.
        """
        # A slash sorts before every other byte that a path may have, so that what lies in `a` follows `a` directly.
        self._keys = sorted((_folded(path), is_folder, path) for path, is_folder in members)
        previous, was_folder, previous_path = b"", True, b""
        for key, is_folder, path in self._keys:
            if key == previous:
                raise BadArchive(
                    f"The archive has {shown(previous_path)} and {shown(path)}, which are one file on some disks"
                    " (letters compared without case, and composed); keep one of them."
                )
            if not was_folder and key.startswith(previous + b"\0"):
                raise BadArchive(
                    f"The archive has {shown(previous_path)} as a file, and {shown(path)} in it as in a folder;"
                    " rename one of them."
                )
            previous, was_folder, previous_path = key, is_folder, path

    def is_folder(self, path: bytes) -> bool:
        """Whether this is a folder, spelled so: one of its own, or because something lies in it."""
        wanted = _folded(path)
        at = bisect_left(self._keys, (wanted,))
        if at < len(self._keys) and self._keys[at] == (wanted, True, path):
            return True
        inside = path + b"/"
        at = bisect_left(self._spelled, inside)
        return at < len(self._spelled) and self._spelled[at].startswith(inside)

    @cached_property
    def _spelled(self) -> list[bytes]:
        """All paths as they are written, in order."""
        return sorted(path for _, _, path in self._keys)


def _folded(path: bytes) -> bytes:
    if path.isascii():
        return path.lower().replace(b"/", b"\0")
    text = unicodedata.normalize("NFC", path.decode()).casefold()
    return unicodedata.normalize("NFC", text).encode().replace(b"/", b"\0")
