"""One request on a connection, and its answer, between uvicorn's protocol and the application.

Takes the place of uvicorn's RequestResponseCycle, for three reasons: `send` says when the client has gone (ASGI 2.4),
so that nobody reads a file of 10 GB for nobody; an answer that is ready is written in one call and one system call;
and an answer that breaks off is never ended cleanly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Scope

from creamery.http.exchange import (
    AT_ONCE,
    CLIENT_LEFT,
    CLOSE,
    PHRASE,
    REFUSAL,
    SENT_MORE,
    ClientGone,
    TransferBroken,
    header_lines,
)
from creamery.http.problems import Problem
from creamery.http.zerocopy import MESSAGE, SHARED_FROM, FilePiece, SharedBytes, write_at_once

if TYPE_CHECKING:
    from creamery.http.protocol import BoundedProtocol

BODILESS = frozenset({204, 304})

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii") for status in HTTPStatus}
_READS = frozenset({"GET", "HEAD"})
_SPENT: Any = {"method": ""}


class Cycle:
    """What the protocol knows of a request, and the application's `receive` and `send`.

    Attributes:
        keep_alive: whether another request may follow.
        more_body: whether more of the request's body is to come.
        disconnected: whether the client has gone.
        awaits_body: whether the application waits for the body just now.
        response_started, response_complete: how far the answer is.
    """

    __slots__ = (
        "_came",
        "_connection",
        "_expects_100",
        "_is_chunked",
        "_length",
        "_news",
        "_task",
        "_transport",
        "_waited",
        "awaits_body",
        "body",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
        "scope",
    )

    def __init__(self, connection: BoundedProtocol, scope: Scope, *, keep_alive: bool, expects_100: bool) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._expects_100 = expects_100
        self._news: asyncio.Event | None = None  # made when somebody waits: most requests have no body
        self._task: asyncio.Task[None] | None = None
        self._length: int | None = None
        self._is_chunked = False
        self._waited = 0.0  # for the body; and the bytes of it that came meanwhile
        self._came = 0
        self.scope = scope
        self.keep_alive = keep_alive
        self.body = bytearray()
        self.more_body = True
        self.awaits_body = False
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        scope[AT_ONCE] = self.answer

    async def run(self, app: ASGIApp) -> None:
        """Let the application answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except TransferBroken:
            pass  # said and logged by who raised it; here it only ends the connection
        except asyncio.CancelledError:
            if not self.disconnected:  # the hub ends, and its patience did before
                self.disconnected = True
                self._connection.cut()
        self._task = None
        self.scope = _SPENT  # or scope and cycle hold each other until a garbage collection
        if not self.response_complete and not self.disconnected:
            self._break_off()

    def answer(self, status: int, lines: bytes, body: bytes | bytearray, length: int) -> bool:
        """Write a whole answer, if the client has room for it: an `AtOnce`.

        Raises:
            ClientGone: nobody reads it.
        """
        if self.disconnected:
            raise ClientGone("the client has closed the connection")
        if self._connection.flow.write_paused or self.response_started:
            return False
        if self.more_body:  # what is left of the request is not worth reading
            self.keep_alive = False
        framing = b"" if status in BODILESS else b"content-length: %d\r\n" % length
        head = self._head(status, lines + framing)
        if self.scope["method"] == "HEAD" or not body:
            self._transport.write(head)
        elif length >= SHARED_FROM and isinstance(body, SharedBytes):
            self._write_shared(head, body)
        else:
            # Bytes are shared by all whom they are sent to; a bytearray was read for this answer alone.
            self._connection.gather_writes(gather=isinstance(body, bytes))
            self._transport.writelines((head, body))  # one system call; two writes would be two
        self._complete()
        return True

    def _write_shared(self, head: bytes, body: SharedBytes) -> None:
        """Through the kernel as far as it goes; the transport has what is left, and whatever is wrong."""
        sent = 0
        if not self._transport.get_write_buffer_size() and not self._transport.is_closing():
            sent = write_at_once(self._connection.out(), head, body)
        self._connection.gather_writes(gather=not sent)
        if sent < len(head):
            self._transport.writelines((head[sent:], body))
        elif sent < len(head) + len(body):
            self._transport.write(memoryview(body)[sent - len(head) :])

    async def send(self, message: Message) -> None:
        """Write a part of the answer.

        Raises:
            ClientGone: nobody reads it.
            TransferBroken: the body is not as long as announced.
        """
        if self._connection.flow.write_paused and not self.disconnected:
            await self._connection.flow.drain()
        if self.disconnected:
            raise ClientGone("the client has closed the connection")
        if not self.response_started:
            self._start(message["status"], message["headers"], message.get(PHRASE, b""))
            return
        if message["type"] == MESSAGE:
            piece = FilePiece(message["file"], message["offset"], message["count"])
            await self._send_piece(piece, message[SENT_MORE])
            return
        body, more_body = message.get("body", b""), message.get("more_body", False)
        if self.scope["method"] == "HEAD":
            self._length = None
        elif self._is_chunked:
            end = b"" if more_body else b"0\r\n\r\n"
            self._transport.write(b"%x\r\n%b\r\n%b" % (len(body), body, end) if body else end)
        elif body:
            self._count(len(body))
            self._transport.write(body)
        if not more_body:
            if self._length:
                raise TransferBroken(f"{self._length} bytes of an answer's announced length are missing")
            self._complete()

    async def receive(self) -> Message:
        """Wait for a part of the request's body.

        Raises:
            Problem: 408, the client keeps silent, or sends next to nothing; 400, what it sends is no body.
        """
        if self._expects_100 and not self.response_started and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects_100 = False
        if not self.body and self.more_body and not self._is_over() and REFUSAL not in self.scope:
            await self._wait_for_body()
        if REFUSAL in self.scope:
            raise self.scope[REFUSAL]
        if self._is_over():
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        self._came += len(body)
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def goes_on_as(self, task: asyncio.Task[None]) -> None:
        """The application waits for something; from here on it runs in a task."""
        self._task = task
        if self.disconnected:
            self.client_left()

    def client_left(self) -> None:
        """Nobody is left to answer. What only reads ends here; what it waited for has a task of its own and goes on."""
        self.disconnected = True
        self.wake()
        if self._task is not None and self.scope["method"] in _READS:
            self._task.cancel(CLIENT_LEFT)

    def wake(self) -> None:
        """Something has happened to the request: whoever waits looks again."""
        if self._news is not None:
            self._news.set()

    def refuse(self, problem: Problem) -> None:
        """The body is wrong: this is the answer, unless another one is on its way."""
        self.scope[REFUSAL] = problem
        self.wake()

    def give_body_up(self) -> None:
        """The client has been silent for too long."""
        seconds = self._connection.wire.limits.body_silent_seconds
        self.refuse(Problem(408, "Request timeout", f"Nothing of the request's body came for {seconds:g} s."))

    async def _send_piece(self, piece: FilePiece, sent_more: Callable[[int], None]) -> None:
        if self._length is None:
            raise ValueError("a file is sent past the process only where the answer's length was announced")
        self._count(piece.length)
        try:
            await self._connection.send_piece(piece, sent_more)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ClientGone("the client has closed the connection") from error

    def _is_over(self) -> bool:
        return self.disconnected or self.response_complete

    async def _wait_for_body(self) -> None:
        self._connection.body_is_awaited()
        self._news = asyncio.Event()
        self.awaits_body = True
        loop = self._connection.loop
        began = loop.time()
        try:
            await self._news.wait()
        finally:
            self.awaits_body = False
            self._news = None
        self._waited += loop.time() - began
        if self._waited > self._connection.wire.limits.body_silent_seconds:
            self._check_pace()

    def _check_pace(self) -> None:
        """Who lets us wait for so long has brought something, or keeps a connection and a file open with drops."""
        least = self._connection.wire.limits.body_minimum_rate
        if self.more_body and self._came + len(self.body) < self._waited * least:
            self.refuse(
                Problem(
                    408,
                    "Request timeout",
                    f"In {self._waited:.0f} s, {self._came + len(self.body)} bytes of the request's body came"
                    f" (limits.body_minimum_rate: {least} a second).",
                )
            )
        self._waited, self._came = 0.0, -len(self.body)

    def _start(self, status: int, headers: Sequence[tuple[bytes, bytes]], phrase: bytes) -> None:
        framed = status in BODILESS or self.scope["method"] == "HEAD"
        lines = header_lines(headers)
        for name, value in headers:
            if name == b"content-length":
                self._length = None if status in BODILESS else int(value)
                framed = True
            elif (name, value) == CLOSE:
                self.keep_alive = False
        if not framed:
            if self.scope["http_version"] == "1.1":
                self._is_chunked = True
                lines += b"transfer-encoding: chunked\r\n"
            else:
                self.keep_alive = False  # HTTP/1.0 knows no chunks: the end of the connection is the end
        if self.more_body:
            self.keep_alive = False
        self._connection.gather_writes(gather=False)
        self._transport.write(self._head(status, lines, phrase))

    def _head(self, status: int, lines: bytes, phrase: bytes = b"") -> bytes:
        self.response_started = True
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        return b"".join((status_line(status, phrase), self._connection.wire.date(), lines, end))

    def _count(self, length: int) -> None:
        if self._length is not None:
            self._length -= length
            if self._length < 0:
                raise TransferBroken("an answer's body is longer than announced")

    def _complete(self) -> None:
        self.response_complete = True
        self.wake()
        if not self.keep_alive:
            if self.more_body:
                self._connection.linger()
            else:
                self._transport.close()
        self._connection.on_response_complete()

    def _break_off(self) -> None:
        if self._length or self._is_chunked:
            self._transport.close()  # what is missing shows; what was sent still arrives, so that it can be resumed
        else:
            self._connection.cut()


def status_line(status: int, phrase: bytes = b"") -> bytes:
    """`HTTP/1.1 200 OK` and the end of the line."""
    if phrase:
        return b"HTTP/1.1 %d %b\r\n" % (status, phrase)
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
