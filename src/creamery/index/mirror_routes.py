"""What mirrors read: PyPI's JSON of a project, and its files under addresses like PyPI's.

| path | answer |
|---|---|
| `/pypi/{project}/json` | a project: its newest version's METADATA, all its versions and files |
| `/pypi/{project}/{version}/json` | one version |
| `/packages/{ab}/{cd}/{rest}/{file}` | the same file as under `/i/`, by the same rules |
| `/packages/{ab}/{cd}/{rest}/{file}.metadata` | likewise its METADATA |

A digest in an address finds nothing: files are found by their names among those that are offered, and the digest says
whether it is the one that is meant.
"""

from __future__ import annotations

from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from creamery.blobs import BlobError
from creamery.contract import Digest, ProjectName
from creamery.door import Hub
from creamery.http import Needs, Route, base_url, header_of, moved, negotiate_encoding, note
from creamery.index.access import READ
from creamery.index.catalog import Catalog
from creamery.index.freshness import Freshness, View
from creamery.index.metadata import MetadataFiles
from creamery.index.project import KeptFile, StoredFile
from creamery.index.pypi_json import (
    Release,
    lacks_upload_time,
    newest,
    release_named,
    releases_of,
    render_project,
)
from creamery.index.replies import ENCODINGS, filename_in, not_found, page_answer, page_headers, project_name
from creamery.index.routes import Routes
from creamery.index.simple import Encoding, Page, advertised_metadata, page_of
from creamery.index.tables import files_called, files_of, first_seen
from creamery.index.upstream import UpstreamDown
from creamery.index.wheel import NoMetadata
from creamery.sharing import Sharing
from creamery.telemetry import log

JSON_TYPE = "application/json"


class MirrorRoutes:
    """The endpoints. `files` sends what is found here."""

    def __init__(
        self, hub: Hub, catalog: Catalog, freshness: Freshness, metadata: MetadataFiles, files: Routes, *, is_open: bool
    ) -> None:
        self._database = hub.database
        self._blobs = hub.blobs
        self._pools = hub.pools
        self._settling = hub.settling
        self._catalog = catalog
        self._freshness = freshness
        self._metadata = metadata
        self._files = files
        self._is_open = is_open
        self._making: Sharing[Page] = Sharing()

    def table(self) -> tuple[Route, ...]:
        """What is answered, and who may ask."""
        read = Needs(READ, "project")
        packages = "/packages/{ab}/{cd}/{rest}/{file}"
        return (
            Route(("GET",), "/pypi/{project}/json", self.project, read),
            Route(("GET",), "/pypi/{project}/{version}/json", self.release, read),
            Route(("GET",), packages, self.file, read),
            Route(("GET",), f"{packages}.metadata", self.metadata, read),
        )

    async def project(self, request: Request) -> Response:
        """A project as PyPI's JSON API has it."""
        written = request.path_params["project"]
        name = project_name(written)
        if name != written:
            return moved(request.scope, f"../{name}/json")
        return await self._answer(request, name, None)

    async def release(self, request: Request) -> Response:
        """One version of a project, likewise."""
        written, version = request.path_params["project"], request.path_params["version"]
        name = project_name(written)
        if name != written:
            return moved(request.scope, f"../../{name}/{request.scope['raw_path'].split(b'/')[3].decode('ascii')}/json")
        return await self._answer(request, name, version)

    async def file(self, request: Request) -> Response:
        """A file's bytes."""
        await self._settling.settle()
        filename = filename_in(request.path_params["file"])
        return await self._files.send_file(request, await self._project_of(request, filename), filename)

    async def metadata(self, request: Request) -> Response:
        """A wheel's METADATA."""
        await self._settling.settle()
        filename = filename_in(request.path_params["file"])
        return await self._files.send_metadata(request, await self._project_of(request, filename), filename)

    async def _answer(self, request: Request, name: ProjectName, version: str | None) -> Response:
        scope = request.scope
        await self._settling.settle()
        view = await self._freshness.view(name)
        note(scope, cache=view.outcome)
        project, base = view.entry.project, base_url(scope)
        key = (name, project.revision, project.here_revision, view.listing, base, version)
        page = await self._making.once(key, lambda: self._render(view, base, version))
        encoding = cast("Encoding", negotiate_encoding(header_of(scope, b"accept-encoding"), ENCODINGS))
        body = await self._pools.cpu.run(page.encode, encoding)
        return page_answer(page, body, encoding, JSON_TYPE, page_headers(view, is_open=self._is_open)).to(scope)

    async def _render(self, view: View, base: str, version: str | None) -> Page:
        """Made at each request, for mirrors ask once per change; those who ask together share it.

        Raises:
            Problem: 404, the project has no such version.
        """
        known = view.entry.project
        files, seen = await self._pools.database.run(
            self._database.read,
            lambda connection: (files_of(connection, known.id), first_seen(connection, known.id)),
        )
        project, offered = self._catalog.offers.listing(known, files)
        if view.listing == "here":
            offered = [file for file in offered if file.digest is not None]
        releases = await self._pools.cpu.run(releases_of, project.name, offered)
        release = newest(releases) if version is None else release_named(releases, version)
        if version is not None and release is None:
            raise not_found(
                f"{known.name} has no version {version[:80]}.", f"/pypi/{known.name}/json lists those it has."
            )
        metadata = await self._metadata_of(release, view)
        body = await self._pools.cpu.run(
            lambda: render_project(
                project,
                releases,
                release,
                base=base,
                listing=view.listing,
                metadata=metadata,
                first_seen=seen if lacks_upload_time(offered) else {},
                is_whole=version is None,
            )
        )
        return page_of("json", body, None if view.listing == "here" else project.serial)

    async def _metadata_of(self, release: Release | None, view: View) -> bytes | None:
        """METADATA of a release; None where it cannot be had now: then the page says what it knows without."""
        file = None if release is None else _with_metadata(release, view)
        if file is None:
            return None
        try:
            stored = _stored_metadata(file) or await self._metadata.fetch(file)
            return await self._pools.disk.run(self._blobs.read, stored.digest, stored.size)
        except (NoMetadata, UpstreamDown, BlobError) as error:
            log.info("index.no_metadata", project=file.project, file=file.filename, reason=str(error))
            return None

    async def _project_of(self, request: Request, filename: str) -> ProjectName:
        """Whose file it is, of those of that name that are offered; one range of an index.

        Raises:
            Problem: 404, there is none with that digest, or it is withheld.
        """
        params = request.path_params
        digest = params["ab"] + params["cd"] + params["rest"]
        called = await self._pools.database.run(
            self._database.read, lambda connection: files_called(connection, filename)
        )
        found = [self._catalog.offers.of(file) for file in called if file.expected == Digest(digest)]
        offer = next((each for each in found if each.withheld is None), next(iter(found), None))
        if offer is None:
            raise not_found(f"The hub knows no {filename} with that hash.", "Take the address from the project's page.")
        if offer.withheld is not None:
            log.info("index.withheld", project=offer.file.project, file=filename, reason=offer.withheld)
            raise not_found(f"{filename} is not served: {offer.withheld}.", "Ask whoever runs this hub.")
        return offer.file.project


def _with_metadata(release: Release, view: View) -> KeptFile | None:
    """A file of it whose METADATA is here, else one whose METADATA may be fetched."""
    here = next((file for file in release.files if file.metadata_digest is not None), None)
    return here or next((file for file in release.files if advertised_metadata(file, view.listing)), None)


def _stored_metadata(file: KeptFile) -> StoredFile | None:
    if file.metadata_digest is None or file.metadata_size is None:
        return None
    return StoredFile(file.metadata_digest, file.metadata_size)
