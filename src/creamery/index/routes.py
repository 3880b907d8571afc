"""The index on the wire: `/simple/` and `/i/` (one view), and one address for every file.

| path | answer |
|---|---|
| `/simple/`, `/i/` | the projects that the hub knows (PEP 503, PEP 691) |
| `/simple/{project}/`, `/i/{project}/` | a project's page |
| `/i/{project}/{file}` | a file, from here or through here |
| `/i/{project}/{file}.metadata` | a wheel's METADATA (PEP 658) |
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from creamery.blobs import BlobCorrupt, BlobMissing, HashMismatch, LengthMismatch, TooLong
from creamery.contract import Digest, ProjectName
from creamery.door import Hub
from creamery.http import (
    PUBLIC,
    BlobResponse,
    BytesResponse,
    FollowResponse,
    HeldResponse,
    Needs,
    Problem,
    RawHeaders,
    Route,
    SharedBytes,
    exchange_of,
    is_not_modified,
    moved,
    note,
    quoted,
)
from creamery.index.access import READ
from creamery.index.catalog import Catalog
from creamery.index.download import Downloads, FileGone, WrongBytes
from creamery.index.freshness import Freshness, UnknownProject
from creamery.index.metadata import MetadataFiles
from creamery.index.offers import Offer
from creamery.index.pages import Pages, format_of
from creamery.index.project import KeptFile, StoredFile
from creamery.index.replies import (
    closed,
    filename_in,
    not_found,
    page_answer,
    project_name,
)
from creamery.index.shelf import Held
from creamery.index.simple import advertised_metadata
from creamery.index.upstream import UpstreamDown
from creamery.index.wheel import NoMetadata
from creamery.telemetry import log

METADATA = ".metadata"

FILE_TYPE = "application/octet-stream"
METADATA_TYPE = "text/plain; charset=utf-8"

# What people uploaded somewhere is never rendered on the hub's origin.
_FILE_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"public, max-age=31536000, immutable"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
)
_UNSETTLED_HEADERS: tuple[tuple[bytes, bytes], ...] = ((b"cache-control", b"no-cache"), *_FILE_HEADERS[1:])

RETRY_SECONDS = "5"


class Routes:
    """The endpoints, over the rules of the index."""

    def __init__(
        self,
        hub: Hub,
        catalog: Catalog,
        freshness: Freshness,
        pages: Pages,
        downloads: Downloads,
        metadata: MetadataFiles,
        *,
        is_open: bool,
    ) -> None:
        """`is_open`: anyone may read; else no cache on the way may keep for others what one was given."""
        self._catalog = catalog
        self._freshness = freshness
        self._pages = pages
        self._downloads = downloads
        self._metadata = metadata
        self._blobs = hub.blobs
        self._settling = hub.settling
        self._is_open = is_open
        self._file_headers = _FILE_HEADERS if is_open else closed(_FILE_HEADERS)
        self._unsettled_headers = _UNSETTLED_HEADERS if is_open else closed(_UNSETTLED_HEADERS)

    def table(self) -> tuple[Route, ...]:
        """What the index answers, and who may ask."""
        read = Needs(READ, "project")
        views = [
            route
            for view in ("simple", "i")
            for route in (
                Route(("GET",), f"/{view}", self.projects_without_slash, read),
                Route(("GET",), f"/{view}/", self.projects, read),
                Route(("GET",), f"/{view}/{{project}}", self.project_without_slash, read),
                Route(("GET",), f"/{view}/{{project}}/", self.project, read),
            )
        ]
        return (
            Route(("GET",), "/", self.front, PUBLIC),
            Route(("GET",), "/i/{project}/{file}", self.file, read, ready=self.shelved_file),
            Route(("GET",), "/i/{project}/{file}.metadata", self.metadata, read, ready=self.shelved_metadata),
            *views,
        )

    async def front(self, _: Request) -> Response:
        """Whoever opens the hub's address in a browser sees what it has."""
        return BytesResponse(b"", [(b"location", b"simple/"), (b"cache-control", b"no-cache")], status=302)

    async def projects(self, request: Request) -> Response:
        """The list of projects."""
        page_format, content_type = format_of(request.scope)
        await self._settling.settle()
        page = await self._catalog.projects_page(page_format)
        uncached = [(b"cache-control", b"no-cache" if self._is_open else b"private, no-cache")]
        return page_answer(page, page.identity, "identity", content_type, uncached).to(request.scope)

    async def projects_without_slash(self, request: Request) -> Response:
        """As bandersnatch asks; a page whose links are relative to the slash is led there."""
        page_format, _ = format_of(request.scope)
        if page_format == "html":
            return moved(request.scope, f"{request.url.path.rpartition('/')[2]}/")
        return await self.projects(request)

    async def project(self, request: Request) -> Response:
        """A project's page."""
        await self._settling.settle()
        return await self._pages.answer(request.scope, request.path_params["project"])

    async def project_without_slash(self, request: Request) -> Response:
        """The one redirect, to the normalised name with its slash."""
        return moved(request.scope, f"{project_name(request.path_params['project'])}/")

    def shelved_file(self, scope: Scope) -> bool:
        """Answer as `file` would, if the file is in memory and nothing has to be waited for."""
        params = scope["path_params"]
        return self._answer_shelved(scope, params["project"], params["file"])

    def shelved_metadata(self, scope: Scope) -> bool:
        """Likewise."""
        params = scope["path_params"]
        return self._answer_shelved(scope, params["project"], params["file"] + METADATA)

    def _answer_shelved(self, scope: Scope, project: str, name: str) -> bool:
        held = self._catalog.shelf.get((project, name)) if self._settling.is_settled() else None
        if held is None or not held.response.answer_whole(scope):
            return False
        self._served(scope, held.digest, held.response)
        return True

    async def file(self, request: Request) -> Response:
        """A file's bytes."""
        await self._settling.settle()
        return await self.send_file(request, request.path_params["project"], request.path_params["file"])

    async def send_file(self, request: Request, project: str, filename: str) -> Response:
        """A file's bytes, under whatever address it was asked for; nothing is settled yet of who may have it."""
        if filename.endswith(METADATA):  # with an escaped dot, which means the same (RFC 3986 section 2.3)
            return await self.send_metadata(request, project, filename.removesuffix(METADATA))
        epoch = self._catalog.epoch
        held = self._catalog.shelf.get((project, filename))
        if held is not None:
            return self._served(request.scope, held.digest, held.response)
        stored = self._catalog.stored(project, filename)
        if stored is not None:
            response = await self._send_stored(request, project, filename, stored, FILE_TYPE, epoch)
            if response is not None:
                return response
        name = project_name(project)
        if name != project:
            return moved(request.scope, f"../{name}/{filename_in(filename)}")
        offer = await self._find(name, filename_in(filename))
        file = offer.file
        if stored is None:  # else it was just found missing, whatever its row says
            stored = self._catalog.stored(name, filename) or file.stored
            if stored is not None:
                if not offer.is_tombstone:  # of which the log tells each time
                    self._catalog.remember_file(name, filename, stored, epoch)
                response = await self._send_stored(
                    request, name, filename, stored, FILE_TYPE, epoch, is_shelved=not offer.is_tombstone
                )
                if response is not None:
                    return response
        return await self._fetch(request, file, epoch)

    async def metadata(self, request: Request) -> Response:
        """A wheel's METADATA, stored or upstream's."""
        await self._settling.settle()
        return await self.send_metadata(request, request.path_params["project"], request.path_params["file"])

    async def send_metadata(self, request: Request, project: str, filename: str) -> Response:
        """A wheel's METADATA, likewise."""
        key, epoch = filename + METADATA, self._catalog.epoch
        held = self._catalog.shelf.get((project, key))
        if held is not None:
            return self._served(request.scope, held.digest, held.response)
        stored = self._catalog.stored(project, key)
        if stored is None:
            name = project_name(project)
            if name != project:
                return moved(request.scope, f"../{name}/{filename_in(filename)}{METADATA}")
            file = (await self._find(name, filename_in(filename))).file
            if file.metadata_digest is not None and file.metadata_size is not None:
                stored = StoredFile(file.metadata_digest, file.metadata_size)
            elif advertised_metadata(file, "all") or file.metadata_size is not None:
                # The latter was here: a page that somebody was given before it was evicted says that it is.
                stored = await self._metadata.fetch(file)
            else:
                raise not_found(f"There is no METADATA of {filename} beside it.", "Read it out of the file itself.")
            self._catalog.remember_file(name, key, stored, epoch)
        response = await self._send_stored(request, project, key, stored, METADATA_TYPE, epoch)
        if response is None:  # gone from the disk: it comes anew
            file = (await self._find(project_name(project), filename_in(filename))).file
            stored = await self._metadata.fetch(file)
            extent = await self._blobs.prepare(stored.digest, stored.size)
            headers = self._file_headers
            return BlobResponse(extent, etag=quoted(stored.digest), media_type=METADATA_TYPE, headers=headers)
        return response

    async def _send_stored(
        self,
        request: Request,
        project: str,
        name: str,
        stored: StoredFile,
        media_type: str,
        epoch: int,
        *,
        is_shelved: bool = True,
    ) -> Response | None:
        """The response for bytes that are here; None where they turn out not to be. `epoch`: when they were found."""
        digest, size = stored.digest, stored.size
        etag, shelf = quoted(digest), self._catalog.shelf
        response: BlobResponse | HeldResponse
        try:
            extent = await self._blobs.prepare(digest, size)
            verified = self._blobs.check_of(digest)
            if is_shelved and verified is None and shelf.wants((project, name), size):
                body = await exchange_of(request).hub.pools.disk.run(self._blobs.read, digest, size)
                response = HeldResponse(SharedBytes(body), etag=etag, media_type=media_type, headers=self._file_headers)
                self._catalog.shelve(project, name, Held(digest, response), epoch)
            else:
                response = BlobResponse(
                    extent,
                    etag=etag,
                    media_type=media_type,
                    headers=self._file_headers,
                    verified=verified,
                    lease=partial(self._blobs.lease, digest),
                )
        except (BlobMissing, BlobCorrupt):
            self._catalog.forget_file(project, name)
            return None
        return self._served(request.scope, digest, response)

    def _served(self, scope: Scope, digest: Digest, response: Response) -> Response:
        """Count what is served from here."""
        self._blobs.used(digest)
        note(scope, cache="hit")
        self._downloads.count("hit")
        return response

    async def _find(self, name: ProjectName, filename: str) -> Offer:
        """A file that is offered; where there is none its project's page is asked for first.

        Raises:
            UnknownProject, UpstreamDown: as `Freshness.view`.
            Problem: 404, the project has no such file.
        """
        file = await self._catalog.file(name, filename)
        if file is None:
            await self._freshness.view(name)
            file = await self._catalog.file(name, filename)
        if file is None:
            raise not_found(f"{name} has no file {filename}.", f"/simple/{name}/ lists those that it has.")
        offer = self._catalog.offers.of(file)
        if offer.withheld is not None:
            log.info("index.withheld", project=name, file=filename, reason=offer.withheld)
            remedy = "Ask whoever runs this hub." if offer.by_rule else f"/simple/{name}/ lists what is."
            raise not_found(f"{filename} is not served: {offer.withheld}.", remedy)
        if offer.is_tombstone:
            log.info("index.tombstone", project=name, file=filename, reason=offer.file.listed_file.yanked)
        return offer

    async def _fetch(self, request: Request, file: KeptFile, epoch: int) -> Response:
        """The response for bytes that are at the upstream."""
        if not file.is_fetchable:
            raise not_found(f"The bytes of {file.filename} are lost here, and they were nowhere else.", "Upload anew.")
        self._downloads.refuse_unasked(file)
        etag = None if file.expected is None else quoted(file.expected)
        headers: RawHeaders = self._file_headers if etag is not None else self._unsettled_headers
        size = file.listed_file.size
        if etag is not None and is_not_modified(request.scope, etag):
            return BytesResponse(b"", [*headers, (b"etag", etag.encode())], status=304)
        if request.method == "HEAD" and size is not None:
            return _head(size, etag, headers)
        came = await self._downloads.follow(file)
        if isinstance(came, StoredFile):
            response = await self._send_stored(request, file.project, file.filename, came, FILE_TYPE, epoch)
            if response is None:
                raise BlobMissing(came.digest)
            return response
        note(request.scope, cache="miss")
        self._downloads.count("miss")
        return FollowResponse(came, etag=etag, media_type=FILE_TYPE, headers=headers)


def refusals() -> dict[type[Exception], Callable[[Any], Problem]]:
    """What the index's errors look like on the wire."""
    return {
        UnknownProject: _unknown,
        UpstreamDown: lambda error: Problem(
            503,
            "Upstream unreachable",
            f"This is not here, and its upstream cannot be asked: it {error.reason}.",
            remedy="Ask again in a moment; what was installed through the hub before installs meanwhile. For a new name"
            " of your own, ask an administrator to reserve it (creamery index reserve).",
            headers={"Retry-After": RETRY_SECONDS},
            in_status_line=True,  # uv's --check-url asks here before it uploads
        ),
        FileGone: lambda _: not_found("Its upstream lists this file and does not have it.", ""),
        WrongBytes: _wrong_bytes,
        # The same, as its followers see it: a range near the end waits for the piece that a wrong file never gives.
        HashMismatch: _wrong_bytes,
        LengthMismatch: _wrong_bytes,
        TooLong: _wrong_bytes,
        BlobCorrupt: _damaged,
        BlobMissing: _damaged,
        NoMetadata: lambda _: not_found("The METADATA cannot be had.", "Read it out of the file itself."),
    }


def _unknown(error: UnknownProject) -> Problem:
    if error.hidden is not None:
        return not_found(f"{error.name} is not served: {error.hidden}.", "Ask whoever runs this hub.")
    return not_found(f"There is no project {error.name}, neither here nor upstream.", "Check its spelling.")


def _wrong_bytes(_: Exception) -> Problem:
    return Problem(
        502,
        "Wrong bytes from upstream",
        "The upstream sent other bytes than its page announces.",
        remedy="Nothing of it was kept. If this lasts, tell whoever runs the upstream.",
        headers={"Retry-After": RETRY_SECONDS},
    )


def _damaged(_: Exception) -> Problem:
    return Problem(
        503,
        "Damaged",
        "What was kept of this turned out to be damaged or lost.",
        remedy="Ask again: it is fetched anew.",
        headers={"Retry-After": "1"},
    )


def _head(size: int, etag: str | None, headers: RawHeaders) -> Response:
    """What a GET of a file that is not here would say, without fetching it."""
    response = Response()
    response.raw_headers = [
        *headers,
        (b"content-type", FILE_TYPE.encode("ascii")),
        (b"content-length", b"%d" % size),
        (b"accept-ranges", b"bytes"),
    ]
    if etag is not None:
        response.raw_headers.append((b"etag", etag.encode("ascii")))
    return response
