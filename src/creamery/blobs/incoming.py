"""Part files: bytes that are still coming, hashed as they come, with any number of followers.

A part has one writer. It lives on the event loop; the disk is touched in hops of the disk pool, and what arrives
while one hop runs goes out with the next, so that no timer delays the first byte and a fast sender gets large writes.
As long as they are few the bytes stay in memory: what is small never touches the disk before it is kept.
The last piece is held back from followers until the digest matched: a wrong file completes nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import io
import os
import stat
import uuid
import weakref
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from creamery.blobs.local import explain
from creamery.blobs.reservations import Reservation, Reservations
from creamery.blobs.store import BlobError, HashMismatch, LengthMismatch, TooLong
from creamery.contract import Digest
from creamery.faults import reach
from creamery.limits import Limits
from creamery.sharing import another
from creamery.telemetry import log
from creamery.threads import Pool

HELD_BACK = 64 * 1024
GATHERED = 1024 * 1024
SHARED_STEP = 64 * 1024
SHARED_STEPS = 4
_NOT_NOW = frozenset({errno.EAGAIN, errno.EOPNOTSUPP})


class Part:
    """One file that is being written.

    Every coroutine belongs to the hub's event loop. The file goes away when the part is aborted, else with the last
    reference to the part, however that comes about; `Blobs.keep` gives its bytes a second name before.

    Attributes:
        size: the expected number of bytes, where it is known.
        owner: what it is for, in words for the log.
        written: bytes in the file.
        readable: bytes that followers may have.
        done: finished and verified.
        digest: the SHA-256, once done.
    """

    def __init__(self, file: PartFile, size: int | None, owner: str, limit: int, disk: Pool) -> None:
        self.size = size
        self.owner = owner
        self.written = 0
        self.readable = 0
        self.done = False
        self.digest: Digest | None = None
        self._file = file
        self._limit = limit if size is None else min(size, limit)
        self._disk = disk
        self._accepted = 0
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._pump: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._failure: Exception | None = None
        self._shared: dict[tuple[int, int], bytes] = {}
        self._reads: set[asyncio.Task[bytes]] = set()
        weakref.finalize(self, file.close)

    @property
    def path(self) -> Path:
        """Where it is written."""
        return self._file.path

    @property
    def descriptor(self) -> int:
        """The one that its bytes are written through; valid as long as the part is."""
        return self._file.descriptor

    @property
    def crc32(self) -> int:
        """CRC-32 of what is written."""
        return self._file.crc32

    @property
    def other_digests(self) -> dict[str, str]:
        """What is written hashes to by the algorithms that `begin` was told, in hexadecimal digits."""
        return {name: other.hexdigest() for name, other in self._file.others.items()}

    @property
    def held(self) -> bytes | None:
        """All of a small part's bytes, which are in memory and not on the disk; None for any other."""
        return None if self._file.is_open else bytes(self._file.held)

    def open(self) -> BinaryIO:
        """A finished part's bytes, from their beginning. For threads."""
        held = self.held
        return self.path.open("rb") if held is None else io.BytesIO(held)

    @property
    def failure(self) -> Exception | None:
        """Why it will never be finished."""
        return self._failure

    def running_digest(self) -> str:
        """SHA-256 of what is written so far; call it only while no write is under way."""
        return self._file.sha256.hexdigest()

    async def write(self, data: bytes) -> None:
        """Take the next bytes; returns at once unless 1 MiB waits already.

        Raises:
            TooLong: more than `size`, or than one file may have. The part has failed.
            NoSpace: the disk is full. The part has failed.
            NotDurable: the disk failed. The part has failed.
        """
        self._raise_failure()
        if self.done:  # its inode may be a blob's by now, which nobody may write to
            raise RuntimeError(f"the part for {self.owner} is written after it was finished")
        self._accepted += len(data)
        if self._accepted > self._limit:
            self.abort(TooLong(self._limit))
            self._raise_failure()
        try:
            self._file.reservation.need(self._accepted - self.written)
        except BlobError as error:
            self.abort(error)
            raise
        if self._pump is None and self._file.may_hold(self._accepted):
            self.written += self._file.hold(data)
            self._release()
            return
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._pump is None:
            self._pump = asyncio.create_task(self._write_gathered())
        while self._gathered_bytes > GATHERED and self._failure is None:
            await self._news.wait()
        self._raise_failure()

    async def finish(self, expected: Digest | None, size: int | None = None) -> Digest:
        """No more bytes will come: verify, and let followers have the last piece.

        Args:
            expected: the SHA-256 that somebody trustworthy named; None takes what came.
            size: the length that was named; None: `self.size`, where that is known.

        Raises:
            HashMismatch, LengthMismatch: other bytes came. The part has failed, and so have its followers.
            NoSpace, NotDurable: as `write`.
        """
        await self.flush()
        length = size if size is not None else self.size
        found = Digest(self._file.sha256.hexdigest())
        if length is not None and length != self.written:
            self.abort(LengthMismatch(length, self.written))
        elif expected is not None and expected != found:
            self.abort(HashMismatch(expected, found))
        self._raise_failure()
        if self._file.reservation.set_aside > self.written:
            self._file.trim()
        self.digest = found
        self.done = True
        self.readable = self.written
        self._file.reservation.release()
        self._tell()
        return found

    async def flush(self) -> None:
        """Wait until everything that was taken is in the file (not: on the disk).

        Raises:
            NoSpace, NotDurable: as `write`.
        """
        self._raise_failure()
        if self._pump is None and not self._file.is_open and not self._file.may_hold(self.written):
            self._pump = asyncio.create_task(self._write_gathered())  # an empty file is a file too
        while self._pump is not None:
            await asyncio.wait([self._pump])
        self._raise_failure()

    def abort(self, error: Exception) -> None:
        """It will never be finished; followers get `error`. Nothing happens to a part that has ended already."""
        if self.done or self._failure is not None:
            return
        self._failure = error
        self._gathered.clear()
        self._gathered_bytes = 0
        self._file.discard()
        self._close_when_idle()
        self._tell()

    def kept_digest(self) -> Digest:
        """The digest of a part that may be kept.

        Raises:
            Exception: what it was aborted with, or what spoiled it.
            RuntimeError: it is not finished: a defect of the caller's.
        """
        self._raise_failure()
        if self.digest is None:
            raise RuntimeError(f"the part for {self.owner} is kept before it is finished")
        return self.digest

    def spoil(self, error: Exception) -> None:
        """The disk failed under a finished part: who follows has its verified bytes, but it can never be kept."""
        self._failure = error
        self._file.discard()

    def drop(self) -> None:
        """It is kept: its own name is wanted no longer. Whoever follows goes on reading. In a thread."""
        self._file.discard()

    async def drop_soon(self) -> None:
        """`drop`, for the event loop."""
        if self._file.is_open:
            await self._disk.run(self.drop)
        else:
            self.drop()

    async def wait(self, beyond: int) -> int:
        """For followers: wait until more than `beyond` bytes are readable or the part is done; returns `readable`.

        Raises:
            Exception: what the part was aborted with.
        """
        while self.readable <= beyond and not self.done:
            self._raise_failure()
            await self._news.wait()
        return self.readable

    async def read(self, offset: int, length: int) -> bytes:
        """For followers: up to `length` of the readable bytes from `offset`; empty where there are none (yet).

        On the loop where the page cache has them, as it nearly always has; else in a thread. Who asks for at most
        64 KiB gets no more than up to the next multiple of that, so that followers fall into step and share the last
        few pieces: what a crowd waits to send is in memory once, not once for each.

        Raises:
            Exception: what the part was aborted with.
        """
        if not self.done:
            self._raise_failure()
        is_step = length <= SHARED_STEP
        length = min(length, self.readable - offset)
        if length <= 0:
            return b""
        if not is_step:
            return await self._read(offset, length)
        length = min(length, SHARED_STEP - offset % SHARED_STEP)
        shared = self._shared.get((offset, length))
        if shared is not None:
            return shared
        piece = await self._read(offset, length)
        while len(self._shared) >= SHARED_STEPS:
            self._shared.pop(next(iter(self._shared)))
        self._shared[offset, length] = piece
        return piece

    async def _read(self, offset: int, length: int) -> bytes:
        if not self._file.is_open:
            return bytes(self._file.held[offset : offset + length])
        buffer = bytearray(length)
        try:
            count = os.preadv(self._file.descriptor, [buffer], offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno not in _NOT_NOW:
                raise
            read = asyncio.create_task(self._disk.run(os.pread, self._file.descriptor, length, offset))
            self._reads.add(read)
            read.add_done_callback(self._read_ended)
            return await asyncio.shield(read)
        return bytes(buffer) if count == length else bytes(memoryview(buffer)[:count])

    def _read_ended(self, read: asyncio.Task[bytes]) -> None:
        self._reads.discard(read)
        self._close_when_idle()

    def _close_when_idle(self) -> None:
        """Give the disk an aborted part's bytes back: nobody reads them any more, unless a thread is at it just now."""
        if self._failure is not None and not self.done and self._pump is None and not self._reads:
            self._file.close()

    async def _write_gathered(self) -> None:
        try:
            while self._failure is None:
                pieces, self._gathered, self._gathered_bytes = self._gathered, [], 0
                self.written += await self._disk.run(self._file.append, pieces)
                self._release()
                if not self._gathered:
                    return
        except OSError as error:
            self.abort(explain(error, "while a file was written"))
        except Exception as error:  # noqa: BLE001 - handed to the writer and to every follower
            self.abort(error)
        finally:
            self._pump = None
            self._close_when_idle()

    def _release(self) -> None:
        """Let followers have what they may."""
        self.readable = max(self.readable, self._releasable())
        self._tell()

    def _releasable(self) -> int:
        """What followers may have before the digest matched: enough is missing that nobody takes it for the whole."""
        if self.size is None:
            return max(self.written - HELD_BACK, 0)
        held_back = HELD_BACK if self.size > 2 * HELD_BACK else 1
        return min(self.written, max(self.size - held_back, 0))

    def _tell(self) -> None:
        """Wake everybody who waits now; who waits from now on waits for the next news."""
        self._news.set()
        self._news.clear()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise another(self._failure)  # each follower its own: the one that is kept would keep them


class PartFile:
    """The file under a part: made when its bytes are no longer few, locked as long as it is open, removed with it.

    Attributes:
        path: its name in `incoming`.
        descriptor: valid once it is open.
        reservation: the space that it may take.
        held: its bytes, as long as there is no file.
        others: hashes beside SHA-256 that run along.
    """

    def __init__(
        self, path: Path, reservation: Reservation, small_bytes: int = 0, algorithms: Sequence[str] = ()
    ) -> None:
        self.others = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
        self.path = path
        self.reservation = reservation
        self.descriptor = -1
        self.held = bytearray()
        self._small_bytes = small_bytes
        self.sha256 = hashlib.sha256()
        self.crc32 = 0

    @property
    def is_open(self) -> bool:
        """Is there a file already?"""
        return self.descriptor >= 0

    def may_hold(self, total: int) -> bool:
        """Are so many bytes few enough to stay in memory, and have been so far?"""
        return not self.is_open and total <= self._small_bytes > 0

    def hold(self, data: bytes) -> int:
        """Take and hash the next bytes of few; returns their number."""
        self.held += data
        self._hash(data)
        return len(data)

    def _hash(self, data: bytes) -> None:
        self.sha256.update(data)
        self.crc32 = zlib.crc32(data, self.crc32)
        for other in self.others.values():
            other.update(data)

    def append(self, pieces: list[bytes]) -> int:
        """Write and hash; returns the number of bytes. In a thread, one call at a time."""
        if not self.is_open:
            descriptor = open_part(self.path)
            _write(descriptor, self.held)
            self.descriptor = descriptor  # from here on it is read from the file
            reach("blobs.created")
            self.reservation.allocate(self.descriptor)
        count = 0
        for piece in pieces:
            _write(self.descriptor, piece)
            self._hash(piece)
            count += len(piece)
            reach("blobs.mid_body")
        self.reservation.used(count)
        return count

    def trim(self) -> None:
        """Give back what was set aside and not written: a file cut to the length that it has loses all beyond it."""
        with contextlib.suppress(OSError):  # it only costs space
            os.ftruncate(self.descriptor, os.fstat(self.descriptor).st_size)

    def discard(self) -> None:
        """Remove the name and give the space back; who reads goes on reading. May be called twice."""
        self.reservation.release()
        if self.is_open:
            remove_leftover(self.path)

    def close(self) -> None:
        """Remove the name and end the file."""
        self.discard()
        if self.is_open:
            os.close(self.descriptor)
            self.descriptor = -1


class Incoming:
    """The folder of part files."""

    def __init__(self, folder: Path, reservations: Reservations, limits: Limits, disk: Pool) -> None:
        self.folder = folder
        self._reservations = reservations
        self._limits = limits
        self._disk = disk

    def begin(
        self, size: int | None, owner: str, at_most: int | None = None, algorithms: Sequence[str] = (), promise: int = 0
    ) -> Part:
        """A new part; its space is promised before a byte moves, that of unknown size as it grows, or `at_most`.

        Raises:
            TooLong: `size` is more than one file may have.
            NoSpace: the disk has not so much above its reserve.
        """
        if size is not None and size > self._limits.file_bytes:
            raise TooLong(self._limits.file_bytes)
        limit = self._limits.file_bytes if at_most is None else min(at_most, self._limits.file_bytes)
        promised = size if size is not None else promise or (1 if at_most is None else limit)
        reservation = self._reservations.reserve(promised, owner)
        reach("blobs.reserved")
        file = PartFile(self.new_path(), reservation, self._small_bytes(size), algorithms)
        return Part(file, size, owner, limit, self._disk)

    def _small_bytes(self, size: int | None) -> int:
        """How many bytes may stay in memory: none of what is known to be long."""
        small = self._limits.small_bytes
        return small if size is None or size <= small else 0

    def new_path(self) -> Path:
        """A name that nobody has."""
        return self.folder / uuid.uuid4().hex


def _write(descriptor: int, data: bytes | bytearray) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def abandoned(folder: Path) -> Iterator[tuple[Path, int]]:
    """Part files that no process writes, with the second of their last change."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():  # a restored copy may lack an empty folder
        with contextlib.suppress(FileNotFoundError):  # finished this moment
            if not is_being_written(path):
                yield path, int(path.lstat().st_mtime)


def remove_leftover(path: Path) -> None:
    """Remove what nobody needs any more; on a disk that fails it stays for a sweep, and nobody is kept waiting."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.error("blobs.leftover", file=str(path), reason=error.strerror)


def open_part(path: Path) -> int:
    """Make a part file and lock it, so that every process sees that somebody writes it; returns its descriptor."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # waits at most for somebody's `is_being_written`
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # before it was locked a sweep has taken it for abandoned


def is_being_written(path: Path) -> bool:
    """Does any process hold the lock of this part file? What is no plain file is nobody's.

    Raises:
        FileNotFoundError: it is away.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
