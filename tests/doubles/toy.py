"""Endpoints for the server under test: a page, files, growing files, and some that do not read what they are sent."""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from creamery.blobs import Extent
from creamery.http import (
    PUBLIC,
    BlobResponse,
    BytesResponse,
    FollowResponse,
    Problem,
    Route,
    SharedBytes,
    base_url,
    client_address,
    is_not_modified,
    note,
)

CONTENT = bytes(range(256)) * 4_000
SLICE = CONTENT[100:1_100]
LARGE = b"".join(number.to_bytes(4, "big") for number in range(2_000_000))
SHARED = SharedBytes(LARGE)
"""The same, as a page has them that is sent to many."""


class Growing:
    """A source whose bytes come in steps; `breaks_at` is where it breaks instead."""

    def __init__(self, content: bytes, size: int | None, *, step: int = 300_000, breaks_at: int | None = None) -> None:
        self._content = content
        self._step = step
        self._breaks_at = breaks_at
        self.size = size
        self.readable = 0
        self.done = False

    async def wait(self, beyond: int) -> int:
        while self.readable <= beyond and not self.done:
            await asyncio.sleep(0.001)
            if self._breaks_at is not None and self.readable >= self._breaks_at:
                raise ConnectionError("the upstream went away")
            self.readable = min(len(self._content), self.readable + self._step, self._breaks_at or len(self._content))
            self.done = self.readable == len(self._content)
        return self.readable

    async def read(self, offset: int, length: int) -> bytes:
        return self._content[offset : min(offset + length, self.readable)]


class Toy:
    """The endpoints."""

    def __init__(self, folder: Path) -> None:
        file = folder / "file"
        file.write_bytes(CONTENT)
        large = folder / "large"
        large.write_bytes(LARGE)
        self.extents = {
            "large": Extent(large, 0, len(LARGE)),
            "whole": Extent(file, 0, len(CONTENT)),
            "slice": Extent(file, 100, 1_000),
            "missing": Extent(folder / "none", 0, 10),
            "cut": Extent(file, 0, len(CONTENT) + 1),
            "cut-small": Extent(file, len(CONTENT) - 10, 20),
        }

    async def page(self, request: Request) -> Response:
        note(request, cache="hit")
        headers = [(b"content-type", b"text/html"), (b"etag", b'"v1"')]
        return BytesResponse(b"", headers, 304) if is_not_modified(request, '"v1"') else BytesResponse(b"page", headers)

    async def shared(self, _: Request) -> Response:
        return BytesResponse(SHARED, [(b"content-type", b"application/octet-stream")])

    async def blob(self, request: Request) -> Response:
        extent = self.extents[request.path_params["name"]]
        return BlobResponse(extent, etag='"x"', media_type="text/plain", headers=[(b"cache-control", b"immutable")])

    async def follow(self, request: Request) -> Response:
        sources = {
            "sized": Growing(CONTENT, len(CONTENT)),
            "unsized": Growing(CONTENT, None),
            "broken": Growing(CONTENT, len(CONTENT), breaks_at=500_000),
            "unsized-broken": Growing(CONTENT, None, breaks_at=500_000),
            "short": Growing(CONTENT[:500_000], len(CONTENT)),
            "stillborn": Growing(CONTENT, len(CONTENT), breaks_at=0, step=0),
        }
        return FollowResponse(sources[request.path_params["name"]], etag='"f"', media_type="text/plain")

    async def echo(self, request: Request) -> Response:
        return BytesResponse(await request.body(), [])

    async def headers(self, request: Request) -> Response:
        await request.body()
        return BytesResponse(repr(request.scope["headers"]).encode(), [])

    async def ignore(self, _: Request) -> Response:
        return BytesResponse(b"I do not listen", [])

    async def name(self, request: Request) -> Response:
        return BytesResponse(request.path_params["name"].encode(), [])

    async def stream(self, _: Request) -> Response:
        return StreamingResponse(iter([b"one", b"two"]))

    async def fail(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind == "problem":
            raise Problem(418, "A teapot", "<b>\n\0is</b>", remedy="Make tea.", headers={"Retry-After": "1"})
        if kind == "full":
            raise OSError(28, "No space left on device", "/secret/path")
        if kind == "header":
            return BytesResponse(b"", [(b"x", b"a\r\nset-cookie: b")])
        raise RuntimeError("a secret detail")

    async def who(self, request: Request) -> Response:
        return BytesResponse(f"{client_address(request)} {base_url(request)}".encode(), [])


def routes(folder: Path) -> list[Route]:
    """What the toy answers."""
    toy, anyone = Toy(folder), PUBLIC
    return [
        Route(("GET",), "/page", toy.page, anyone),
        Route(("GET",), "/shared", toy.shared, anyone),
        Route(("GET",), "/blob/{name}", toy.blob, anyone),
        Route(("GET",), "/follow/{name}", toy.follow, anyone),
        Route(("POST", "PUT"), "/echo", toy.echo, anyone),
        Route(("POST",), "/headers", toy.headers, anyone),
        Route(("POST",), "/ignore", toy.ignore, anyone),
        Route(("GET",), "/name/{name}", toy.name, anyone),
        Route(("GET",), "/stream", toy.stream, anyone),
        Route(("GET",), "/fail/{kind}", toy.fail, anyone),
        Route(("GET",), "/who", toy.who, anyone),
    ]
