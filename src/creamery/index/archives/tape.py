"""A file read once, from its beginning to its end, and hashed on the way.

The hashes that PyPI's JSON lists beside SHA-256 (MD5, BLAKE2b) cost two thirds of a whole `unzip -t`; they are made in
a second thread while the first inflates, a piece at a time: never more than two pieces are in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO, Self

from creamery.index.archives.refusal import BadArchive
from creamery.limits import KIB, MIB

PIECE_BYTES = 512 * KIB


class WholeHashes:
    """MD5 and BLAKE2b of a whole file. A second thread makes them for files that are worth one."""

    def __init__(self, size: int) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._blake2b = hashlib.blake2b(digest_size=32)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hashes") if size > 4 * MIB else None
        self._pending: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._thread is not None:
            self._thread.shutdown()

    def update(self, piece: bytes) -> None:
        """Hash what comes next."""
        if self._thread is None:
            self._update(piece)
            return
        self._wait()
        self._pending = self._thread.submit(self._update, piece)

    def results(self) -> tuple[str, str]:
        """MD5 and BLAKE2b of everything so far, in hexadecimal digits."""
        self._wait()
        return self._md5.hexdigest(), self._blake2b.hexdigest()

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()

    def _update(self, piece: bytes) -> None:
        self._md5.update(piece)
        self._blake2b.update(piece)


class Tape:
    """What comes next in a file. Whoever gives it a `WholeHashes` reads it from its beginning to its end."""

    def __init__(self, stream: BinaryIO, start: int, end: int, hashes: WholeHashes | None = None) -> None:
        self._stream = stream
        self._end = end
        self._hashes = hashes
        self._piece = memoryview(b"")
        self.position = start
        stream.seek(start)

    def take(self, count: int) -> bytes:
        """The next `count` bytes: headers, not contents."""
        piece = self._piece
        if len(piece) >= count:
            self._piece = piece[count:]
            self.position += count
            return bytes(piece[:count])
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes in pieces.

        Raises:
            BadArchive: the file ends before.
        """
        if count > self._end - self.position:
            raise BadArchive("The archive ends too early: it was cut off. Build it anew, or send it again.")
        while count:
            if not self._piece:
                self._refill()
            piece = self._piece[:count]
            self._piece = self._piece[len(piece) :]
            self.position += len(piece)
            count -= len(piece)
            yield piece

    @property
    def left(self) -> int:
        """How many bytes are still to come."""
        return self._end - self.position

    def run_out(self, expected: int) -> None:
        """Hash what is left, which begins at the byte that is expected.

        Raises:
            BadArchive: it begins elsewhere.
        """
        if self.position != expected:
            raise BadArchive(
                "Bytes that belong to no member stand at the archive's end. Build the archive with a build tool,"
                " `python -m build`."
            )
        for _ in self.pieces(self.left):
            pass

    def _refill(self) -> None:
        data = self._stream.read(min(PIECE_BYTES, self._end - self.position))
        if not data:
            raise BadArchive("The archive became shorter while it was read; send it again.")
        if self._hashes is not None:
            self._hashes.update(data)
        self._piece = memoryview(data)
