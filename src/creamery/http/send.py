"""Sending bytes: ready ones, a file's, and those of a part file that still grows.

Starlette's FileResponse costs four thread hops per request and 64 kB chunks (a thirtieth of nginx at 20 kB); here a
small file's bytes come by `preadv` with `RWF_NOWAIT` straight from the page cache, on the event loop, a large one's go
past the process (`zerocopy`), and through a thread only where the kernel would have to wait for a disk. Ranges and
conditions: RFC 9110 sections 13 to 15.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from creamery.http.conditionals import header_of, if_range_holds, precondition
from creamery.http.exchange import KEY, ClientGone, TransferBroken, exchange_of, header_lines
from creamery.http.problems import Problem
from creamery.http.ranges import ByteRange, RangeNotSatisfiable, parse_range
from creamery.http.zerocopy import NOWAIT, WOULD_WAIT, FilePiece, is_cached, is_offered
from creamery.limits import KIB, MIB
from creamery.threads import Pools

if TYPE_CHECKING:
    from creamery.blobs import Extent

RawHeaders = Sequence[tuple[bytes, bytes]]

FILE_STEP = 256 * KIB  # 1 MiB steps are twice as slow at 10 MB: they leave the processor's cache
PIECE_STEP = 2 * MIB
FOLLOW_STEP = 64 * KIB

_BODILESS = frozenset({204, 304})
_CONDITIONS = frozenset({b"if-match", b"if-none-match", b"range", b"if-range"})

Chunk = bytes | bytearray | FilePiece


class Source(Protocol):
    """Bytes that arrive while others already read them; `blobs.Part` is one.

    Attributes:
        size: how many there will be, where that is known.
        readable: how many there are.
        done: whether no more come.
    """

    @property
    def size(self) -> int | None: ...
    @property
    def readable(self) -> int: ...
    @property
    def done(self) -> bool: ...

    async def wait(self, beyond: int) -> int:
        """Wait until `readable` is larger than `beyond`, or all is there; return it. Raises what broke the transfer."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """Some bytes, at least one and at most `length`, of those that are readable."""
        ...


class BytesResponse(Response):
    """Bytes and headers that are ready to go; the framing is added, nothing else.

    Args:
        headers: names in lower case, without `content-length`.
    """

    def __init__(self, body: bytes, headers: RawHeaders, status: int = 200) -> None:
        self.status_code = status
        self.body = self._bytes = body
        self.background = None
        self._ready = headers
        self._lines: bytes | None = None  # made once: a response may answer many requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if KEY in scope:
            if self._lines is None:
                self._lines = header_lines(self._ready)
            if exchange_of(scope).answer_at_once(self.status_code, self._lines, self._bytes):
                return
        framing = () if self.status_code in _BODILESS else ((b"content-length", b"%d" % len(self.body)),)
        await _start(send, self.status_code, [*self._ready, *framing])
        await send({"type": "http.response.body", "body": self.body})


def moved(scope: Mapping[str, Any], target: str) -> BytesResponse:
    """301 to an address relative to this one, so that it holds behind any proxy."""
    query = scope["query_string"].decode("latin-1")
    location = f"{target}?{query}" if query else target
    return BytesResponse(
        b"", [(b"location", location.encode("latin-1")), (b"cache-control", b"max-age=3600")], status=301
    )


class RangedResponse(Response):
    """What a file and a growing file have in common: conditions, ranges, the headers of both."""

    def __init__(self, etag: str | None, media_type: str, headers: RawHeaders) -> None:
        self.status_code = 200
        self.background = None
        self.etag = etag
        self.content_type = media_type.encode("latin-1")
        self.raw_headers = [*headers]
        if etag is not None:
            self.raw_headers.append((b"etag", etag.encode("latin-1")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the request's conditions leave of it.

        Raises:
            Problem: 412, 416.
            TransferBroken: the bytes turned out to be fewer than announced.
            ClientGone: nobody reads them.
        """
        condition = precondition(scope, self.etag)
        if condition is None:
            await self.answer(scope, send)
        elif condition == HTTPStatus.NOT_MODIFIED:
            await BytesResponse(b"", self.raw_headers, condition)(scope, receive, send)
        else:
            raise Problem(412, "Precondition failed", "What is here is not what If-Match names.")

    async def answer(self, scope: Scope, send: Send) -> None:
        """Send it, conditions being met."""
        raise NotImplementedError

    def ranges(self, scope: Scope, size: int) -> tuple[ByteRange, ...] | None:
        """What a GET asks for; None for the whole.

        Raises:
            Problem: 416, with the size.
        """
        if scope["method"] != "GET":  # RFC 9110 section 14.2: a range means nothing to any other method
            return None
        header = header_of(scope, b"range")
        if header is None or not if_range_holds(header_of(scope, b"if-range"), self.etag):
            return None
        limits = exchange_of(scope).hub.limits
        try:
            return parse_range(header, size, asked=limits.ranges_asked, answered=limits.ranges_answered)
        except RangeNotSatisfiable:
            raise Problem(
                416,
                "Range not satisfiable",
                f"The range asked for lies outside the {size} bytes that there are.",
                headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"},
            ) from None

    async def send_sized(self, scope: Scope, send: Send, size: int, read: _Reader) -> None:
        """Answer out of something whose size is known, the way the request asks for it."""
        ranges = self.ranges(scope, size)
        if ranges is not None and len(ranges) > 1:
            await self._send_parts(send, ranges, size, read)
            return
        status, headers, asked = self.one_piece(ranges, size)
        headers.append((b"content-length", b"%d" % asked.length))
        await self.send_chunks(scope, send, status, headers, read(asked))

    def one_piece(
        self, ranges: tuple[ByteRange, ...] | None, size: int
    ) -> tuple[int, list[tuple[bytes, bytes]], ByteRange]:
        """Status, headers and bytes of an answer that is no multipart."""
        headers = [*self.raw_headers, (b"accept-ranges", b"bytes"), (b"content-type", self.content_type)]
        if ranges is None:
            return 200, headers, ByteRange(0, size)
        headers.append((b"content-range", _content_range(ranges[0], size)))
        return 206, headers, ranges[0]

    async def send_chunks(
        self, scope: Scope, send: Send, status: int, headers: RawHeaders, chunks: AsyncIterator[Chunk]
    ) -> None:
        """Send chunks as they come."""
        if scope["method"] == "HEAD":
            await _start(send, status, headers)
            await send({"type": "http.response.body", "body": b""})
            return
        # The first bytes come before the status: what fails until then can still be said properly.
        first = await anext(chunks, b"")
        await _start(send, status, headers)
        await send(_message(first))
        await _pump(send, chunks)
        await send({"type": "http.response.body", "body": b""})

    async def _send_parts(self, send: Send, ranges: Sequence[ByteRange], size: int, read: _Reader) -> None:
        boundary = secrets.token_hex(16).encode()
        heads = [
            b"\r\n--%s\r\ncontent-type: %s\r\ncontent-range: %s\r\n\r\n"
            % (boundary, self.content_type, _content_range(asked, size))
            for asked in ranges
        ]
        end = b"\r\n--%s--\r\n" % boundary
        length = sum(map(len, heads)) + sum(asked.length for asked in ranges) + len(end)
        headers = [
            *self.raw_headers,
            (b"accept-ranges", b"bytes"),
            (b"content-type", b"multipart/byteranges; boundary=" + boundary),
            (b"content-length", b"%d" % length),
        ]
        await _start(send, 206, headers)
        for head, asked in zip(heads, ranges, strict=True):
            await send({"type": "http.response.body", "body": head, "more_body": True})
            await _pump(send, read(asked))
        await send({"type": "http.response.body", "body": end})


_Reader = Callable[[ByteRange], AsyncIterator[Chunk]]


class BlobResponse(RangedResponse):
    """A file's bytes.

    Args:
        extent: where they lie; the size is the row's, and a file that turns out shorter breaks the answer off.
        etag: strong and quoted, see `quoted`.
        media_type: of the whole.
        headers: further headers as they go out, names in lower case.
        verified: is done when the bytes are known to be right; whatever is sent lacks its last piece until then, and
            breaks off where this raises. None: they are known to be right.
        lease: held while the bytes go out, so that nobody takes the file for unused.
    """

    def __init__(
        self,
        extent: Extent,
        *,
        etag: str,
        media_type: str,
        headers: RawHeaders = (),
        verified: asyncio.Task[None] | None = None,
        lease: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        super().__init__(etag, media_type, headers)
        self.extent = extent
        self.verified = verified
        self.lease = lease

    async def answer(self, scope: Scope, send: Send) -> None:
        """Send what is asked of the file."""
        extent = self.extent
        if scope["method"] == "HEAD":
            await self.send_sized(scope, send, extent.length, nothing)
            return
        try:
            descriptor = os.open(extent.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise TransferBroken(f"{extent.path} cannot be opened: {error.strerror}") from error
        try:
            if self.verified is None and self._answer_at_once(scope, descriptor):
                return
            file = OpenFile(descriptor, extent, exchange_of(scope).hub.pools, self.verified, pieces=is_offered(scope))
            with self.lease():
                await self.send_sized(scope, send, extent.length, file.read)
        finally:
            os.close(descriptor)

    def _answer_at_once(self, scope: Scope, descriptor: int) -> bool:
        """Small files, which most wheels are, in one step, when they lie in the page cache."""
        ranges = self.ranges(scope, self.extent.length)
        if ranges is not None and len(ranges) > 1:
            return False
        status, headers, asked = self.one_piece(ranges, self.extent.length)
        if asked.length > FILE_STEP:
            return False
        chunk = _read_cached(descriptor, self.extent.offset + asked.start, asked.length)
        if chunk is None or len(chunk) != asked.length:
            return False
        return exchange_of(scope).answer_at_once(status, header_lines(headers), chunk)


class HeldResponse(RangedResponse):
    """Bytes that are in memory, as a file: ranges and conditions included. One object may answer many requests.

    Args:
        body: all of it.
        etag: strong and quoted, see `quoted`.
        media_type: of the whole.
        headers: further headers as they go out, names in lower case.
    """

    def __init__(self, body: bytes, *, etag: str, media_type: str, headers: RawHeaders = ()) -> None:
        super().__init__(etag, media_type, headers)
        self.held = body
        self._whole = header_lines(self.one_piece(None, len(body))[1])

    def answer_whole(self, scope: Scope) -> bool:
        """Send all of it in one step; False where the request has conditions, or the client too much to read."""
        exchange = exchange_of(scope)
        return _CONDITIONS.isdisjoint(exchange.headers) and exchange.answer_at_once(200, self._whole, self.held)

    async def answer(self, scope: Scope, send: Send) -> None:
        """Send what is asked of the bytes."""
        size = len(self.held)
        if self.ranges(scope, size) is None and exchange_of(scope).answer_at_once(200, self._whole, self.held):
            return
        await self.send_sized(scope, send, size, self._read)

    async def _read(self, asked: ByteRange) -> AsyncIterator[Chunk]:
        yield self.held[asked.start : asked.stop]


class FollowResponse(RangedResponse):
    """The bytes of something that still arrives, each as soon as it is there.

    Args:
        source: where they arrive.
        etag: strong and quoted; None while nobody knows it.
        media_type: of the whole.
        headers: further headers as they go out, names in lower case.

    Ranges are answered where the source's size is known. What breaks the source before the first byte is raised as
    it is; afterwards the connection ends without a clean end.
    """

    def __init__(self, source: Source, *, etag: str | None, media_type: str, headers: RawHeaders = ()) -> None:
        super().__init__(etag, media_type, headers)
        self.source = source

    async def answer(self, scope: Scope, send: Send) -> None:
        size = self.source.size
        if size is not None:
            await self.send_sized(scope, send, size, lambda asked: _follow(self.source, asked.start, asked.stop))
            return
        headers = [*self.raw_headers, (b"content-type", self.content_type)]
        chunks = nothing(ByteRange(0, 0)) if scope["method"] == "HEAD" else _follow(self.source, 0, None)
        await self.send_chunks(scope, send, 200, headers, chunks)


async def _start(send: Send, status: int, headers: RawHeaders) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


def _message(chunk: Chunk) -> Message:
    if isinstance(chunk, FilePiece):
        return chunk.message()
    return {"type": "http.response.body", "body": chunk, "more_body": True}


async def _pump(send: Send, chunks: AsyncIterator[Chunk]) -> None:
    try:
        async for chunk in chunks:
            await send(_message(chunk))
    except (TransferBroken, ClientGone):
        raise
    except Exception as error:
        raise TransferBroken(str(error) or repr(error)) from error


def _content_range(asked: ByteRange, size: int) -> bytes:
    return b"bytes %d-%d/%d" % (asked.start, asked.stop - 1, size)


async def nothing(_: ByteRange) -> AsyncIterator[Chunk]:
    """The body of an answer to HEAD."""
    no_chunks: tuple[bytes, ...] = ()
    for chunk in no_chunks:
        yield chunk


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file's bytes on their way out.

    Attributes:
        descriptor, extent: where they are.
        pools: for what has to wait for a disk.
        verified: what the last bytes wait for.
        pieces: whether the server sends files itself.
    """

    descriptor: int
    extent: Extent
    pools: Pools
    verified: asyncio.Task[None] | None
    pieces: bool

    async def read(self, asked: ByteRange) -> AsyncIterator[Chunk]:
        """What was asked for, chunk by chunk."""
        offset, stop = self.extent.offset + asked.start, self.extent.offset + asked.stop
        pieces = self.pieces and asked.length > FILE_STEP
        while offset < stop:
            length = min(PIECE_STEP, stop - offset)
            if pieces and is_cached(self.descriptor, offset, length):
                chunk: Chunk = FilePiece(self.descriptor, offset, length)
            else:
                chunk = await self._read(offset, min(FILE_STEP, length))
                length = len(chunk)
            if not length:
                raise TransferBroken(f"{self.extent.path} ends {stop - offset} bytes before its row says")
            offset += length
            if offset == stop and self.verified is not None:
                await asyncio.shield(self.verified)
            yield chunk

    async def _read(self, offset: int, length: int) -> bytes | bytearray:
        chunk = _read_cached(self.descriptor, offset, length)
        return chunk if chunk is not None else await self.pools.disk.run(os.pread, self.descriptor, length, offset)


def _read_cached(descriptor: int, offset: int, length: int) -> bytes | bytearray | None:
    """What the page cache has of it; None where the kernel would wait for a disk, or cannot tell."""
    if NOWAIT is None:
        return None
    buffer = bytearray(length)
    try:
        count = os.preadv(descriptor, [buffer], offset, NOWAIT)
    except OSError as error:
        if error.errno in WOULD_WAIT:
            return None
        raise TransferBroken(f"reading at {offset} failed: {error.strerror}") from error
    return buffer if count == length else buffer[:count]


async def _follow(source: Source, offset: int, stop: int | None) -> AsyncIterator[bytes]:
    while stop is None or offset < stop:
        readable = source.readable
        if readable <= offset:
            readable = await source.wait(offset)
        if readable <= offset:
            if stop is None:
                return
            raise TransferBroken(f"the source ended {stop - offset} bytes before its announced size")
        length = min(FOLLOW_STEP, (readable if stop is None else min(readable, stop)) - offset)
        chunk = await source.read(offset, length)
        yield chunk
        offset += len(chunk)
