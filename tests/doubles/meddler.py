"""What stands between a client and a hub, and answers some paths otherwise; all else goes through as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx2

from tests.doubles.loopback import Answerer, Exchange, Loopback, Reply, Seen

_OWN = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding"})


class Meddler:
    """In a thread.

    Attributes:
        base: its address.
        orders: paths (beginnings), perhaps with a method before them, each with how it is answered.
        changes: paths (beginnings), each with what becomes of the hub's answer.
        seen: every request.
    """

    def __init__(self, hub: str) -> None:
        self.orders: dict[str, Answerer] = {}
        self.changes: dict[str, Callable[[Reply], Reply]] = {}
        self.seen: list[Seen] = []
        self._hub = hub
        self._server = Loopback(self._answer)
        self._client = httpx2.Client(timeout=30, trust_env=False, headers={"Accept-Encoding": "identity"})

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.ports[0]}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._client.close()

    def stop(self) -> None:
        """Be away; nobody else is given its port."""
        self._server.stop()

    async def let_through(self, exchange: Exchange) -> None:
        """Answer as the hub does."""
        exchange.reply = await asyncio.to_thread(self._forward, exchange.request)
        await exchange.send()

    async def _answer(self, exchange: Exchange) -> None:
        request = exchange.request
        self.seen.append(request)
        for begin, answerer in self.orders.items():
            if request.path.startswith(begin) or f"{request.method} {request.path}".startswith(begin):
                await answerer(exchange)
                return
        exchange.reply = await asyncio.to_thread(self._forward, request)
        for begin, change in self.changes.items():
            if request.path.startswith(begin):
                exchange.reply = change(exchange.reply)
        await exchange.send()

    def _forward(self, request: Seen) -> Reply:
        headers = {name: value for name, value in request.headers.items() if name not in _OWN}
        ask = self._client.build_request(
            request.method, self._hub + request.target, headers=headers, content=request.body
        )
        answer = self._client.send(ask)
        kept = {name: value for name, value in answer.headers.items() if name not in _OWN}
        return Reply(answer.status_code, kept, answer.content)
