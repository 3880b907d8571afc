"""Undo a body's content coding, never growing beyond a limit (RFC 9110 8.4.1, RFC 1950-1952, RFC 8878).

A kilobyte may unpack to a gigabyte. So output is taken in bounded steps and counted as it grows: what is held is at
most the limit and one step.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import zstandard

STEP = 1 << 20
"""Output of one step of inflating."""

_SLICE = 256
"""Input of one step of zstd. Its blocks are at least 4 bytes and at most 128 kB unpacked: 8 MB a step at worst."""

_ZLIB_HEADER = 2

_MAX_WINDOW = 8 << 20
"""RFC 8878 3.1.1.1.2 recommends that decoders support 8 MB; more would be memory on the sender's word."""


class Overflow(Exception):
    """The body is larger than its limit."""


class Broken(Exception):
    """The body is not in the coding that it claims; the text says how."""


class _Coding(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded bytes of the next piece, in bounded steps."""
        ...

    def finish(self) -> None:
        """Raises Broken where the coding has not come to its end."""
        ...


class Decoder:
    """A body that arrives in pieces. One thread at a time."""

    def __init__(self, content_encoding: str, max_bytes: int) -> None:
        """Raises Broken for a coding that is not known."""
        name = content_encoding.strip().lower()
        if name not in _CODINGS:
            raise Broken(f"its content coding {content_encoding[:40]!r} is unknown")
        self._coding = _CODINGS[name]()
        self._max_bytes = max_bytes
        self._max_raw = max_bytes + max_bytes // 64 + (64 << 10)  # incompressible data grows a little when packed
        self._raw = 0
        self._body = io.BytesIO()  # its getvalue() copies nothing

    def feed(self, data: bytes) -> None:
        """Take the next piece.

        Raises:
            Overflow: the body is larger than the limit.
            Broken: it is not in its coding.
        """
        self._raw += len(data)
        if self._raw > self._max_raw:  # such as empty gzip members without end
            raise Overflow
        for piece in self._coding.feed(data):
            if self._body.tell() + len(piece) > self._max_bytes:
                raise Overflow
            self._body.write(piece)

    def finish(self) -> bytes:
        """The whole body.

        Raises:
            Broken: it ends in the middle.
        """
        if self._raw:  # nothing at all is the body of a HEAD or a 304, whatever its coding
            self._coding.finish()
        return self._body.getvalue()


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        """Every length is whole; HTTP itself says whether all has come."""


class _Inflating:
    """gzip with any number of members; deflate with and without zlib's wrapper."""

    _window: int

    def __init__(self) -> None:
        self._inflate = self._start()
        self._ended = False

    def _start(self) -> zlib._Decompress:
        return zlib.decompressobj(self._window)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._ended:
                data = self._next_member(data)
                continue
            piece = self._step(data)
            if piece:
                yield piece
            data = self._inflate.unconsumed_tail
            while not data and len(piece) == STEP:  # all input is taken, but a full step may have left output behind
                piece = self._step(b"")
                if piece:
                    yield piece
            self._ended = self._inflate.eof
            if self._ended:
                data = self._inflate.unused_data

    def _step(self, data: bytes) -> bytes:
        try:
            return self._inflate.decompress(data, STEP)
        except zlib.error as error:
            raise Broken(str(error)) from error

    def finish(self) -> None:
        if not self._ended:
            raise Broken("it ends in the middle of its compressed data")

    def _next_member(self, data: bytes) -> bytes:
        raise Broken("something follows its compressed data")


class _Gzip(_Inflating):
    _window = 16 + zlib.MAX_WBITS

    def _next_member(self, data: bytes) -> bytes:
        data = data.lstrip(b"\0")  # padding, which tape drives and some servers add
        if data:
            self._inflate = self._start()
            self._ended = False
        return data


class _Deflate(_Inflating):
    """`deflate` means zlib's format; some servers send the bare one, and every client takes both."""

    _window = zlib.MAX_WBITS

    def __init__(self) -> None:
        super().__init__()
        self._head: bytes | None = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._head is not None:
            data = self._head + data
            if len(data) < _ZLIB_HEADER:
                self._head = data
                return
            self._head = None
            if data[0] & 0x0F != zlib.DEFLATED or int.from_bytes(data[:_ZLIB_HEADER], "big") % 31:
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        yield from super().feed(data)


class _Zstandard:
    """Any number of frames."""

    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        self._frame = self._context.decompressobj()

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _SLICE):
            rest = data[start : start + _SLICE]
            while rest:
                if self._frame.eof:
                    self._frame = self._context.decompressobj()
                try:
                    piece = self._frame.decompress(rest)
                except zstandard.ZstdError as error:
                    raise Broken(str(error)) from error
                if piece:
                    yield piece
                rest = self._frame.unused_data if self._frame.eof else b""

    def finish(self) -> None:
        if not self._frame.eof:
            raise Broken("it ends in the middle of its compressed data")


_CODINGS: dict[str, Callable[[], _Coding]] = {
    "": _Identity,
    "identity": _Identity,
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "zstd": _Zstandard,
}
