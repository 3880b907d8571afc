"""Blobs as files of a local file system: `blobs/ab/cd/<sha256>`, mode 0444.

Read first: link(2), fsync(2), rename(2), and docs/explanation/blobs.md. This file and `incoming.py` are the only ones
that touch the directory.

A finished file gets its name by `link`, not by `rename`. A writer that then learns from the database that the blob is
`gone` (a sweep is about to unlink that very name, or has just done so and crashed) must still have its bytes to put
them there anew; after a rename they would have gone with the name.
"""

from __future__ import annotations

import errno
import os
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
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


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
        return Path(f"{self._prefix}{digest[:2]}/{digest[2:4]}/{digest}")

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
        """The size of the file; None where there is none."""
        try:
            return os.stat(f"{self._prefix}{digest[:2]}/{digest[2:4]}/{digest}").st_size  # noqa: PTH116 - 2 us, on the loop
        except FileNotFoundError:
            return None

    def locate(self, digest: Digest) -> Extent | None:
        size = self.size(digest)
        return None if size is None else Extent(self.path(digest), 0, size)

    def delete(self, digest: Digest) -> None:
        self.path(digest).unlink(missing_ok=True)

    def linked(self, digest: Digest) -> Micros:
        """When the file got its name, or its mode; 0 where there is none. A copy's mtime may be of long ago."""
        try:
            return Micros(self.path(digest).stat().st_ctime_ns // 1000)
        except FileNotFoundError:
            return Micros(0)

    def list(self, beginning: Iterable[str] = ("",)) -> Iterator[tuple[Digest, int]]:
        """As `BlobStore.list`; `beginning` narrows it to digests that begin with one of these characters."""
        for digest in self.digests(beginning):
            size = self.size(digest)
            if size is not None:  # else it was swept this moment
                yield digest, size

    def digests(self, beginning: Iterable[str] = ("",)) -> Iterator[Digest]:
        """`list` without a look at each file."""
        for path in chain.from_iterable(self.files(first) for first in beginning):
            digest = self.digest_at(path)
            if digest is not None:
                yield digest

    def digest_at(self, path: Path) -> Digest | None:
        """Which blob lies there; None for what is no blob, which fsck names."""
        try:
            digest = parse_digest(path.name)
        except NotADigest:
            return None
        return digest if path == self.path(digest) else None

    def files(self, beginning: str = "") -> Iterator[Path]:
        """Every file in the tree, in order, whatever it is; or in those top folders that begin so."""
        for folder, folders, names in os.walk(self.root):
            if folder == str(self.root):
                folders[:] = [name for name in folders if name.startswith(beginning)]
            folders.sort()
            for name in sorted(names):
                yield Path(folder, name)

    def quarantine(self, digest: Digest, now: Micros) -> Path | None:
        """Move a file out of the store, never over another one; None where there is no file."""
        target = self.quarantined / f"{digest}.{now}"
        try:
            self.path(digest).rename(target)
            sync_folder(self.quarantined)
            sync_folder(self.path(digest).parent)
        except FileNotFoundError:
            return None
        reach("quarantine.moved")
        return target

    def _link(self, source: Path, final: Path, digest: Digest, size: int) -> None:
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, final, follow_symlinks=False)
        except FileExistsError:
            found = self.size(digest)
            if found is None or found == size:  # None: swept this moment, and the row will say `gone`
                return
            # Something that is none of ours lies at the name: a wrong size is never served and never kept.
            self.quarantine(digest, Micros(os.stat(final).st_mtime_ns // 1000))  # noqa: PTH116 - beside os.link
            os.link(source, final, follow_symlinks=False)

    def _sync_folders(self, final: Path, digest: Digest) -> None:
        sync_folder(final.parent)
        number = int(digest[:4], 16)
        if not self._settled[number]:
            # Who made the folders, this thread or another process that has not synced them yet, cannot be told.
            sync_folder(final.parent.parent)
            sync_folder(self.root)
            self._settled[number] = 1


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
