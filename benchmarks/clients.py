"""Who loads the servers: one client that measures times, and a crowd that arrives at once."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

PIECE = 256 << 10
HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, and when, in seconds since it was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    first_byte: float
    seconds: float


class Client:
    """One connection, asked for one thing after the other; a body stays as encoded as it came."""

    def __init__(self, base: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET."""
        begun = time.perf_counter()
        self._connection.request("GET", path, headers={"Accept-Encoding": "identity", **(headers or {})})
        response = self._connection.getresponse()
        pieces = [response.read1(PIECE)]
        first_byte = time.perf_counter() - begun
        while piece := response.read1(PIECE):
            pieces.append(piece)
        seconds = time.perf_counter() - begun
        response.close()  # read1 leaves that to its caller; the connection goes on
        given = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, given, b"".join(pieces), first_byte, seconds)


def fetch(base: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """GET on a connection of its own."""
    with Client(base) as client:
        return client.get(path, headers)


class CrowdMember(asyncio.BufferedProtocol):
    """One of many that ask for the same thing at once; it hashes what comes and keeps none of it."""

    def __init__(self) -> None:
        self._buffer = bytearray(PIECE)
        self._head = b""
        self._hash = hashlib.sha256()
        self._missing = -1
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.status = 0
        self.seconds = 0.0

    @classmethod
    async def connected(cls, base: str) -> Self:
        """A connection to `base`."""
        host, _, port = urlsplit(base).netloc.partition(":")
        _, member = await asyncio.get_running_loop().create_connection(cls, host, int(port))
        return member

    @property
    def digest(self) -> str:
        """SHA-256 of the body that came last."""
        return self._hash.hexdigest()

    async def ask(self, request: bytes) -> None:
        """Send a request and take the whole answer."""
        assert self._transport is not None
        self._head, self._hash, self._missing = b"", hashlib.sha256(), -1
        self._answered = asyncio.get_running_loop().create_future()
        self._asked_at = time.perf_counter()
        self._transport.write(request)
        await self._answered

    def close(self) -> None:
        """Leave."""
        assert self._transport is not None
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        came = memoryview(self._buffer)[:nbytes]
        if self._missing < 0:
            self._head += came
            if HEAD_END not in self._head:
                return
            head, _, body = self._head.partition(HEAD_END)
            self._read_head(head.decode("latin-1"))
            came = memoryview(body)
        self._hash.update(came)
        self._missing -= len(came)
        if self._missing <= 0 and not self._answered.done():
            self.seconds = time.perf_counter() - self._asked_at
            self._answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answered.done():
            self.seconds = time.perf_counter() - self._asked_at
            self._answered.set_result(None)  # its digest tells that something is missing

    def _read_head(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        self.status = int(first.split()[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._missing = int(headers.get("content-length", "0"))


def request_bytes(path: str, headers: Mapping[str, str]) -> bytes:
    """A GET as it goes out."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: hub\r\n{lines}\r\n".encode("latin-1")
