"""HTTP/1.1 on a socket: uvicorn's protocol with a bound on every size and every wait.

Stock uvicorn takes 20 MB of header, waits for ever for its end, and for ever for a client that does not read. Here
the bytes of a request's head are counted before the parser gets them, and one timer per process (not one per request:
that would cost 2 us each) looks at all connections and ends those whose time is over. RFC 9112 rules.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, cast
from urllib.parse import unquote

import httptools
from starlette.types import ASGIApp, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from creamery.clock import SECOND, Clock
from creamery.http.addresses import is_host
from creamery.http.cycle import Cycle
from creamery.http.exchange import REFUSAL
from creamery.http.problems import Problem
from creamery.http.turns import Turns
from creamery.http.zerocopy import OFFER, FilePiece, send_piece
from creamery.limits import MIB, Limits
from creamery.telemetry import log

GATHERED_BYTES = 4 * MIB  # more than the largest page
ASGI: Any = {"version": "3.0", "spec_version": "2.4"}  # 2.4: `send` raises when the client has gone


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
        self.turns = Turns()
        self.is_ending = False
        self._ticking = False
        self._expects_one = False  # a connection that was made and does not stand among the others yet

    def protocol(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> BoundedProtocol:
        """A connection's protocol, as uvicorn asks for it."""
        protocol = BoundedProtocol(self, config, server_state, app_state, _loop)
        self._expects_one = True
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
        self._ticking = bool(server_state.connections) or self._expects_one
        self._expects_one = False
        if self._ticking:
            loop.call_later(self._tick_seconds, self._tick, loop, server_state)


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    cycle: Cycle | None  # type: ignore[assignment]  # a class of our own
    pipeline: deque[tuple[Cycle, ASGIApp]]  # type: ignore[assignment]  # likewise

    def __init__(
        self,
        wire: Wire,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self.url = b""
        self.headers = []
        self.wire = wire
        self.running: Cycle | None = None  # the request being answered; `cycle` is the one that came last
        self._limit = wire.limits.header_bytes
        self._in_head = True  # or before it: what comes next belongs to a request's line and headers
        self._head_bytes = 0  # of the head that arrives, in the pieces before this one
        self._heads = 0
        self._has_begun = False  # the head's first line has
        self._may_hide_head = False  # from now on heads are counted as they are parsed: one may begin behind a body
        self._hosts: list[bytes] | None = None  # the Host lines that were found good
        self._since = 0.0  # connected; head begun; answer ended; body awaited, or its last piece
        self._ends = False  # nothing that still arrives counts
        self._gathers = False
        self._sends_file = False
        self._out: socket.socket | None = None
        self._ends_at: float | None = None
        self._ends_at_last = 0.0
        self._unsent = 0
        self._unsent_since = 0.0

    # -- the connection ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        if self.wire.is_ending:  # accepted in the moment in which the others were told
            transport.close()
        elif len(self.connections) > self.wire.limits.connections and not self._make_room():
            self._refuse(503, "Too busy", "As many connections as the hub serves are open.", {"Retry-After": "1"})

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)
        self._ends = True
        if self._out is not None:
            self._out.detach()
        self.pipeline.clear()
        for cycle in (self.running, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.client_left()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = cast("Any", None)

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
        begun = self._has_begun or self._head_bytes
        return self._heads > 0 and self._in_head and not begun and self._unanswered() is None

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
                self.running.give_body_up()
        elif self.is_idle():
            if now - self._since > limits.idle_seconds:
                self.transport.close()
        elif now - self._since > limits.header_seconds:
            self._refuse(408, "Request timeout", f"No whole request came within {limits.header_seconds:g} s.")

    def linger(self) -> None:
        """Close, but let the client read what it was sent: closing on unread bytes would reset the connection.

        Most clients read only when they have sent everything, a gigabyte perhaps; it is thrown away as it comes.
        """
        if self.transport.is_closing():
            return
        self._ends = True
        self._ends_at_last = self.loop.time() + self.wire.limits.linger_most_seconds
        self._put_end_off()
        self.flow.resume_reading()
        with contextlib.suppress(NotImplementedError, OSError, RuntimeError):
            self.transport.write_eof()  # RuntimeError: uvloop, where the peer has gone meanwhile

    def _put_end_off(self) -> None:
        self._ends_at = min(self.loop.time() + self.wire.limits.linger_seconds, self._ends_at_last)

    def body_is_awaited(self) -> None:
        """From now on it is the client who keeps us waiting."""
        self._since = self.loop.time()
        self.flow.resume_reading()

    def gather_writes(self, *, gather: bool) -> None:
        """Write what is ready only when all requests of this turn of the loop are answered, not each at once.

        Copying a page of 500 kB into the socket empties the processor's caches, and the code that answers the next
        request then runs at half its speed: gathered, pages go out a quarter faster. Only for bytes that are in
        memory anyway; what is streamed is written as it comes, and waits for the client after 64 kB.
        """
        if gather != self._gathers:
            self._gathers = gather
            self.transport.set_write_buffer_limits(high=GATHERED_BYTES if gather else None)

    def out(self) -> socket.socket:
        """The connection's socket, to write to at once; the transport's own, which closes it."""
        if self._out is None:
            descriptor = self.transport.get_extra_info("socket").fileno()
            self._out = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, descriptor)  # nobody asks its family
        return self._out

    async def send_piece(self, piece: FilePiece, sent_more: Callable[[int], None]) -> None:
        """Send bytes of a file behind all that was written; `sent_more` hears how many have gone.

        Raises:
            TransferBroken: the file ends before them.
            OSError: the client has gone.
        """
        self._sends_file = True
        self.transport.set_write_buffer_limits(high=0)  # writing pauses until nothing is left
        try:
            while self.transport.get_write_buffer_size():
                await self.flow.drain()
            if not self.transport.is_closing():
                await send_piece(self.transport.get_extra_info("socket").fileno(), piece, sent_more)
        finally:
            self._sends_file = False
            if not self.transport.is_closing():
                self.transport.set_write_buffer_limits()

    def cut(self) -> None:
        """End with a reset, which no client takes for an end."""
        connection: socket.socket | None = self.transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # -- what arrives --------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._ends_at is not None:
            self._put_end_off()
            return
        while data and self._in_head and not self._ends and self._head_bytes + len(data) > self._limit:
            room = self._limit - self._head_bytes  # never 0: a head of that size was refused
            self._feed(data[:room])
            data = data[room:]
        if data and not self._ends:
            self._may_hide_head = self._may_hide_head or len(data) > self._limit
            self._feed(data)

    def _feed(self, piece: bytes) -> None:
        heads, was_in_head = self._heads, self._in_head
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
        if not self._in_head or self._ends:
            return
        if was_in_head and self._heads == heads:
            if not self._head_bytes and heads:
                self._since = self.loop.time()
            self._head_bytes += len(piece)
            if self._head_bytes >= self._limit:
                self._refuse_head()
        elif self._has_begun:  # somewhere in this piece, behind another request's end
            self._since = self.loop.time()
            self._may_hide_head = True

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._has_begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what follows a body in chunks is nobody's header (RFC 9110 section 6.5.1)
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._ends:
            return
        self._in_head = self._has_begun = False
        self._head_bytes = 0
        self._heads += 1
        version = self.parser.get_http_version()
        method = self.parser.get_method()
        if self._may_hide_head and self._counted(method) > self._limit:
            self._refuse_head()
            return
        hosts = [value for name, value in self.headers if name == b"host"]
        if hosts != self._hosts and not self._accepts_host(hosts, version):
            return
        target = _target(self.url)
        if target is None or version not in {"1.0", "1.1"}:
            self._refuse(400, "Bad request", "The request's first line cannot be served.")
            return
        raw_path, query = target
        path = raw_path.decode("ascii")
        scope = self._scope(unquote(path) if "%" in path else path, raw_path, query)
        self._begin_cycle(scope, keep_alive=version == "1.1" and self.parser.should_keep_alive())

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if self._ends or cycle is None or cycle.response_complete:
            return
        self._since = self.loop.time()
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.wake()

    def on_message_complete(self) -> None:
        self._in_head = True
        cycle = self.cycle
        if cycle is not None and not self._ends:
            cycle.more_body = False
            cycle.wake()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing() or self._ends_at is not None:
            return
        self._since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._run(cycle, app)

    # -- within --------------------------------------------------------------------------------------------------

    def _begin_cycle(self, scope: Scope, *, keep_alive: bool) -> None:
        before = self._unanswered()
        expects_100 = scope["method"] not in {"GET", "HEAD"} and _expects_100(self.headers)
        cycle = Cycle(self, scope, keep_alive=keep_alive, expects_100=expects_100)
        if before is None:
            self.cycle = cycle
            self._run(cycle, cast("ASGIApp", self.app))
        elif len(self.pipeline) >= self.wire.limits.pipelined_requests:
            self._ends = True
            before.keep_alive = False
        else:
            self.cycle = cycle
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, cast("ASGIApp", self.app)))

    def _run(self, cycle: Cycle, app: ASGIApp) -> None:
        self.running = cycle
        self.wire.turns.add(cycle.run(app), self.loop, self.tasks, cycle.goes_on_as)

    def _accepts_host(self, hosts: list[bytes], version: str) -> bool:
        """RFC 9112 section 3.2; what was found good is not looked at again on this connection."""
        if len(hosts) != 1 and (version == "1.1" or hosts):
            self._refuse(400, "Bad request", "A request names its host exactly once.")
        elif hosts and hosts[0] and not is_host(hosts[0]):
            self._refuse(400, "Bad request", "The request's Host header is no host.")
        else:
            self._hosts = hosts if version == "1.1" else None
            return True
        return False

    def _counted(self, method: bytes) -> int:
        """The bytes of the head that has just been read; spaces around values are not in it any more."""
        return (
            len(method) + len(self.url) + len(b"  HTTP/1.1\r\n\r\n") + sum(len(n) + len(v) + 4 for n, v in self.headers)
        )

    def _unanswered(self) -> Cycle | None:
        """The request that came last, if its answer is not complete."""
        return self.cycle if self.cycle is not None and not self.cycle.response_complete else None

    def _make_room(self) -> bool:
        others = cast("set[BoundedProtocol]", self.connections)
        idle = [other for other in others if other.is_idle() and not other.transport.is_closing()]
        if not idle:
            return False
        min(idle, key=lambda other: other._since).transport.close()  # noqa: SLF001 - of the same class
        return True

    def _client_does_not_read(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if unsent or self._sends_file:  # it stands still for long while the kernel's megabytes trickle to a slow client
            unsent += _unsent_by_kernel(self.transport.get_extra_info("socket"))
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
        """Let the application answer what is no request, or none that can be served, and end the connection."""
        self._ends = True
        problem = Problem(status, title, detail, headers=headers)
        asked = self._unanswered()
        if asked is None or not asked.more_body:  # what came before is answered first
            self._begin_cycle(self._scope(refusal=problem), keep_alive=False)
        elif asked.response_started:
            asked.disconnected = True
            asked.wake()
            self.cut()
        else:
            asked.refuse(problem)

    def _scope(
        self, path: str = "", raw_path: bytes = b"", query: bytes = b"", refusal: Problem | None = None
    ) -> Scope:
        """What is known of the request; of one that is refused that may be its method alone, or nothing."""
        known = refusal is None or self.url
        scope = {
            "type": "http",
            "asgi": ASGI,
            "http_version": self.parser.get_http_version() if known else "1.1",
            "method": self.parser.get_method().decode("ascii") if known else "",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
            "extensions": OFFER,
        }
        if refusal is not None:
            scope[REFUSAL] = refusal
            scope["raw_path"] = self.url.partition(b"?")[0] if self.url.startswith(b"/") else b""
        return scope

    def _peer(self) -> str:
        return self.client[0] if self.client else "unix"


def _unsent_by_kernel(connection: Any) -> int:
    """Bytes that were handed to the kernel and that the other side has not acknowledged (tcp(7), SIOCOUTQ)."""
    answer = bytearray(struct.calcsize("i"))
    try:
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, answer)
    except OSError:  # no socket that counts, or none any more
        return 0
    return int(struct.unpack("i", answer)[0])


def _expects_100(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def _target(url: bytes) -> tuple[bytes, bytes] | None:
    """Raw path and query of a request's target: a path, `*`, or the absolute form that proxies get.

    None for anything else (RFC 9112 section 3.2).
    """
    if url.startswith(b"/"):
        raw_path, _, query = url.partition(b"#")[0].partition(b"?")
    elif url == b"*":
        raw_path, query = url, b""
    else:
        try:
            parsed = httptools.parse_url(url)
        except httptools.HttpParserInvalidURLError:
            return None
        if not parsed.host:
            return None
        raw_path, query = parsed.path or b"/", parsed.query or b""
    return (raw_path, query) if raw_path.isascii() else None
