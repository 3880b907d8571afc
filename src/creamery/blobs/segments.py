"""Small blobs lie together in append-only files, `segments/<16 hexadecimal digits>.seg`, mode 0600, 0444 once full.

A process has at most one segment open, which nobody else writes to, and the lock of its file says so. Many bodies
become durable by one sync. A segment is a header of 64 bytes and records of a header of 56 bytes and the body, padded
to 8; a blob's row says in which segment and at which offset its bytes lie, and nothing else does. What no row names
(the tail of a batch whose transaction failed, a blob that was swept) is waste that compaction takes away.

A descriptor that failed once is never written to again: after a failed write or sync the segment is left as it is, and
the next body begins a new one. So does each start of a process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
import struct
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from creamery.blobs.local import CHUNK, explain, look, sync_data, sync_file, sync_folder
from creamery.blobs.store import Extent
from creamery.contract import Digest, digest_of
from creamery.faults import reach

FORMAT = 1
SUFFIX = ".seg"
_NAME = re.compile(r"([0-9a-f]{16})\.seg", re.ASCII)
RECORD_BYTES = 56

_MAGIC = b"\x89Segment"
_RECORD_MAGIC = b"\x89Record\n"
_HEADER = struct.Struct(">8sI16sQ24x")  # magic, format, the store's instance, the segment's number; then their CRC-32
_RECORD = struct.Struct(">8sIQ32s")  # magic, flags (none yet), length, SHA-256; then their CRC-32
_CRC = struct.Struct(">I")
_ALIGNED = 8
HEADER_BYTES = _HEADER.size + _CRC.size
_WRITTEN_AT_ONCE = 1024 * 1024
REMEMBERED_PATHS = 256


class Place(NamedTuple):
    """Where a small blob lies: the segment's number, the offset of its bytes there, and their number."""

    segment: int
    offset: int
    length: int


class Body:
    """Small bytes on their way into a segment.

    Attributes:
        place: where they are, once they are durable.
    """

    __slots__ = ("crc32", "data", "digest", "place")

    def __init__(self, data: bytes, digest: Digest | None = None, crc32: int | None = None) -> None:
        self.data = data
        self.digest = digest_of(data) if digest is None else digest
        self.crc32 = zlib.crc32(data) if crc32 is None else crc32
        self.place: Place | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What the header of a record says."""

    length: int
    digest: Digest


class SegmentFiles:
    """Reads segments; any number of processes may."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prefix = f"{folder}{os.sep}"
        self._remembered = lru_cache(REMEMBERED_PATHS)(self._path)

    def path(self, segment: int) -> Path:
        """Where a segment lies, or would lie."""
        return self._remembered(segment)

    def _path(self, segment: int) -> Path:
        return Path(self._address(segment))

    def holds(self, place: Place) -> bool:
        """Is the file there, and long enough? One look at the disk."""
        return self.length(place.segment) >= place.offset + place.length

    def length(self, segment: int) -> int:
        """Of a segment's file; 0 where there is none. One look at the disk."""
        found = look(self._address(segment))
        return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else 0

    def extent(self, place: Place) -> Extent:
        """The same as a part of a file."""
        return Extent(self.path(place.segment), place.offset, place.length)

    def open(self, place: Place, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `stop`, in pieces of at most 1 MiB; fewer where the file ends too early.

        Raises:
            FileNotFoundError: the segment is away.
        """
        offset = place.offset + start
        end = place.offset + (place.length if stop is None else min(stop, place.length))
        descriptor = os.open(self._address(place.segment), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while offset < end and (piece := os.pread(descriptor, min(CHUNK, end - offset), offset)):
                offset += len(piece)
                yield piece
        finally:
            os.close(descriptor)

    def record(self, place: Place) -> Record | None:
        """What stands before a blob's bytes; None where no whole record begins there, or there is no segment."""
        try:
            descriptor = os.open(self._address(place.segment), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return _parsed(os.pread(descriptor, RECORD_BYTES, place.offset - RECORD_BYTES))
        finally:
            os.close(descriptor)

    def size(self, segment: int) -> int:
        """Length of the file.

        Raises:
            FileNotFoundError: there is none.
        """
        return self.path(segment).lstat().st_size

    def numbers(self) -> Iterator[int]:
        """Every segment that lies here, in order."""
        for path in self.files():
            number = number_of(path.name)
            if number is not None:
                yield number

    def files(self) -> list[Path]:
        """Everything that lies in the folder, whatever it is."""
        return sorted(self.folder.iterdir()) if self.folder.is_dir() else []

    def is_open(self, segment: int) -> bool:
        """Does any process write to it?

        Raises:
            FileNotFoundError: it is away.
        """
        descriptor = os.open(self._address(segment), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)

    def _address(self, segment: int) -> str:
        return f"{self._prefix}{segment:016x}{SUFFIX}"


class SegmentWriter:
    """The open segment of this process. For one thread at a time: the committer's."""

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        self._files = SegmentFiles(folder)
        self._segment_bytes = segment_bytes
        self._instance = uuid.UUID(int=0)
        self._number = 0
        self._descriptor = -1
        self._end = 0

    def begin(self, instance: str) -> None:
        """Say whose store it is, before the first body comes."""
        self._instance = uuid.UUID(instance)

    def append(self, bodies: Sequence[Body]) -> None:
        """Write all bodies and sync once: on return each has its place, and is durable there.

        Raises:
            NoSpace, NotDurable: none of them is kept.
        """
        try:
            if self._descriptor < 0 or self._end >= self._segment_bytes:
                self._begin_another()
            places = self._write(bodies)
            reach("segments.before_sync")
            sync_data(self._descriptor)
            reach("segments.after_sync")
        except OSError as error:
            self._leave()
            raise explain(error, "while small files were made durable") from error
        for body, place in zip(bodies, places, strict=True):
            body.place = place

    def close(self) -> None:
        """No more will come. May be called twice."""
        self._leave()

    def _write(self, bodies: Sequence[Body]) -> list[Place]:
        places, gathered = [], bytearray()
        for body in bodies:
            said = _RECORD.pack(_RECORD_MAGIC, 0, len(body.data), bytes.fromhex(body.digest))
            gathered += said + _CRC.pack(zlib.crc32(said))
            places.append(Place(self._number, self._end + len(gathered), len(body.data)))
            gathered += body.data
            gathered += bytes(-len(gathered) % _ALIGNED)
            if len(gathered) >= _WRITTEN_AT_ONCE:
                self._put(gathered)
                gathered = bytearray()
        self._put(gathered)
        return places

    def _put(self, data: bytearray) -> None:
        left = memoryview(data)
        while left:
            written = os.pwrite(self._descriptor, left, self._end)
            self._end += written
            left = left[written:]
            reach("segments.mid_write")

    def _begin_another(self) -> None:
        """Durable, name and all, before a row can name it."""
        self._leave()
        self._number = secrets.randbits(62)
        path = self._files.path(self._number)
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # waits at most for somebody's `is_open`
        self._end = 0
        said = _HEADER.pack(_MAGIC, FORMAT, self._instance.bytes, self._number)
        self._put(bytearray(said + _CRC.pack(zlib.crc32(said))))
        sync_file(self._descriptor)
        sync_folder(self._files.folder)
        reach("segments.begun")

    def _leave(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):  # a disk that fails; that nobody writes to it, its lock says
                os.fchmod(self._descriptor, 0o444)
            os.close(self._descriptor)
            self._descriptor = -1


def number_of(name: str) -> int | None:
    """Which segment a file of this name is; None: it is none."""
    found = _NAME.fullmatch(name)
    return None if found is None else int(found[1], 16)


def _parsed(header: bytes) -> Record | None:
    if len(header) != RECORD_BYTES:
        return None
    said, (crc32,) = header[: _RECORD.size], _CRC.unpack_from(header, _RECORD.size)
    magic, _, length, digest = _RECORD.unpack(said)
    if magic != _RECORD_MAGIC or crc32 != zlib.crc32(said):
        return None
    return Record(length, Digest(digest.hex()))
