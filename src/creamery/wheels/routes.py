"""Built wheels on the wire, as Curdling's server and clients speak.

| path | answer |
|---|---|
| `/w/api/` | the names of the projects that have built wheels |
| `/w/api/{package}` | a project's versions, with the addresses and digests of their wheels |
| `/w/s/{query}` | the wheel that fits best |
| `/w/p/{file}` | a wheel; PUT adds one |
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response

from creamery.blobs import Part
from creamery.contract import InvalidName, ProjectName, normalize
from creamery.door import Hub
from creamery.http import (
    BlobResponse,
    BytesResponse,
    Needs,
    Problem,
    Route,
    base_url,
    by_of,
    header_of,
    moved,
    principal_of,
    quoted,
    receive_file,
    receive_form,
    saying,
)
from creamery.wheels import tables
from creamery.wheels.access import PUSH, READ
from creamery.wheels.finding import Query, WrongQuery, releases
from creamery.wheels.pushing import NameTaken, Pushed, Pushing, PushRefused, check_name
from creamery.wheels.tables import BuiltWheel

PREFIX = "/w"
FILE_TYPE = "application/octet-stream"

_TEXT = ((b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"))
_JSON = (b"content-type", b"application/json")
# What people push somewhere is never rendered on the hub's origin.
_FILE = ((b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"default-src 'none'; sandbox"))


class WheelRoutes:
    """The endpoints, over the rules of built wheels."""

    def __init__(self, hub: Hub, pushing: Pushing, *, is_open: bool) -> None:
        """`is_open`: anyone may read; else no cache on the way may keep for others what one was given."""
        # A name that was evicted may come back with other bytes: caches ask.
        self._cached = (b"cache-control", b"no-cache" if is_open else b"private, no-cache")
        self._pushing = pushing
        self._blobs = hub.blobs
        self._clock = hub.clock
        self._database = hub.database
        self._limits = hub.settings.limits
        self._pools = hub.pools
        self._served = hub.telemetry.counter("wheels_served", "Built wheels that were sent.")

    def table(self) -> tuple[Route, ...]:
        """What is answered, and who may ask."""
        read, push = Needs(READ, "wheel"), Needs(PUSH, "wheel")
        return (
            Route(("GET",), f"{PREFIX}/api", self.projects_without_slash, read),
            Route(("GET",), f"{PREFIX}/api/", self.projects, read),
            Route(("GET",), f"{PREFIX}/api/{{package}}", self.project, read),
            Route(("GET",), f"{PREFIX}/s/{{query}}", self.search, read),
            Route(("GET",), f"{PREFIX}/p/{{file}}", self.wheel, read),
            Route(("PUT",), f"{PREFIX}/p/{{file}}", self.push, push, in_words=True),
        )

    async def projects_without_slash(self, request: Request) -> Response:
        """The one redirect."""
        return moved(request.scope, "api/")

    async def projects(self, _: Request) -> Response:
        """The names of the projects that have built wheels."""
        return self._json(await self._read(tables.projects))

    async def project(self, request: Request) -> Response:
        """A project's versions, the newest first, with the addresses and SHA-256 of their wheels."""
        name = _name(request.path_params["package"])
        wheels = [] if name is None else await self._read(partial(tables.wheels_of, project=name))
        if not wheels:
            return self._json({"status": "error"}, status=404)
        base = f"{base_url(request.scope)}{PREFIX}/p/"
        return self._json(
            [
                {
                    "name": some[0].project,
                    "version": str(version),
                    "urls": [{"url": base + quote(wheel.filename), "sha256": wheel.digest} for wheel in some],
                }
                for version, some in releases(wheels)
            ]
        )

    async def search(self, request: Request) -> Response:
        """The newest wheel that fits a requirement, which `;whl` or `;~whl` may follow."""
        try:
            query = Query(request.path_params["query"])
        except WrongQuery as error:
            return BytesResponse(f"your query is wrong: {error}\n".encode(), _TEXT, status=400)
        best = query.best(await self._read(partial(tables.wheels_of, project=query.project)))
        if best is None:
            return BytesResponse(b"package not found\n", _TEXT, status=404)
        attached = (b"content-disposition", f'attachment; filename="{best.filename}"'.encode())
        return await self._sent(best, attached)

    async def wheel(self, request: Request) -> Response:
        """A wheel's bytes, as they were pushed."""
        filename = request.path_params["file"]
        found = await self._read(partial(tables.find_wheel, filename=filename))
        if found is None:
            raise Problem(
                404, "Not found", f"There is no built wheel {filename}.", remedy=f"{PREFIX}/api/ lists what is here."
            )
        return await self._sent(found)

    async def push(self, request: Request) -> Response:
        """Adds a wheel: a form whose one file is called as it is, as Curdling sends it, or the bytes themselves."""
        filename = check_name(request.path_params["file"])
        part = await self._received(request, filename)
        pushed = Pushed(filename, part, principal_of(request), by_of(request.scope, self._clock.now()))
        await self._pushing.take(pushed)
        return BytesResponse(b"ok", _TEXT)

    async def _received(self, request: Request, filename: str) -> Part:
        def begin(_: str, at_most: int | None) -> Part:
            return self._blobs.begin(None, f"push of {filename}", at_most=at_most)

        content_type = (header_of(request.scope, b"content-type") or "").lower()
        if not content_type.startswith("multipart/"):
            return await receive_file(request, filename, begin=begin, limits=self._limits)
        form = await receive_form(request, file_field=filename, begin=begin, limits=self._limits, wanted=())
        if form.file is None:
            raise PushRefused(f"the form has no part of the name {filename}, which the address says it brings")
        return form.file.part

    async def _sent(self, wheel: BuiltWheel, *headers: tuple[bytes, bytes]) -> Response:
        digest = wheel.digest
        extent = await self._blobs.prepare(digest, wheel.size)
        self._blobs.used(digest)
        self._served.inc()
        return BlobResponse(
            extent,
            etag=quoted(digest),
            media_type=FILE_TYPE,
            headers=(self._cached, *_FILE, *headers),
            verified=self._blobs.check_of(digest),
            lease=partial(self._blobs.lease, digest),
        )

    def _json(self, value: object, status: int = 200) -> Response:
        return BytesResponse(orjson.dumps(value), (_JSON, self._cached), status=status)

    async def _read(self, question: Callable[[Any], Any]) -> Any:
        return await self._pools.database.run(self._database.read, question)


def refusals() -> dict[type[Exception], Callable[[Any], Problem]]:
    """What the errors of pushing look like on the wire."""
    return {
        PushRefused: saying(400, "Push refused"),
        NameTaken: saying(409, "Name taken"),
    }


def _name(text: str) -> ProjectName | None:
    try:
        return normalize(text)
    except InvalidName:
        return None
