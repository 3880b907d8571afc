"""The hub's own server around routes of a test's choice, on loopback, in a thread; and sockets to break rules with."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson
import uvicorn
import uvloop

from creamery.clock import SystemClock
from creamery.http import AccessLog, Application, Proxies, Route, Router, Wire
from creamery.limits import Limits
from creamery.telemetry import Telemetry
from creamery.threads import Pools


@dataclass(frozen=True)
class Answer:
    """What came back: status 0 where no answer did."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wired:
    """Started on entering, ended on leaving.

    Args:
        routes: what is answered.
        proxies: whom to believe.
        limits: those that differ from the defaults.
    """

    def __init__(self, routes: Sequence[Route], proxies: Proxies | None = None, **limits: Any) -> None:
        self.limits = Limits(**limits)
        self.telemetry = Telemetry()
        self.port = 0
        self.path: str | None = None
        self._lines: list[bytes] = []
        self._pools = Pools(self.limits)
        self._log = AccessLog(self._lines.append, as_json=True)
        self._app = Application(
            Router({"toy": routes}),
            pools=self._pools,
            limits=self.limits,
            clock=SystemClock(),
            telemetry=self.telemetry,
            proxies=proxies,
            via="creamery-here",
            access_log=self._log,
        )
        self._ready = threading.Event()
        self._server: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="wired", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._pools.close()

    @contextlib.contextmanager
    def connected(self, seconds: float = 10.0) -> Iterator[socket.socket]:
        """A connection to it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            yield connection

    def ask(self, request: bytes, seconds: float = 10.0) -> bytes:
        """Send exactly this, and return all that comes until the server closes or keeps silent for half a second."""
        with self.connected(seconds) as connection:
            connection.sendall(request)
            return read_all(connection, seconds)

    def get(self, target: str, method: str = "GET", **headers: str) -> Answer:
        """A well-formed request; header names with `_` for `-`."""
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        return parse(self.ask(f"{method} {target} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n{lines}\r\n".encode()))

    def lines(self) -> list[dict[str, Any]]:
        """The lines of requests so far."""
        assert self._loop is not None
        flushed = threading.Event()
        self._loop.call_soon_threadsafe(self._log.flush)
        self._loop.call_soon_threadsafe(flushed.set)
        assert flushed.wait(5)
        return [orjson.loads(line) for line in b"".join(self._lines).splitlines()]

    def connections(self) -> int:
        """How many are open."""
        assert self._server is not None
        return len(self._server.server_state.connections)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.wire = Wire(self.limits, SystemClock())
        config = uvicorn.Config(
            self._app,
            host="127.0.0.1",
            port=0,
            http=self.wire.protocol,  # type: ignore[arg-type]  # a factory does as well
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.005)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self._ready.set()
        await serving
        await cut_all(self._server)


async def cut_all(server: uvicorn.Server) -> None:
    """End what outlived a server's shutdown, as the end of its process would."""
    for connection in tuple(server.server_state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)


def read_all(connection: socket.socket, seconds: float = 10.0) -> bytes:
    """Everything until the other side closes; a reset ends it too."""
    connection.settimeout(seconds)
    found = b""
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        while piece := connection.recv(1 << 16):
            found += piece
    return found


def parse(raw: bytes) -> Answer:
    """One answer, its chunks put together; a body that is cut short stays short."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    match = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", lines[0])
    if match is None:
        return Answer(0, {}, raw)
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(_chunks(body))
    return Answer(int(match[1]), headers, body)


def _chunks(raw: bytes) -> Iterator[bytes]:
    while raw:
        size, _, rest = raw.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return
        yield rest[:length]
        raw = rest[length + 2 :]
