"""A proxy on loopback: CONNECT, and plain http by whole addresses. It records what it was asked for.

Names under `hosts` lead where the test says, as a company's proxy knows names that the hub's machine does not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.doubles.loopback import PIECE, Exchange, HangUp, Loopback, Reply, Seen


class ForwardProxy:
    """A proxy in a thread.

    Attributes:
        hosts: where `host:port` really is, as `(address, port)`.
        refuses: the status with which every request is refused; None: none is.
        credentials: the `Proxy-Authorization` that it wants; None: it wants none.
    """

    def __init__(self, hosts: Mapping[str, tuple[str, int]] | None = None) -> None:
        self.hosts = dict(hosts or {})
        self.refuses: int | None = None
        self.credentials: str | None = None
        self._seen: list[Seen] = []
        self._server = Loopback(self._answer)

    @property
    def url(self) -> str:
        """What HTTPS_PROXY is set to."""
        return f"http://127.0.0.1:{self._server.ports[0]}"

    def start(self) -> Self:
        self._server.start()
        return self

    def stop(self) -> None:
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def requests(self) -> list[Seen]:
        """What it was asked for: `CONNECT host:port`, or a method and a whole address."""
        return list(self._seen)

    async def _answer(self, exchange: Exchange) -> None:
        seen = exchange.request
        self._seen.append(seen)
        if self.credentials is not None and seen.headers.get("proxy-authorization") != self.credentials:
            return await self._refuse(exchange, 407)
        if self.refuses is not None:
            return await self._refuse(exchange, self.refuses)
        if seen.method == "CONNECT":
            return await self._tunnel(exchange, seen.target)
        return await self._forward(exchange)

    async def _refuse(self, exchange: Exchange, status: int) -> None:
        exchange.reply = Reply(status, {"Content-Type": "text/plain"}, b"the proxy says no\n")
        await exchange.send()

    async def _tunnel(self, exchange: Exchange, place: str) -> None:
        reader, writer = await self._connect(place)
        exchange.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        exchange.request.status = 200
        await _both_ways((exchange.reader, writer), (reader, exchange.writer))
        raise HangUp

    async def _forward(self, exchange: Exchange) -> None:
        seen = exchange.request
        parts = urlsplit(seen.target)
        reader, writer = await self._connect(f"{parts.hostname}:{parts.port or 80}")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        kept = {name: value for name, value in seen.headers.items() if not name.startswith("proxy-")}
        head = [f"{seen.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in kept.items())]
        writer.write(("\r\n".join([*head, "connection: close"]) + "\r\n\r\n").encode("latin-1") + seen.body)
        try:
            await _copy(reader, exchange.writer)
        finally:
            writer.close()
        raise HangUp

    async def _connect(self, place: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = place.rpartition(":")
        return await asyncio.open_connection(*self.hosts.get(place, (host.strip("[]"), int(port))))


async def _both_ways(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    copies = [asyncio.create_task(_copy(reader, writer)) for reader, writer in ways]
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        for _, writer in ways:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
