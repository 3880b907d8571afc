"""`/hive/spaces/{space}/files/{node}/versions`: what a file had in it before."""

from fastapi import APIRouter, Request
from sqlalchemy import Connection

from creamery.accounts import By, Principal
from creamery.door import Hub
from creamery.hive import versions
from creamery.hive.acts import Act
from creamery.hive.api.asking import SpaceDesk, names_of, refuse_elsewhere
from creamery.hive.api.shapes import (
    Entry,
    NewLabel,
    NodeNumber,
    Revision,
    ShownVersion,
    ShownVersions,
    SpaceName,
)
from creamery.hive.errors import IsFolder
from creamery.hive.ledger import Space
from creamery.hive.nodes import by_id
from creamery.hive.restoring import restore_version
from creamery.operations import Asker


def router(hub: Hub) -> APIRouter:
    """The former contents of a file."""
    found = APIRouter(prefix="/{space}/files/{node}/versions")
    at = SpaceDesk(hub)
    _add_describing(found, at)

    @found.get("", summary="List what a file had in it before")
    async def list_versions(space: SpaceName, node: NodeNumber, asker: Asker, request: Request) -> ShownVersions:
        def ask(connection: Connection, row: Space) -> ShownVersions:
            refuse_elsewhere(connection, row, node)
            there = by_id(connection, node)
            if there is None or not there.is_file:
                raise IsFolder(f"node {node}")
            some = versions.versions_of(connection, node)
            names = names_of(connection, [each.author_id for each in some])
            return ShownVersions(items=[ShownVersion.of(each, names) for each in some])

        return await at.read(request, asker, space, ask)

    @found.delete("/{revision}", status_code=204, summary="Let one go, pinned or not")
    async def delete(space: SpaceName, node: NodeNumber, revision: Revision, asker: Asker, request: Request) -> None:
        def work(connection: Connection, row: Space, _: Act, __: By) -> None:
            refuse_elsewhere(connection, row, node)
            versions.delete_version(connection, node, revision)

        await at.write(request, asker, space, work)

    @found.post("/{revision}/restoration", summary="Give a file these bytes again; those of now become a version")
    async def restore(space: SpaceName, node: NodeNumber, revision: Revision, asker: Asker, request: Request) -> Entry:
        def work(connection: Connection, row: Space, act: Act, _: By) -> Entry:
            refuse_elsewhere(connection, row, node)
            return Entry.of(row.id, restore_version(connection, act, node, revision), at.etags)

        return await at.write(request, asker, space, work)

    return found


def _add_describing(found: APIRouter, at: SpaceDesk) -> None:
    async def described(
        request: Request,
        asker: Principal,
        space: str,
        node: int,
        revision: int,
        *,
        pinned: bool | None = None,
        label: str | None = None,
    ) -> ShownVersion:
        def work(connection: Connection, row: Space, _: Act, __: By) -> ShownVersion:
            refuse_elsewhere(connection, row, node)
            return _shown(connection, versions.describe_version(connection, node, revision, pinned=pinned, label=label))

        return await at.write(request, asker, space, work)

    @found.put("/{revision}/pin", summary="Let one stay for ever")
    async def pin(
        space: SpaceName, node: NodeNumber, revision: Revision, asker: Asker, request: Request
    ) -> ShownVersion:
        return await described(request, asker, space, node, revision, pinned=True)

    @found.delete("/{revision}/pin", summary="Let one give way again")
    async def unpin(
        space: SpaceName, node: NodeNumber, revision: Revision, asker: Asker, request: Request
    ) -> ShownVersion:
        return await described(request, asker, space, node, revision, pinned=False)

    @found.put("/{revision}/label", summary="Give one a name")
    async def label(
        space: SpaceName, node: NodeNumber, revision: Revision, new: NewLabel, asker: Asker, request: Request
    ) -> ShownVersion:
        return await described(request, asker, space, node, revision, label=new.label)


def _shown(connection: Connection, version: versions.Version) -> ShownVersion:
    return ShownVersion.of(version, names_of(connection, [version.author_id]))
