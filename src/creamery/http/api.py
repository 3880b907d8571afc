"""`/api/v1`: JSON for pages and programs, by FastAPI, which is imported when somebody asks for it first.

Each door declares its routes in its table like all others, and so says who may come in; what answers them is a router
of FastAPI's (the door's `api.py`), loaded at the first request: a hub that nobody asks keeps 11 MiB. A route of the one
kind without its twin of the other is a defect, which the first request tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from creamery import __version__
from creamery.http.forgery import SAFE_METHODS, refuse_other_sites
from creamery.http.problems import Problem
from creamery.http.routing import PUBLIC, Needs, Route
from creamery.http.send import BytesResponse
from creamery.limits import Limits
from creamery.threads import Pools

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI

PREFIX = "/api/v1"
DOCUMENT = f"{PREFIX}/openapi.json"

_PRIVATE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_JSON = ((b"content-type", b"application/json"), (b"cache-control", b"no-cache"))


class Bound(NamedTuple):
    """How many bytes a request's JSON may have, and which setting says so."""

    limit: str
    bytes: int


class Api:
    """What is answered under `/api/v1`, whichever door has it."""

    def __init__(self, pools: Pools, limits: Limits) -> None:
        self._pools = pools
        self._limits = limits
        self._routers: list[Callable[[], APIRouter]] = []
        self._declared: set[tuple[str, str]] = set()
        self._public: set[tuple[str, str]] = set()
        self._loading = asyncio.Lock()
        self._app: FastAPI | None = None
        self._document: bytes | None = None

    def route(
        self,
        methods: tuple[str, ...],
        path: str,
        needs: Needs,
        says: str,
        *,
        is_open: bool = False,
        bound: Bound | None = None,
    ) -> Route:
        """A line for a door's table: what stands behind it is in the door's router.

        Args:
            methods: see `Route`.
            path: under `/api/v1`.
            needs: see `Route`.
            says: what it answers, for the reference.
            is_open: the settings give the right to anyone; then the document asks for no credentials.
            bound: of a request's JSON, where it is another one than `limits.json_bytes`.
        """
        bound = bound or Bound("limits.json_bytes", self._limits.json_bytes)
        lines = {(method, PREFIX + path) for method in methods}
        self._declared |= lines
        if needs == PUBLIC or is_open:
            self._public |= lines
        return Route(methods, PREFIX + path, partial(self._answer, bound=bound), needs, says)

    def document_route(self) -> Route:
        """The OpenAPI document of everything."""
        return Route(("GET",), DOCUMENT, self._describe, PUBLIC)

    def include(self, router: Callable[[], APIRouter]) -> None:
        """A door's router, imported when it is needed."""
        self._routers.append(router)

    async def load(self) -> FastAPI:
        """The application behind all routes; half a second the first time, in a thread.

        Raises:
            RuntimeError: routes and declarations differ: a defect.
        """
        async with self._loading:
            if self._app is None:
                self._app = await self._pools.cpu.run(self._built)
            return self._app

    async def _answer(self, request: Request, *, bound: Bound) -> Response:
        refuse_other_sites(request.scope)
        if b"%2f" in request.scope["raw_path"].lower():  # FastAPI would take it for a slash
            raise Problem(404, "Not found", "Nothing under /api/v1 has a slash in its name.")
        app = await self.load()
        body = b"" if request.method in SAFE_METHODS else await _read(request, bound)
        return _Answer(app, body)

    async def _describe(self, _: Request) -> Response:
        """The OpenAPI document of everything under `/api/v1`."""
        app = await self.load()
        if self._document is None:
            self._document = await self._pools.cpu.run(lambda: orjson.dumps(app.openapi()))
        return BytesResponse(self._document, _JSON)

    def _built(self) -> FastAPI:
        from creamery.http.fastapi_app import application  # noqa: PLC0415 - 11 MiB

        app, found = application([load() for load in self._routers], PREFIX, __version__, self._public)
        if found != self._declared:
            raise RuntimeError(f"declared and answered routes of {PREFIX} differ: {sorted(found ^ self._declared)}")
        return app


class _Answer(Response):
    """Hands the request on to FastAPI's application, with a body that has come as a whole."""

    def __init__(self, app: ASGIApp, body: bytes) -> None:
        self.status_code = 200
        self.background = None
        self._app = app
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = False

        async def whole() -> Message:
            nonlocal is_read
            if is_read:
                return await receive()
            is_read = True
            return {"type": "http.request", "body": self._body, "more_body": False}

        async def kept_by_nobody(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_PRIVATE]
            await send(message)

        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope  # the protocol leaves the body out
        await self._app(asked, whole, kept_by_nobody)


async def _read(request: Request, bound: Bound) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > bound.bytes:
            raise Problem(413, detail=f"The JSON that was sent has more than {bound.bytes} bytes ({bound.limit}).")
    return bytes(body)
