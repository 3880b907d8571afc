"""An sdist's own promises: one root folder, and PKG-INFO in it (PEP 517, PEP 625)."""

from __future__ import annotations

from typing import BinaryIO

from packaging.version import InvalidVersion, Version

from creamery.contract import InvalidName, normalize
from creamery.index.archives.budget import check_inflated, check_members, check_names
from creamery.index.archives.core_metadata import CoreMetadata, read_core_metadata
from creamery.index.archives.filename import Promise
from creamery.index.archives.gunzip import Gunzip
from creamery.index.archives.links import check_links
from creamery.index.archives.paths import Tree, check_path, check_text
from creamery.index.archives.refusal import BadArchive, shown
from creamery.index.archives.tape import Tape
from creamery.index.archives.tar import TarMember, padded, read_tar
from creamery.index.archives.wheel import check_agrees, read_small
from creamery.index.archives.zip_directory import Directory
from creamery.limits import Limits

_BUILD = "Build the sdist with a build tool, `python -m build --sdist`."


def read_sdist_zip(
    stream: BinaryIO, directory: Directory, promise: Promise, limits: Limits
) -> tuple[bytes, CoreMetadata]:
    """PKG-INFO of a zipped sdist, and what it says.

    Raises:
        BadArchive: there is none, or another's, or another root folder.
    """
    root = _Root(promise)
    found = None
    for member in directory.members:
        root.check(member.path, is_folder=member.is_folder)
        if root.is_pkg_info(member.path) and not member.is_folder:
            found = member
    body = None if found is None else read_small(stream, found, "metadata_bytes", limits.metadata_bytes)
    return _describe(body, promise, limits)


def read_sdist_tar(tape: Tape, size: int, promise: Promise, limits: Limits) -> tuple[bytes, CoreMetadata]:
    """PKG-INFO of an sdist of `size` bytes, and what it says, after the whole archive was read and found sound.

    Raises:
        BadArchive: it is not.
    """
    stream = Gunzip(tape, limits)
    contents = _Contents(promise, size, limits)
    body = None
    for member in read_tar(stream, limits):
        contents.add(member)
        if contents.root.is_pkg_info(member.path) and member.kind == "file":
            if member.size > limits.metadata_bytes:
                raise BadArchive(
                    f"PKG-INFO has {member.size} bytes; limits.metadata_bytes are {limits.metadata_bytes}. Shorten it."
                )
            body = stream.take(padded(member.size))[: member.size]
        else:
            stream.skip(padded(member.size))
    contents.check()
    return _describe(body, promise, limits)


def _describe(body: bytes | None, promise: Promise, limits: Limits) -> tuple[bytes, CoreMetadata]:
    if body is None:
        raise BadArchive(f"The sdist has no PKG-INFO in its root folder. {_BUILD}")
    metadata = read_core_metadata(body, "PKG-INFO", limits)
    check_agrees(metadata, promise, "PKG-INFO")
    return body, metadata


class _Root:
    """The one folder that everything lies in, `{name}-{version}`."""

    def __init__(self, promise: Promise) -> None:
        self._promise = promise
        self._name: bytes | None = None

    def check(self, path: bytes, *, is_folder: bool) -> None:
        top, slash, _ = path.partition(b"/")
        if self._name is None:
            self._name = self._agreed(top)
        if top != self._name or not (slash or is_folder):
            raise BadArchive(
                f"{shown(path)} lies outside of the one folder that an sdist has, {shown(self._name)}. {_BUILD}"
            )

    def is_pkg_info(self, path: bytes) -> bool:
        return self._name is not None and path == self._name + b"/PKG-INFO"

    def _agreed(self, top: bytes) -> bytes:
        name, _, version = top.decode().rpartition("-")
        try:
            agrees = (normalize(name), Version(version)) == (self._promise.project, self._promise.version)
        except (InvalidName, InvalidVersion):
            agrees = False
        if not agrees:
            raise BadArchive(
                f"The file name promises {self._promise.project} {self._promise.version}, and the sdist's folder is"
                f" {shown(top)}. Build it anew instead of renaming it."
            )
        return top


class _Contents:
    """What a tar has been found to hold so far."""

    def __init__(self, promise: Promise, size: int, limits: Limits) -> None:
        self.root = _Root(promise)
        self._size = size
        self._limits = limits
        self._paths: list[tuple[bytes, bool]] = []
        self._files: set[bytes] = set()
        self._links: dict[bytes, bytes] = {}
        self._bytes = 0
        self._names = 0

    def add(self, member: TarMember) -> None:
        check_path(member.path, self._limits)
        self.root.check(member.path, is_folder=member.kind == "folder")
        self._paths.append((member.path, member.kind == "folder"))
        self._bytes += member.size
        self._names += len(member.path) + len(member.target)
        check_members(len(self._paths), self._limits)
        check_names(self._names, self._limits)
        check_inflated(self._bytes, self._size, self._limits)
        if member.kind == "file":
            self._files.add(member.path)
        elif member.kind == "hard link":
            # To a file that came before: what every reader can make, and none needs to follow.
            if member.target not in self._files:
                raise BadArchive(
                    f"{shown(member.path)} is a hard link to {shown(member.target)}, which is no file before it."
                    f" {_BUILD}"
                )
        elif member.kind == "symbolic link":
            check_text(member.target, self._limits)
            self._links[member.path] = member.target

    def check(self) -> None:
        check_links(Tree(self._paths), self._files, self._links)
