"""Built wheels by their digests: under one address the same bytes for ever, and two of one name live side by side.

| path | answer |
|---|---|
| `/f/{digest}/{file}` | a wheel, as it was pushed or as pages list it |
| `/f/{digest}/{file}.metadata` | its METADATA (PEP 658) |
"""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from creamery.contract import Digest, NotADigest, parse_digest
from creamery.door import Hub
from creamery.http import BlobResponse, Needs, Problem, Route, exchange_of, quoted
from creamery.wheels import tables
from creamery.wheels.access import READ
from creamery.wheels.clients import client_of
from creamery.wheels.place import BuiltFile
from creamery.wheels.rings import Rings
from creamery.wheels.routes import FILE_HEADERS, FILE_TYPE
from creamery.wheels.tables import Entry
from creamery.wheels.uses import Uses

METADATA_TYPE = "text/plain; charset=utf-8"
IMMUTABLE = b"max-age=31536000, immutable"


class FileRoutes:
    """The endpoints."""

    def __init__(self, hub: Hub, rings: Rings, uses: Uses, *, is_open: bool) -> None:
        """`is_open`: anyone may read; else no cache on the way may keep what one was given."""
        self._rings = rings
        self._uses = uses
        self._is_open = is_open
        self._blobs = hub.blobs
        self._database = hub.database
        self._pools = hub.pools

    def table(self) -> tuple[Route, ...]:
        """What is answered, and who may ask."""
        read = Needs(READ, "ring", is_personal=True)
        return (
            Route(("GET",), "/w/f/{digest}/{file}", self.wheel, read),
            Route(("GET",), "/w/f/{digest}/{file}.metadata", self.metadata, read),
        )

    async def wheel(self, request: Request) -> Response:
        """A built wheel, by its SHA-256."""
        digest, entries = await self._entries(request)
        entry = entries[0]
        size = entry.file.size if digest == entry.file.digest else entry.listed_size
        self._uses.note(BuiltFile(entry.listed_name, entry.file.project, "", size, digest, entry.id, entry.millis))
        return await self._sent(request, entries, digest, size, FILE_TYPE)

    async def metadata(self, request: Request) -> Response:
        """A built wheel's METADATA."""
        _, entries = await self._entries(request)
        entry = entries[0]
        if entry.metadata_digest is None:
            raise _not_here(request)
        return await self._sent(request, entries, entry.metadata_digest, entry.metadata_size, METADATA_TYPE)

    async def _entries(self, request: Request) -> tuple[Digest, list[Entry]]:
        """Those that are this file, in rings that whoever asks sees; whoever may lock what they get keeps them here."""
        try:
            digest = parse_digest(request.path_params["digest"])
        except NotADigest as error:
            raise _not_here(request) from error
        name, sight = request.path_params["file"], self._rings.seen_by(request.scope)
        found = await self._pools.database.run(self._database.read, partial(tables.entries_by_file, digest=digest))
        entries = [entry for entry in found if entry.ring in sight and name in _names(entry, digest)]
        if not entries:
            raise _not_here(request)
        if client_of(exchange_of(request).headers.get(b"user-agent")).tool != "uv" and request.method == "GET":
            await self._uses.hand(entries)
        return digest, entries

    async def _sent(
        self, request: Request, entries: list[Entry], digest: Digest, size: int, media_type: str
    ) -> Response:
        extent = await self._blobs.prepare(digest, size)
        self._blobs.used(digest)
        is_public = self._is_open and any(entry.ring in self._rings.trusted for entry in entries)
        cached = (b"cache-control", (b"public, " if is_public else b"private, ") + IMMUTABLE)
        return BlobResponse(
            extent,
            etag=quoted(digest),
            media_type=media_type,
            headers=(cached, *FILE_HEADERS),
            verified=self._blobs.check_of(digest),
            lease=partial(self._blobs.lease, digest),
        )


def _names(entry: Entry, digest: Digest) -> set[str]:
    pushed = {entry.file.filename} if entry.file.digest == digest else set()
    return pushed | ({entry.listed_name} if entry.listed_digest == digest else set())


def _not_here(request: Request) -> Problem:
    params = request.path_params
    return Problem(
        404,
        "Not found",
        f"There is no built wheel {params['file']} with SHA-256 {params['digest'][:80]}.",
        remedy="Ask for the project's page: what went can be built again.",
    )
