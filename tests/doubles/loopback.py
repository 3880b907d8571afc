"""HTTP/1.1 over a socket on loopback, in a thread of its own, small enough to break every rule on demand.

What answers is an async function of an `Exchange`; it sends what it likes, well-formed or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import threading
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Self

PIECE = 64 << 10
MAX_HEAD = 256 << 10


@dataclass
class Seen:
    """A request that came in, and what became of it.

    Attributes:
        method: as it was sent.
        target: what stood in the request line, query included.
        headers: by lower-case name.
        place: which listener it came to, 0 being the first.
        at: when, in seconds of a monotonic clock.
        body: what came along.
        status: of the answer; 0 while there is none.
        sent: bytes of the body that were handed to the socket.
        ended: the answer is complete, or has failed.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    place: int
    at: float
    body: bytes = b""
    status: int = 0
    sent: int = 0
    ended: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass
class Reply:
    """A well-formed answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Exchange:
    """One request and the means to answer it, or to do worse.

    Attributes:
        request: what came in.
        reply: what a good server would answer; filled in by whoever knows.
        whole: what it would answer to the same request without range and conditions.
        reader, writer: the connection.
        rate: bytes a second for `body`; None: as fast as it goes.
    """

    request: Seen
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    rate: float | None = None
    reply: Reply = field(default_factory=Reply)
    whole: Reply | None = None

    async def send(self) -> None:
        """Answer as a good server does."""
        await self.head()
        await self.body(self.reply.body)

    def head_bytes(self) -> bytes:
        """Status line and headers of the reply; the length is that of the body unless the headers say another."""
        reply = self.reply
        headers = {"Date": formatdate(usegmt=True), "Server": "double", **reply.headers}
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers and reply.status != 304:
            headers["Content-Length"] = str(len(reply.body))
        try:
            phrase = HTTPStatus(reply.status).phrase
        except ValueError:
            phrase = "Unheard Of"
        lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def head(self) -> None:
        """Send status line and headers."""
        self.request.status = self.reply.status
        self.writer.write(self.head_bytes())
        await self.writer.drain()

    async def body(self, data: bytes, rate: float | None = None, piece: int = PIECE) -> None:
        """Send a body, or nothing for a HEAD and where there can be none."""
        if self.request.method == "HEAD" or self.reply.status in {204, 304}:
            return
        pace = rate or self.rate
        loop = asyncio.get_running_loop()
        begun = loop.time()
        view = memoryview(data)
        for start in range(0, len(view), piece):
            part = view[start : start + piece]
            if pace:
                await asyncio.sleep(max(0.0, begun + (start + len(part)) / pace - loop.time()))
            self.request.sent += len(part)  # before: whoever has it may look at once
            self.writer.write(part)
            await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        """Send one chunk of a body without a known length; an empty one ends it."""
        self.request.sent += len(data)
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the client has gone."""
        with contextlib.suppress(OSError):
            while await self.reader.read(PIECE):
                pass

    def abort(self) -> None:
        """Cut the connection (RST where the system does so)."""
        self.writer.transport.abort()


Answerer = Callable[[Exchange], Awaitable[None]]


class HangUp(Exception):
    """Raised by what answers: close the connection, what was sent is sent."""


TURNS = 5  # of the loop, until whoever was just accepted is known too, and what was cut has closed its socket


class Loopback:
    """A server in a thread. `start` after `stop` listens on the same ports again.

    While it is stopped its ports stay reserved: nobody listens there, and nobody else is given them. Without that, who
    still looks for the stopped server would meet another test's.
    """

    def __init__(
        self, answer: Answerer, *, listeners: int = 1, port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._answer = answer
        self._tls = tls
        self.ports = [_reserve(self, each) for each in [port] + [0] * (listeners - 1)]
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0

    def start(self) -> Self:
        """Listen; raises OSError where a port is taken."""
        ready = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(ready,), name="loopback", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        """Stop listening and cut every connection; may be called twice."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        thread.join()

    def __enter__(self) -> Self:
        return self if self._thread is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def cut(self) -> None:
        """Cut every open connection; go on listening."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits in start()
            self._failure = error
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        servers = []
        for place, port in enumerate(self.ports):
            server = await asyncio.start_server(
                partial(self._connection, place),
                "127.0.0.1",
                port,
                limit=MAX_HEAD,
                backlog=1024,
                ssl=self._tls,
            )
            servers.append(server)
        ready.set()
        await self._stop.wait()
        for listening in (each for server in servers for each in server.sockets):
            self._loop.remove_reader(listening.fileno())  # a server that is closed loses whom it has just accepted
        for _ in range(TURNS):
            self._cut()
            await asyncio.sleep(0)
        for server in servers:
            server.close()

    async def _connection(self, place: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while (request := await _read_request(reader, place)) is not None:
                try:
                    await self._answer(Exchange(request, reader, writer))
                finally:
                    request.ended = True
                if request.headers.get("connection", "").lower() == "close":
                    break
        except (HangUp, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client has gone, or is to be left alone
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()  # what the client does not read any more is cut when the server stops
            self._writers.discard(writer)


def _reserve(owner: object, port: int) -> int:
    """Bind a port, as long as `owner` lives, without listening; who knows it can listen there (SO_REUSEADDR)."""
    guard = socket.socket()
    guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        guard.bind(("127.0.0.1", port))
        return int(guard.getsockname()[1])
    finally:
        weakref.finalize(owner, os.close, guard.detach())


def narrowed(whole: Reply, seen: Seen) -> Reply:
    """The reply to conditions and a range (RFC 9110 13, 14)."""
    if whole.status != 200:
        return whole
    if _is_known(whole, seen):
        kept = {name: value for name, value in whole.headers.items() if name != "Content-Type"}
        return Reply(304, kept)
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", seen.headers.get("range", ""))
    if asked is None or asked[0] == "bytes=-" or "Accept-Ranges" not in whole.headers:
        return whole
    if seen.headers.get("if-range", whole.headers.get("ETag")) != whole.headers.get("ETag"):
        return whole
    size = len(whole.body)
    start = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
    stop = min(size, int(asked[2]) + 1) if asked[1] and asked[2] else size
    if start >= stop:
        return Reply(416, {"Content-Range": f"bytes */{size}", "Content-Type": "text/plain"}, b"416\n")
    return Reply(206, {**whole.headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}, whole.body[start:stop])


def _is_known(whole: Reply, seen: Seen) -> bool:
    if "if-none-match" in seen.headers:
        tags = {tag.strip().removeprefix("W/") for tag in seen.headers["if-none-match"].split(",")}
        return whole.headers.get("ETag") in tags
    modified = whole.headers.get("Last-Modified")
    return modified is not None and seen.headers.get("if-modified-since") == modified


async def _read_request(reader: asyncio.StreamReader, place: int) -> Seen | None:
    try:
        begin = await reader.readexactly(1)
        if not begin.isalpha():  # TLS, for instance
            return None
        head = begin + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers: dict[str, str] = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        name = name.strip().lower()
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, place, asyncio.get_running_loop().time(), body)
