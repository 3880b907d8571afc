"""Built wheels on the wire, as Curdling's server and clients speak; on a hub below `/w`.

| path | answer |
|---|---|
| `/api/` | the names of the projects that have built wheels |
| `/api/{package}` | a project's versions, with the addresses and digests of their wheels |
| `/s/{query}` | the wheel that fits best |
| `/p/{file}` | a wheel; PUT adds one |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response

from creamery.blobs import FolderGone, Part
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
from creamery.index import BadArchive
from creamery.telemetry import log
from creamery.wheels.access import PUSH, READ
from creamery.wheels.chain import Chain, via_of
from creamery.wheels.failing import NotOfTheBackend
from creamery.wheels.finding import Query, WrongQuery, releases
from creamery.wheels.leases import LeaseLost, TooManyLeases
from creamery.wheels.place import BuiltFile, FileGone, KeyTaken, NameTaken, Place, Pushed, PushRefused, Sight
from creamery.wheels.pushing import Pushing, check_name
from creamery.wheels.rings import OneRing, Rings

FILE_TYPE = "application/octet-stream"

_TEXT = ((b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"))
_JSON = (b"content-type", b"application/json")
# What people push somewhere is never rendered on the hub's origin.
FILE_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"default-src 'none'; sandbox"))


class WheelRoutes:
    """The endpoints, over a place with built wheels."""

    def __init__(
        self,
        hub: Hub,
        place: Place,
        pushing: Pushing,
        rings: Rings | OneRing,
        chain: Chain | None,
        prefix: str,
        *,
        is_open: bool,
    ) -> None:
        """As follows.

        Args:
            hub: whose it is.
            place: where the wheels are.
            pushing: takes wheels in.
            rings: who sees what.
            chain: has what is not here; None: nobody does.
            prefix: of all paths.
            is_open: anyone may read; else no cache on the way may keep what one was given.
        """
        self._chain = chain
        # A name that is gone may come back with other bytes: caches ask.
        self._cached = (b"cache-control", b"no-cache" if is_open else b"private, no-cache")
        self._prefix = prefix
        self._place = place
        self._pushing = pushing
        self._rings = rings
        self._blobs = hub.blobs
        self._clock = hub.clock
        self._limits = hub.settings.limits

    def table(self) -> tuple[Route, ...]:
        """What is answered, and who may ask."""
        prefix, read, push = (
            self._prefix,
            Needs(READ, "ring", is_personal=True),
            Needs(PUSH, "ring", is_named_later=True),
        )
        front = () if prefix else (Route(("GET",), "/", self.front, read),)
        return (
            *front,
            Route(("GET",), f"{prefix}/api", self.projects_without_slash, read),
            Route(("GET",), f"{prefix}/api/", self.projects, read),
            Route(("GET",), f"{prefix}/api/{{package}}", self.project, read),
            Route(("GET",), f"{prefix}/s/{{query}}", self.search, read),
            Route(("GET",), f"{prefix}/p/{{file}}", self.wheel, read),
            Route(("PUT",), f"{prefix}/p/{{file}}", self.push, push, in_words=True),
        )

    async def front(self, request: Request) -> Response:
        """The names of the projects, for people."""
        projects = await self._place.projects(self._sight(request))
        names = "".join(f'<li><a href="api/{name}">{name}</a></li>' for name in projects)
        page = f"<!DOCTYPE html>\n<html lang=en><meta charset=utf-8><title>Built wheels</title><ul>{names}</ul>\n"
        headers = ((b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", b"default-src 'none'"))
        return BytesResponse(page.encode(), (*headers, self._cached))

    async def projects_without_slash(self, request: Request) -> Response:
        """The one redirect."""
        return moved(request.scope, "api/")

    async def projects(self, request: Request) -> Response:
        """The names of the projects that have built wheels."""
        return self._json(await self._place.projects(self._sight(request)))

    async def project(self, request: Request) -> Response:
        """A project's versions, the newest first, with the addresses and SHA-256 of their wheels."""
        name = _name(request.path_params["package"])
        files = [] if name is None else await self._files_of(name, request, hashed=True)
        if not files:
            return self._json({"status": "error"}, status=404)
        base = f"{base_url(request.scope)}{self._prefix}/p/"
        return self._json(
            [
                {
                    "name": some[0].project,
                    "version": str(version),
                    "urls": [{"url": base + quote(file.filename), "sha256": file.digest} for file in some],
                }
                for version, some in releases(files)
            ]
        )

    async def search(self, request: Request) -> Response:
        """The newest wheel that fits a requirement, which `;whl` or `;~whl` may follow."""
        try:
            query = Query(request.path_params["query"])
        except WrongQuery as error:
            return BytesResponse(f"your query is wrong: {error}\n".encode(), _TEXT, status=400)
        best = query.best(await self._files_of(query.project, request, hashed=False))
        if best is not None:
            best = await self._find(best.filename, request)
        if best is None:
            return BytesResponse(b"package not found\n", _TEXT, status=404)
        return await self._sent(best, (b"content-disposition", f'attachment; filename="{best.filename}"'.encode()))

    async def wheel(self, request: Request) -> Response:
        """A wheel's bytes, as they were pushed."""
        filename = request.path_params["file"]
        found = await self._find(filename, request)
        if found is None:
            raise _not_here(filename, f"{self._prefix}/api/ lists what is.")
        return await self._sent(found)

    async def push(self, request: Request) -> Response:
        """Adds a wheel: a form whose one file is called as it is, as Curdling sends it, or the bytes themselves."""
        filename, ring = check_name(request.path_params["file"]), self._rings.written_by(request.scope)
        part = await self._received(request, filename)
        by = by_of(request.scope, self._clock.now())
        await self._pushing.take(Pushed(filename, part, principal_of(request), by, ring))
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

    async def _sent(self, file: BuiltFile, *headers: tuple[bytes, bytes]) -> Response:
        opened = await self._place.open(file)
        return BlobResponse(
            opened.extent,
            etag=quoted(opened.etag),
            media_type=FILE_TYPE,
            headers=(self._cached, *FILE_HEADERS, *headers),
            verified=opened.verified,
            lease=opened.lease,
        )

    async def _files_of(self, project: ProjectName, request: Request, *, hashed: bool) -> list[BuiltFile]:
        """What is here of a project, and what upstreams have besides."""
        files = list(await self._place.files_of(project, self._sight(request), hashed=hashed))
        if self._chain is not None and not self._chain.is_empty:
            names = {file.filename for file in files}
            more = await self._chain.files_of(project, via_of(request.scope))
            files += [file for file in more if file.filename not in names]
        return files

    async def _find(self, filename: str, request: Request) -> BuiltFile | None:
        """A file that is here, or comes from an upstream now."""
        found = await self._place.find(filename, self._sight(request))
        if found is None and self._chain is not None and not self._chain.is_empty:
            return await self._chain.bring_file(filename, via_of(request.scope))
        return found

    def _sight(self, request: Request) -> Sight:
        return self._rings.seen_by(request.scope)

    def _json(self, value: object, status: int = 200) -> Response:
        return BytesResponse(orjson.dumps(value), (_JSON, self._cached), status=status)


def refusals() -> dict[type[Exception], Callable[[Any], Problem]]:
    """What the errors of built wheels look like on the wire."""
    return {
        BadArchive: saying(400, "Bad archive"),
        PushRefused: saying(400, "Push refused"),
        NameTaken: saying(409, "Name taken"),
        KeyTaken: saying(409, "Key taken"),
        LeaseLost: saying(409, "Lease lost"),
        TooManyLeases: saying(429, "Too many leases"),
        NotOfTheBackend: saying(422, "Not remembered"),
        FileGone: lambda error: _not_here(str(error), "It was a moment ago."),
        FolderGone: _folder_gone,
    }


def _folder_gone(error: Exception) -> Problem:
    log.error("wheels.folder_gone", reason=str(error))
    return Problem(503, "Folder gone", "The folder with the wheels cannot be read.", remedy="Ask who runs this server.")


def _not_here(filename: str, remedy: str) -> Problem:
    return Problem(404, "Not found", f"There is no built wheel {filename}.", remedy=remedy)


def _name(text: str) -> ProjectName | None:
    try:
        return normalize(text)
    except InvalidName:
        return None
