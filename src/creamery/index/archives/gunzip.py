"""The one stream of a gzip file, inflated in bounded memory and counted (RFC 1952)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from creamery.index.archives.budget import check_inflated
from creamery.index.archives.refusal import BadArchive
from creamery.index.archives.tape import Tape
from creamery.limits import KIB, MIB, Limits

_INPUT_BYTES = 256 * KIB
_GZIP = 16 + zlib.MAX_WBITS  # zlib reads the header, and checks length and checksum at the end


class Gunzip:
    """What comes next in a `.gz` that has one member and nothing behind it."""

    def __init__(self, tape: Tape, limits: Limits) -> None:
        self._tape = tape
        self._limits = limits
        self._inflater = zlib.decompressobj(_GZIP)
        self._rest = b""
        self._piece = memoryview(b"")
        self._inflated = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes: headers, and what else is small.

        Raises:
            BadArchive: the file ends before, is no gzip, or inflates to too much.
        """
        if count > len(self._piece):
            return b"".join(self.pieces(count))
        taken, self._piece = self._piece[:count], self._piece[count:]
        return taken.tobytes()

    def skip(self, count: int) -> None:
        """Go `count` bytes on."""
        for _ in self.pieces(count):
            pass

    def pieces(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes in pieces."""
        while count:
            if not self._piece and not self._refill():
                raise BadArchive("The archive ends too early: it was cut off. Build it anew, or send it again.")
            piece = self._piece[:count]
            self._piece = self._piece[len(piece) :]
            count -= len(piece)
            yield piece

    def rest(self) -> Iterator[memoryview]:
        """All that is still to come."""
        while self._piece or self._refill():
            piece, self._piece = self._piece, memoryview(b"")
            yield piece

    def _refill(self) -> bool:
        """Inflate some more; False at the end of all."""
        out = b""
        while not out and not self._inflater.eof:
            if not self._rest and self._tape.left:
                self._rest = self._tape.take(min(self._tape.left, _INPUT_BYTES))
            had = self._rest
            out = self._inflate()
            if not out and not had and not self._inflater.eof:
                raise BadArchive("The gzip stream was cut off. Build the archive anew, or send it again.")
        if self._inflater.eof and (self._inflater.unused_data or self._tape.left):
            raise BadArchive(
                "Something follows the archive's gzip stream: some readers would go on with it, others would not."
                " Build the archive with a build tool, `python -m build`."
            )
        self._inflated += len(out)
        check_inflated(self._inflated, self._tape.position, self._limits)
        self._piece = memoryview(out)
        return bool(out)

    def _inflate(self) -> bytes:
        try:
            out = self._inflater.decompress(self._rest, MIB)
        except zlib.error as error:
            raise BadArchive(
                f"The file is no gzip, or was damaged ({error}). Build it anew, or send it again."
            ) from error
        self._rest = self._inflater.unconsumed_tail
        return out
