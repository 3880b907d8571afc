"""Blobs from one directory to another: into a backup, and back.

The target is laid out as a data directory is (`blobs/`, `incoming/`, `quarantine/`), each blob in a file of its own, so
that a backup is complete without any row, and only what is new is copied. Every copy is hashed on its way,
durable before it has its name, and never a hard link: a shared inode means that somebody else's write changes our
bytes. Where the file system can, a copy shares the disk's blocks instead (a reflink, ioctl_ficlone(2)).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from creamery.blobs import tables
from creamery.blobs.findings import Kind
from creamery.blobs.holders import Holder, cached_by, kept_by
from creamery.blobs.local import CHUNK, LocalStore, explain
from creamery.blobs.ownership import Layout
from creamery.blobs.reader import Reader
from creamery.blobs.store import Extent
from creamery.contract import Digest
from creamery.database import Database

AT_ONCE = 256
THREADS = 4
"""Most of a small copy is waiting for the disk to sync it."""
_FICLONE = 0x40049409  # linux/fs.h


@dataclass(frozen=True, slots=True)
class Item:
    """A blob that a snapshot of the database names.

    Attributes:
        digest, size: what it is.
        is_whole: its bytes were not found wrong; where they were, an earlier backup may have the right ones.
        kept: somebody's only copy.
        cached: somebody refers to it as what can be fetched again.
    """

    digest: Digest
    size: int
    is_whole: bool
    kept: bool
    cached: bool

    @property
    def can_be_fetched(self) -> bool:
        """Nothing is lost with it. What nobody holds counts as kept: whoever will hold it may not be known here."""
        return self.cached and not self.kept


def inventory(connection: Connection, holders: Sequence[Holder]) -> Iterator[Item]:
    """Every blob with a row, in order of digest; a walk through the table, in flat memory."""
    kept, cached = (held(holders, tables.blob.c.digest) for held in (kept_by, cached_by))
    for digest, size, state, is_kept, is_cached in tables.stored(connection, kept, cached):
        yield Item(digest, size, state != tables.CORRUPT, is_kept, is_cached)


@dataclass(slots=True)
class Copied:
    """How much was copied, as against what lay there already."""

    blobs: int = 0
    bytes: int = 0


class Source(Protocol):
    """Where a copy finds blobs: a directory of files, or a hub's store."""

    def locate(self, digest: Digest) -> Extent | None:
        """Where the bytes lie; None where nowhere."""
        ...


def files_in(folder: Path) -> Source:
    """A backup: every blob has a file of its own."""
    layout = Layout(folder)
    return LocalStore(layout.blobs, layout.quarantine)


def blobs_of(data: Path, database: Database) -> Source:
    """A hub's data directory, whose rows say where the small ones lie."""
    return Reader(Layout(data), database)


class Copier:
    """Copies from one directory into another that nobody else writes into. For threads."""

    def __init__(self, source: Source, target: Path, progress: Callable[[int], None]) -> None:
        layout = Layout(target)
        self._source = source
        self._target = LocalStore(layout.blobs, layout.quarantine)
        self._incoming = layout.incoming
        self._progress = progress
        self.copied = Copied()
        self._counting = threading.Lock()

    def open(self) -> None:
        """Make what is missing in the target; what a killed run left half written goes."""
        self._target.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in self._incoming.iterdir():
            leftover.unlink()

    def copy_all(self, items: Iterable[Item], check: Callable[[], None]) -> Iterator[tuple[Item, Kind]]:
        """Copy what is not there yet, durably; yields only what cannot be had, and why. `check` may end it.

        Raises:
            NoSpace, NotDurable: the target's disk is full, or fails.
        """
        left = iter(items)
        with ThreadPoolExecutor(THREADS, thread_name_prefix="copy") as threads:
            while batch := list(islice(left, AT_ONCE)):
                check()
                lacks = threads.map(self._copy, batch)
                yield from ((item, lack) for item, lack in zip(batch, lacks, strict=True) if lack is not None)
        check()

    def keep_only(self, named: Iterator[Digest]) -> int:
        """Delete from the target whatever blob is not among `named`, which come in order. Returns how many went."""
        deleted = 0
        wanted = next(named, None)
        for digest in self._target.digests():
            while wanted is not None and wanted < digest:
                wanted = next(named, None)
            if wanted != digest:
                self._target.delete(digest)
                deleted += 1
        return deleted

    def _copy(self, item: Item) -> Kind | None:
        if self._target.size(item.digest) == item.size:
            self._progress(item.size)
            return None
        found = self._source.locate(item.digest)
        if found is None or found.length != item.size:
            return Kind.MISSING if found is None else Kind.WRONG_SIZE
        part = self._incoming / uuid.uuid4().hex
        try:
            return self._copy_file(item, found, part)
        except OSError as error:
            raise explain(error, "while a blob was copied") from error
        finally:
            part.unlink(missing_ok=True)

    def _copy_file(self, item: Item, found: Extent, part: Path) -> Kind | None:
        source = _opened(found.path)
        if source is None:
            return Kind.MISSING
        try:
            target = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                lack = _fill(target, source, found, item.digest, self._progress)
                if lack is None:
                    self._target.keep(part, item.digest, item.size, descriptor=target)
                    self._count(item.size)
                return lack
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _count(self, size: int) -> None:
        with self._counting:
            self.copied.blobs += 1
            self.copied.bytes += size


def copy_out(found: Extent, digest: Digest, target: int, progress: Callable[[int], None]) -> Kind | None:
    """Write a blob's bytes into an empty file, sharing the disk's blocks where it can; why they cannot be had, if so.

    Args:
        found: where they lie.
        digest: what they must hash to.
        target: a descriptor of the file, open for writing.
        progress: is told of each piece.

    Raises:
        OSError: the target's disk refuses.
    """
    source = _opened(found.path)
    if source is None:
        return Kind.MISSING
    try:
        return _fill(target, source, found, digest, progress)
    finally:
        os.close(source)


def _fill(target: int, source: int, found: Extent, digest: Digest, progress: Callable[[int], None]) -> Kind | None:
    is_shared = not found.offset and _share(target, source)
    hashed = hashlib.sha256()
    at, end = found.offset, found.offset + found.length
    while True:
        try:
            piece = os.pread(source, min(CHUNK, end - at), at)
        except OSError:
            return Kind.UNREADABLE
        if not piece:
            return None if hashed.hexdigest() == digest else Kind.CORRUPT
        at += len(piece)
        hashed.update(piece)
        if not is_shared:
            _write(target, piece)
        progress(len(piece))


def _opened(path: Path) -> int | None:
    """None where the file went this moment."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _share(target: int, source: int) -> bool:
    """Let the target have the source's blocks, until either is changed; False: the file systems cannot."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _write(target: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(target, left) :]
