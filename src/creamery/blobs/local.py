"""Blobs as files of a local file system: `blobs/ab/cd/<sha256>`, mode 0444.

Read first: link(2), fsync(2), rename(2), and docs/explanation/blobs.md. This file and `incoming.py` are the only ones
that touch the directory.

A finished file gets its name by `link`, not by `rename`. A writer that then learns from the database that the blob is
`gone` (a sweep is about to unlink that very name, or has just done so and crashed) must still have its bytes to put
them there anew; after a rename they would have gone with the name.

What lies at a blob's name and is no plain file (a symbolic link, a folder, a fifo) is none of ours: to a reader it is
as good as nothing, to a writer it is in the way and moves to quarantine.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path

from creamery.blobs.store import BlobMissing, Extent, NoSpace, NotDurable
from creamery.clock import Micros
from creamery.contract import Digest, NotADigest, parse_digest
from creamery.faults import reach

CHUNK = 1024 * 1024
REMEMBERED_PATHS = 1_024
ORPHANS = "orphans"
"""Inside the quarantine: what is no blob's."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOTHING_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""The last two: what should be a folder above it is a file, or a link that leads in a circle."""


class LocalStore:
    """Keeps a `BlobStore`'s promises. Any number of processes may share the directory."""

    def __init__(self, root: Path, quarantine: Path) -> None:
        self.root = root
        self.quarantined = quarantine
        self._prefix = f"{root}{os.sep}"
        # One byte for each `ab/cd`: has this process seen to it that the folder itself survives a power cut?
        self._settled = bytearray(1 << 16)
        self._remembered = lru_cache(REMEMBERED_PATHS)(self._path)  # making a Path costs as much as looking at its file

    def path(self, digest: Digest) -> Path:
        """Where the blob's file lies, or would lie."""
        return self._remembered(digest)

    def _path(self, digest: Digest) -> Path:
        return Path(self._address(digest))

    def _address(self, digest: Digest) -> str:
        return f"{self._prefix}{digest[:2]}/{digest[2:4]}/{digest}"

    def keep(self, source: Path, digest: Digest, size: int, *, descriptor: int | None = None) -> None:
        """As `BlobStore.keep`. The steps must stay in this order.

        1. sync the file, its final mode included;
        2. link it to its name;
        3. sync the directory, and those above it that may be new.

        Args:
            source: a file beside the store, on the same file system.
            digest: the SHA-256 of its bytes.
            size: their number.
            descriptor: the one that the bytes were written through. The kernel tells of writes that it lost only
                those descriptors that were open then, and each only once.
        """
        final = self.path(digest)
        try:
            _settle(source, descriptor)  # 1
            reach("blobs.before_link")
            self._link(source, final, digest, size)  # 2
            reach("blobs.after_link")
            reach("blobs.before_dir_sync")
            self._sync_folders(final, digest)  # 3
            reach("blobs.after_dir_sync")
        except OSError as error:
            raise explain(error, "while a file was made durable") from error

    def open(self, digest: Digest, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        if self.size(digest) is None:  # or it is a fifo, whose opening would wait for a writer
            raise BlobMissing(digest)
        try:
            with self.path(digest).open("rb", buffering=0) as file:
                file.seek(start)
                left = stop - start if stop is not None else None
                while left is None or left > 0:
                    piece = file.read(CHUNK if left is None else min(CHUNK, left))
                    if not piece:
                        return
                    if left is not None:
                        left -= len(piece)
                    yield piece
        except FileNotFoundError:
            raise BlobMissing(digest) from None

    def size(self, digest: Digest) -> int | None:
        """The size of the file; None where there is none. Takes 2 us, on the loop."""
        found = look(self._address(digest))
        return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None

    def is_obstructed(self, digest: Digest) -> bool:
        """Does something lie at its name that is no plain file?"""
        found = look(self._address(digest))
        return found is not None and not stat.S_ISREG(found.st_mode)

    def locate(self, digest: Digest) -> Extent | None:
        size = self.size(digest)
        return None if size is None else Extent(self.path(digest), 0, size)

    def delete(self, digest: Digest) -> None:
        found = look(self._address(digest))
        if found is not None and stat.S_ISDIR(found.st_mode):  # what is in there is not ours to delete
            self.quarantine(digest, _changed(found))
        elif found is not None:
            self.path(digest).unlink(missing_ok=True)

    def linked(self, digest: Digest) -> Micros:
        """When the file got its name, or its mode; 0 where there is none. A copy's mtime may be of long ago."""
        found = look(self._address(digest))
        return Micros(0 if found is None else found.st_ctime_ns // 1000)

    def list(self, beginning: Iterable[str] = ("",)) -> Iterator[tuple[Digest, int]]:
        """As `BlobStore.list`; `beginning` narrows it to digests that begin with one of these characters."""
        for digest in self.digests(beginning):
            size = self.size(digest)
            if size is not None:  # else it was swept this moment
                yield digest, size

    def digests(self, beginning: Iterable[str] = ("",)) -> Iterator[Digest]:
        """`list` without a look at each file.

        Raises:
            OSError: as `entries`.
        """
        for entry in chain.from_iterable(self.entries(first) for first in beginning):
            digest = self.digest_at(entry)
            if digest is not None and entry.is_file(follow_symlinks=False):
                yield digest

    def digest_at(self, entry: os.DirEntry[str]) -> Digest | None:
        """Which blob should lie there; None for any other place, which fsck names."""
        try:
            digest = parse_digest(entry.name)
        except NotADigest:
            return None
        return digest if entry.path == self._address(digest) else None

    def entries(self, beginning: str = "") -> Iterator[os.DirEntry[str]]:
        """Everything in the tree but its folders, in order, whatever it is; or in those top folders that begin so.

        A folder where a blob should lie is handed out like a file, and what is in it is not.

        Raises:
            OSError: a folder cannot be read.
        """
        yield from self._entries(str(self.root), beginning)

    def _entries(self, folder: str, beginning: str = "") -> Iterator[os.DirEntry[str]]:
        for entry in _listed(folder):
            if not _is_folder(entry) or self.digest_at(entry) is not None:
                yield entry
            elif entry.name.startswith(beginning) and not entry.is_symlink():  # a linked folder may lead in a circle
                yield from self._entries(entry.path)

    def quarantine(self, digest: Digest, now: Micros) -> Path | None:
        """Move what lies at a blob's name out of the store, never over another file; None where there is nothing."""
        target = move_away(self.path(digest), self.quarantined, now)
        if target is not None:
            reach("quarantine.moved")
        return target

    def _link(self, source: Path, final: Path, digest: Digest, size: int) -> None:
        self._make_folder(final.parent)
        try:
            os.link(source, final, follow_symlinks=False)
        except FileExistsError:
            found = look(final)
            if found is None:  # swept this moment, and the row will say `gone`
                return
            if stat.S_ISREG(found.st_mode) and found.st_size == size:
                return
            # Something that is none of ours lies at the name: a wrong size is never served and never kept.
            self.quarantine(digest, _changed(found))
            os.link(source, final, follow_symlinks=False)

    def _make_folder(self, folder: Path) -> None:
        """Make `ab/cd`; what lies there instead of a folder moves to `quarantine/orphans/`."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            found = {path: look(path) for path in (folder.parent, folder) if not path.is_dir()}
            in_the_way = [(path, there) for path, there in found.items() if there is not None]
            if not in_the_way:
                raise
            for path, there in in_the_way:
                move_away(path, self.quarantined / ORPHANS, _changed(there))
            folder.mkdir(parents=True, exist_ok=True)

    def _sync_folders(self, final: Path, digest: Digest) -> None:
        sync_folder(final.parent)
        number = int(digest[:4], 16)
        if not self._settled[number]:
            # Who made the folders, this thread or another process that has not synced them yet, cannot be told.
            sync_folder(final.parent.parent)
            sync_folder(self.root)
            self._settled[number] = 1


def look(path: str | Path) -> os.stat_result | None:
    """What lies at a name, itself and not what it leads to; None where nothing does.

    Raises:
        OSError: it cannot be told.
    """
    try:
        return os.lstat(path)
    except OSError as error:
        if error.errno not in _NOTHING_THERE:
            raise
        return None


def is_plain(path: Path) -> bool:
    """Is it a file, and neither a folder nor a link nor anything else?"""
    found = look(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def move_away(path: Path, folder: Path, now: Micros) -> Path | None:
    """Move a file, or whatever lies there, into another folder, durably; None where nothing lies there.

    Its name says when it was moved and is never that of another file.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    while look(target := folder / f"{path.name}.{now}") is not None:
        now = Micros(now + 1)
    try:
        path.rename(target)
    except OSError as error:
        if error.errno not in _NOTHING_THERE:
            raise
        return None
    for changed in (folder, folder.parent, path.parent):
        sync_folder(changed)
    return target


def write_aside(folder: Path, name: str, data: bytes, now: Micros) -> Path:
    """Write bytes into a new file of another folder, durably, named as `move_away` names what it moves."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    while look(target := folder / f"{name}.{now}") is not None:
        now = Micros(now + 1)
    with target.open("xb") as file:
        file.write(data)
        file.flush()
        sync_file(file.fileno())
    sync_folder(folder)
    sync_folder(folder.parent)
    return target


def _changed(found: os.stat_result) -> Micros:
    return Micros(found.st_mtime_ns // 1000)


def _listed(folder: str) -> list[os.DirEntry[str]]:
    """What is in a folder, in order; nothing where it is away."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Is it a folder, or a link to one? `DirEntry.is_dir` alone raises where a link leads in a circle."""
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and Path(entry.path).is_dir())


def _settle(source: Path, descriptor: int | None) -> None:
    """Step 1."""
    reach("blobs.before_file_sync")
    opened = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC) if descriptor is None else descriptor
    try:
        os.fchmod(opened, 0o444)
        sync_file(opened)
    finally:
        if descriptor is None:
            os.close(opened)
    reach("blobs.after_file_sync")


def sync_file(descriptor: int) -> None:
    """The bytes are on the disk, or OSError; after an error the descriptor must never be asked again."""
    os.fsync(descriptor)


def sync_data(descriptor: int) -> None:
    """As `sync_file`, without what only tells of the file, such as its times; its length is synced."""
    os.fdatasync(descriptor)


def sync_folder(folder: Path) -> None:
    """The names in a folder are on the disk, or OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def explain(error: OSError, when: str) -> NoSpace | NotDurable:
    """What a failed write means to who asked for it."""
    if error.errno in _NO_ROOM:
        return NoSpace(1, 0)  # how much was lacking, the system does not say
    return NotDurable(f"the disk failed {when}: {error}; nothing of it is kept. Look at the disk, then try again")
