"""`/hive/spaces`: which there are, what of them is used, and what is in them."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection

from creamery.accounts import By
from creamery.door import Hub
from creamery.hive import access, managing
from creamery.hive.api.asking import SpaceDesk, names_of, path_of
from creamery.hive.api.shapes import (
    Entries,
    Entry,
    NewOwner,
    NewQuota,
    NewSpace,
    ShownSpace,
    ShownSpaces,
    SpaceName,
    Where,
)
from creamery.hive.errors import IsFile, NotThere
from creamery.hive.ledger import Space
from creamery.hive.names import CasePolicy, key_of
from creamery.hive.nodes import Node, children
from creamery.hive.quotas import usage
from creamery.hive.reserving import Reservations
from creamery.hive.tree import follow
from creamery.operations import Asker, Desk

AfterName = Annotated[
    str, Query(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$", description="A name: go on behind it.")
]


def router(hub: Hub, reservations: Reservations) -> APIRouter:
    """Spaces themselves, and what is in them."""
    found = APIRouter(prefix="/hive/spaces", tags=["files"])
    show = Showing(hub, reservations)
    _add_spaces(found, hub, show)
    _add_managing(found, hub, show)
    _add_entries(found, hub)
    return found


class Showing:
    """Spaces as they are told, with what of them is used at this moment."""

    def __init__(self, hub: Hub, reservations: Reservations) -> None:
        self._hub = hub
        self._reservations = reservations

    def all(self, connection: Connection, rows: Sequence[Space]) -> list[ShownSpace]:
        """Many of them."""
        quota, disk = self._hub.settings.hive.quota, self._hub.blobs.free_bytes()
        names = names_of(connection, [row.owner_id for row in rows])
        return [ShownSpace.of(row, usage(row, quota, self._reservations.of(row.id), disk), names) for row in rows]

    def one(self, connection: Connection, row: Space) -> ShownSpace:
        """One of them."""
        return self.all(connection, [row])[0]


def _add_spaces(found: APIRouter, hub: Hub, show: Showing) -> None:
    desk, at = Desk(hub), SpaceDesk(hub)

    @found.get("", summary="List the spaces of whoever asks; for administrators all projects' too")
    async def list_spaces(asker: Asker) -> ShownSpaces:
        def ask(connection: Connection) -> ShownSpaces:
            return ShownSpaces(items=show.all(connection, access.spaces_for(connection, asker)))

        return await desk.read(ask)

    @found.get("/{space}", summary="Show a space, and what of it is used")
    async def show_space(space: SpaceName, asker: Asker, request: Request) -> ShownSpace:
        return await at.read(request, asker, space, show.one)


def _add_managing(found: APIRouter, hub: Hub, show: Showing) -> None:
    desk = Desk(hub)

    @found.post("", status_code=201, summary="Make a project's space")
    async def create(new: NewSpace, asker: Asker, request: Request) -> ShownSpace:
        def work(connection: Connection, by: By) -> ShownSpace:
            policy: CasePolicy = "preserving" if new.ignores_case else "sensitive"
            wanted = managing.NewSpace(new.name, new.owner or asker.name, new.quota, policy)
            return show.one(connection, managing.create_space(connection, wanted, by))

        return await desk.write(request, work)

    @found.put("/{space}/quota", summary="Say how many bytes a space's files may have; of homes too")
    async def set_quota(space: SpaceName, new: NewQuota, request: Request) -> ShownSpace:
        def work(connection: Connection, by: By) -> ShownSpace:
            return show.one(
                connection,
                managing.set_quota(connection, access.number_of(space), new.quota, hub.settings.hive.quota, by),
            )

        return await desk.write(request, work)

    @found.put("/{space}/owner", summary="Give a project's space to somebody else")
    async def transfer(space: SpaceName, new: NewOwner, request: Request) -> ShownSpace:
        def work(connection: Connection, by: By) -> ShownSpace:
            return show.one(connection, managing.transfer_space(connection, access.number_of(space), new.owner, by))

        return await desk.write(request, work)


def _add_entries(found: APIRouter, hub: Hub) -> None:
    at, most = SpaceDesk(hub), hub.settings.limits.results

    @found.get("/{space}/entry", summary="Show a file or folder")
    async def show_entry(space: SpaceName, asker: Asker, request: Request, path: Where = "/") -> Entry:
        return await at.read(request, asker, space, lambda c, row: Entry.of(row.id, _node_at(c, row, path), at.etags))

    @found.get("/{space}/entries", summary="List what is in a folder")
    async def list_entries(
        space: SpaceName,
        asker: Asker,
        request: Request,
        path: Where = "/",
        after: AfterName = "",
        limit: Annotated[int, Query(ge=1, le=most)] = most,
    ) -> Entries:
        def ask(connection: Connection, row: Space) -> Entries:
            folder = _node_at(connection, row, path)
            if not folder.is_folder:
                raise IsFile(path)
            some = children(connection, folder.id, key_of(after, row.case_policy), limit + 1)
            more = some[limit - 1].name if len(some) > limit else None
            return Entries(items=[Entry.of(row.id, each, at.etags) for each in some[:limit]], next=more)

        return await at.read(request, asker, space, ask)


def _node_at(connection: Connection, row: Space, path: str) -> Node:
    there = follow(connection, row, path_of(path)).node
    if there is None:
        raise NotThere(path)
    return there
