"""HTTP/1.1 on a socket: uvicorn's protocol with a bound on every size and every wait.

Stock uvicorn takes 20 MB of header, waits for ever for its end, and for ever for a client that does not read. Here
the bytes of a request's head are counted before the parser gets them, and one timer per process (not one per request:
that would cost 2 us each) looks at all connections and ends those whose time is over. RFC 9112 rules.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import httptools
from starlette.types import Message
from uvicorn._types import ASGIReceiveEvent
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from creamery.clock import SECOND, Clock
from creamery.http.exchange import ClientGone, TransferBroken
from creamery.http.problems import Problem, render_problem
from creamery.limits import Limits
from creamery.telemetry import log

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

PIPELINED = 64  # requests that may wait behind another on a connection; clients that pipeline at all send fewer than 10
_BODILESS = frozenset({204, 304})


class Wire:
    """Makes the protocols of one server, and watches their clocks.

    `uvicorn.Config(http=wire.protocol)` takes it.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self._date_second = -1
        self._date = b""
        waits = (limits.header_seconds, limits.idle_seconds, limits.body_silent_seconds, limits.send_silent_seconds)
        self._tick_seconds = min(1.0, min(waits) / 4, limits.linger_seconds / 4)
        self._ticking = False

    def protocol(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> BoundedProtocol:
        """A connection's protocol, as uvicorn asks for it."""
        protocol = BoundedProtocol(self, config, server_state, app_state, _loop)
        if not self._ticking:
            self._ticking = True
            protocol.loop.call_later(self._tick_seconds, self._tick, protocol.loop, server_state)
        return protocol

    def date(self) -> bytes:
        """The Date header's line, made once a second."""
        second = self._clock.now() // SECOND
        if second != self._date_second:
            self._date_second = second
            self._date = b"date: " + formatdate(second, usegmt=True).encode() + b"\r\n"
        return self._date

    def _tick(self, loop: asyncio.AbstractEventLoop, server_state: ServerState) -> None:
        now = loop.time()
        for connection in tuple(server_state.connections):
            cast("BoundedProtocol", connection).check_time(now)
        self._ticking = bool(server_state.connections)
        if self._ticking:
            loop.call_later(self._tick_seconds, self._tick, loop, server_state)


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    cycle: Cycle | None  # type: ignore[assignment]

    def __init__(
        self,
        wire: Wire,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self.wire = wire
        self.running: Cycle | None = None  # the request being answered; `cycle` is the one that came last
        self._limit = wire.limits.header_bytes
        self._in_head = True  # or before it: what comes next belongs to a request's line and headers
        self._head_bytes = 0  # of the head that arrives, in the pieces before this one
        self._head_counted = 0  # of the head that arrives, as the parser reports it
        self._heads = 0
        self._hosts = 0
        self._since = 0.0  # connected; head begun; answer ended; last piece of body
        self._ends = False  # nothing that still arrives counts
        self._ends_at: float | None = None
        self._unsent = 0
        self._unsent_since = 0.0

    # -- the connection ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        if len(self.connections) > self.wire.limits.connections and not self._make_room():
            self._refuse(503, "Too busy", "As many connections as the hub serves are open.", {"Retry-After": "1"})

    def connection_lost(self, exc: Exception | None) -> None:
        self._ends = True
        if self.running is not None and not self.running.response_complete:
            self.running.disconnected = True
            self.running.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        if self._ends_at is not None:
            self.transport.close()

    def shutdown(self) -> None:
        """Answer what is being answered, then close."""
        self.pipeline.clear()
        if self.running is not None and not self.running.response_complete:
            self.running.keep_alive = False
        else:
            self.transport.close()

    def is_idle(self) -> bool:
        """Does it wait for a request that has not begun?"""
        return self._heads > 0 and self._in_head and not self._head_bytes and self._unanswered() is None

    def check_time(self, now: float) -> None:
        """End the connection if its client has let a wait pass."""
        if self.transport.is_closing() or self._ends_at is not None:
            self._check_end(now)
            return
        limits = self.wire.limits
        if self._client_does_not_read(now):
            log.info("http.client_does_not_read", client=self._peer(), seconds=limits.send_silent_seconds)
            self.transport.abort()
        elif self.running is not None and not self.running.response_complete:
            if self.running.awaits_body and now - self._since > limits.body_silent_seconds:
                self.running.body_is_silent()
        elif self.is_idle():
            if now - self._since > limits.idle_seconds:
                self.transport.close()
        elif now - self._since > limits.header_seconds:
            self._refuse(408, "Request timeout", f"No whole request came within {limits.header_seconds:g} s.")

    def linger(self) -> None:
        """Close, but let the client read what it was sent: closing on unread bytes would reset the connection."""
        if self.transport.is_closing():
            return
        self._ends = True
        self._ends_at = self.loop.time() + self.wire.limits.linger_seconds
        self.flow.resume_reading()
        with contextlib.suppress(NotImplementedError, OSError, RuntimeError):
            self.transport.write_eof()  # RuntimeError: uvloop, where the peer has gone meanwhile

    def cut(self) -> None:
        """End with a reset, which no client takes for an end."""
        connection: socket.socket | None = self.transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # -- what arrives --------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._ends:
            return
        while data and self._in_head and self._head_bytes + len(data) > self._limit:
            room = self._limit - self._head_bytes  # never 0: a head of that size was refused
            self._feed(data[:room])
            data = data[room:]
        if data and not self._ends:
            self._feed(data)

    def _feed(self, piece: bytes) -> None:
        heads = self._heads
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            # We speak nothing else: answer in HTTP/1.1 (RFC 9110 section 7.8), and believe nothing that follows.
            self._ends = True
            asked = self._unanswered()
            if asked is not None:
                asked.keep_alive = False
            return
        except httptools.HttpParserError as error:
            self._refuse(400, "Bad request", f"This is no HTTP request: {error}.")
            return
        if self._in_head and self._heads == heads and not self._ends:
            if not self._head_bytes and heads:
                self._since = self.loop.time()
            self._head_bytes += len(piece)
            if self._head_bytes >= self._limit:
                self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_counted = 0
        self._hosts = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._head_counted += len(name) + len(value) + 4
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._ends:
            return
        self._in_head = False
        self._head_bytes = 0
        self._heads += 1
        version = self.parser.get_http_version()
        method = self.parser.get_method()
        if self._head_counted + len(method) + len(self.url) + len(b"  HTTP/1.1\r\n\r\n") > self._limit:
            self._refuse_head()  # it came in one piece with a request before it
            return
        if self._hosts != 1 and (version == "1.1" or self._hosts):  # RFC 9112 section 3.2
            self._refuse(400, "Bad request", "A request names its host exactly once.")
            return
        if not self._set_target(self.url) or version not in {"1.0", "1.1"}:
            self._refuse(400, "Bad request", "The request's first line cannot be served.")
            return
        self.scope["method"] = method.decode("ascii")
        self.scope["http_version"] = version
        self._begin_cycle(keep_alive=version == "1.1" and self.parser.should_keep_alive())

    def on_body(self, body: bytes) -> None:
        if not self._ends:
            self._since = self.loop.time()
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        if not self._ends:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing() or self._ends_at is not None:
            return
        self._since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    # -- within --------------------------------------------------------------------------------------------------

    def _set_target(self, url: bytes) -> bool:
        """Read the request's target: a path, `*`, or the absolute form that proxies get (RFC 9112 section 3.2)."""
        if url.startswith(b"/"):
            raw_path, _, query = url.partition(b"#")[0].partition(b"?")
        elif url == b"*":
            raw_path, query = url, b""
        else:
            try:
                parsed = httptools.parse_url(url)
            except httptools.HttpParserInvalidURLError:
                return False
            if not parsed.host:
                return False
            raw_path, query = parsed.path or b"/", parsed.query or b""
        if not raw_path.isascii():
            return False
        path = raw_path.decode("ascii")
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"] = raw_path
        self.scope["query_string"] = query
        return True

    def _begin_cycle(self, *, keep_alive: bool) -> None:
        before = self._unanswered()
        cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=[],
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.connection = self
        if before is None:
            self.cycle = cycle
            self._start_asgi_task(cycle, self.app)
        elif len(self.pipeline) >= PIPELINED:
            self._ends = True
            before.keep_alive = False
        else:
            self.cycle = cycle
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.running = cast("Cycle", cycle)
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _unanswered(self) -> Cycle | None:
        """The request that came last, if its answer is not complete."""
        return self.cycle if self.cycle is not None and not self.cycle.response_complete else None

    def _make_room(self) -> bool:
        idle = [other for other in self.connections if isinstance(other, BoundedProtocol) and other.is_idle()]
        if not idle:
            return False
        min(idle, key=lambda other: other._since).transport.close()  # noqa: SLF001 - of the same class
        return True

    def _client_does_not_read(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
            return False
        return now - self._unsent_since > self.wire.limits.send_silent_seconds

    def _check_end(self, now: float) -> None:
        has_lingered = self._ends_at is not None and now > self._ends_at
        if (has_lingered and not self.transport.get_write_buffer_size()) or self._client_does_not_read(now):
            self.transport.abort()

    def _refuse_head(self) -> None:
        self._refuse(
            431, "Request header too large", f"A request's line and headers have more than {self._limit} bytes."
        )

    def _refuse(self, status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> None:
        """Answer what is no request, or none that can be served, and end the connection."""
        self._ends = True
        log.info("http.refused", status=status, client=self._peer(), reason=detail)
        asked = self._unanswered()
        if asked is not None:
            if self.pipeline or not asked.more_body:
                # What came before is answered first; this one learns of its error by the connection's end.
                asked.keep_alive = False
                return
            asked.disconnected = True
            asked.message_event.set()
            if asked.response_started:
                self.cut()
                return
        response = render_problem(Problem(status, title, detail, headers=headers), None)
        self.transport.write(
            b"".join(
                [
                    STATUS_LINE[status],
                    self.wire.date(),
                    *(b"%s: %s\r\n" % header for header in response.raw_headers),
                    b"connection: close\r\n\r\n",
                    bytes(response.body),
                ]
            )
        )
        self.linger()

    def _peer(self) -> str:
        return self.client[0] if self.client else "unix"


class Cycle(RequestResponseCycle):
    """One request on the connection, and its answer."""

    connection: BoundedProtocol
    awaits_body = False
    _is_silent = False
    _length: int | None = None

    async def run_asgi(self, app: ASGI3Application) -> None:
        try:
            await app(self.scope, self.receive, cast("Any", self.send))
            is_unfinished = not self.response_complete and not self.disconnected
        except TransferBroken:
            is_unfinished = True
        except asyncio.CancelledError:  # the hub ends, and its patience did before
            self.connection.cut()
            is_unfinished = False
        self.on_response = _nothing
        if is_unfinished:
            self._break_off()

    async def send(self, message: Message) -> None:  # type: ignore[override]
        """Write a part of the answer.

        Raises:
            ClientGone: nobody reads it.
            TransferBroken: the body is not as long as announced.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            raise ClientGone("the client has closed the connection")
        if not self.response_started:
            self._start(message["status"], message["headers"])
            return
        body, more_body = message.get("body", b""), message.get("more_body", False)
        if self.scope["method"] == "HEAD":
            self._length = None
        elif self.chunked_encoding:
            end = b"" if more_body else b"0\r\n\r\n"
            self.transport.write(b"%x\r\n%b\r\n%b" % (len(body), body, end) if body else end)
        elif body:
            if self._length is not None:
                self._length -= len(body)
                if self._length < 0:
                    raise TransferBroken("an answer's body is longer than announced")
            self.transport.write(body)
        if not more_body:
            self._complete()

    async def receive(self) -> ASGIReceiveEvent:
        """Wait for a part of the request's body.

        Raises:
            Problem: 408, the client keeps silent.
        """
        self.awaits_body = self.more_body
        try:
            event = await super().receive()
        finally:
            self.awaits_body = False
        if self._is_silent:
            seconds = self.connection.wire.limits.body_silent_seconds
            raise Problem(408, "Request timeout", f"Nothing of the request's body came for {seconds:g} s.")
        return event

    def body_is_silent(self) -> None:
        """Give the body up."""
        self._is_silent = True
        self.message_event.set()

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.waiting_for_100_continue = False
        lines = [STATUS_LINE[status], self.connection.wire.date()]
        framed = status in _BODILESS or self.scope["method"] == "HEAD"
        for name, value in headers:
            if name == b"content-length":
                self._length = int(value)
                framed = True
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
                continue
            lines.append(b"%b: %b\r\n" % (name, value))
        if status in _BODILESS:
            self._length = None
        if not framed:
            if self.scope["http_version"] == "1.1":
                self.chunked_encoding = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self.keep_alive = False  # HTTP/1.0 knows no chunks: the end of the connection is the end
        if self.more_body:  # what is left of the request is not worth reading
            self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
            raise ValueError("a header of an answer has a line break or NUL in it")
        self.response_started = True
        self.transport.write(head)

    def _complete(self) -> None:
        if self._length:
            raise TransferBroken(f"{self._length} bytes of an answer's announced length are missing")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            if self.more_body:
                self.connection.linger()
            else:
                self.transport.close()
        self.on_response()

    def _break_off(self) -> None:
        if self._length or self.chunked_encoding:
            self.transport.close()  # what is missing shows; what was sent still arrives, so that it can be resumed
        else:
            self.connection.cut()


def _nothing() -> None:
    """After the answer nobody waits for its end any more."""
