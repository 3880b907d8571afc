"""Connections that are kept for the next request.

HTTP/1.1 answers have no names: the next answer on a connection is taken for the answer to the next request. What an
upstream sends unasked while a connection rests would so become the answer to a question that nobody had asked yet
(response smuggling). The library keeps such a connection; here it is cut.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class ConnectionPool(aiohttp.TCPConnector):
    """aiohttp's own pool, with connections that are cut when they speak unasked.

    It leans on private names of aiohttp 3.14; tests/egress/test_client.py and test_pool.py notice when they are gone.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._handlers: WeakSet[_RestingAware] = WeakSet()
        self._factory = partial(self._handler)

    async def close(self, *, abort_ssl: bool = False) -> None:
        """End every connection, also those that are being made just now, which the library leaves to themselves."""
        await super().close(abort_ssl=abort_ssl)
        for handler in tuple(self._handlers):
            handler.end()
        await asyncio.sleep(0)  # what was aborted closes its socket in the loop's next turn

    def _handler(self) -> ResponseHandler:
        handler = _RestingAware(self._loop)
        self._handlers.add(handler)
        return handler

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        connection = await super()._get(key, traces)
        if connection is not None and isinstance(connection.protocol, _RestingAware):
            connection.protocol.resting = False
        return connection

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if isinstance(protocol, _RestingAware):
            protocol.resting = True


class _RestingAware(ResponseHandler):
    resting = False
    ended = False
    wire: asyncio.Transport | None = None  # the library forgets it when it begins to close

    def end(self) -> None:
        """Cut the connection, now or when it is made."""
        self.ended = True
        self.abort()
        if self.wire is not None:
            self.wire.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.wire = cast("asyncio.Transport", transport)
        if self.ended:
            self.end()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.wire = None
        super().connection_lost(exc)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - the library's signature
        """Go on reading; a connection that has come to rest by that waits for nothing.

        Where the end of a body is read out of what had piled up, the library releases the connection and then starts
        the clock of `sock_read` on it: the next request on it, any time later, failed at once as too slow.
        """
        super().resume_reading(resume_parser)
        if self.resting:
            self._drop_timeout()

    def data_received(self, data: bytes) -> None:
        if self.resting and data:  # the library calls it without data too, when it goes on reading
            self.abort()
        else:
            super().data_received(data)
