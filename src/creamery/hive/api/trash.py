"""`/hive/spaces/{space}/trash`: what was deleted, brought back, and removed for good."""

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection

from creamery.accounts import By
from creamery.door import Hub
from creamery.hive import purging, trashing
from creamery.hive.acts import Act
from creamery.hive.api.asking import SpaceDesk, names_of
from creamery.hive.api.shapes import Back, NodeNumber, Removed, ShownTrash, SpaceName, TrashList
from creamery.hive.errors import NotInTrash
from creamery.hive.ledger import Space
from creamery.hive.managing import DOOR
from creamery.hive.restoring import restore_trashed
from creamery.journal import record_by
from creamery.operations import Asker

_AFTER = re.compile(r"([0-9]{1,18})-([0-9]{1,18})", re.ASCII)

After = Annotated[
    str, Query(max_length=40, pattern=r"^([0-9]{1,18}-[0-9]{1,18})?$", description="What `next` said: go on behind it.")
]


def router(hub: Hub) -> APIRouter:
    """The trash of a space."""
    found = APIRouter(prefix="/{space}/trash")
    at = SpaceDesk(hub)
    most = hub.settings.limits.results

    @found.get("", summary="List what was deleted")
    async def list_trash(
        space: SpaceName,
        asker: Asker,
        request: Request,
        after: After = "",
        limit: Annotated[int, Query(ge=1, le=most)] = most,
    ) -> TrashList:
        def ask(connection: Connection, row: Space) -> TrashList:
            some = trashing.trashed(connection, row.id, _before(after), limit + 1)
            names = names_of(connection, [each.by_id for each in some])
            last = some[limit - 1] if len(some) > limit else None
            return TrashList(
                items=[ShownTrash.of(each, names) for each in some[:limit]],
                next=None if last is None else f"{last.at}-{last.node_id}",
            )

        return await at.read(request, asker, space, ask)

    @found.delete("", summary="Remove all of it for good; it goes in the background")
    async def purge_all(space: SpaceName, asker: Asker, request: Request) -> Removed:
        return await at.write(request, asker, space, _purged)

    @found.delete("/{node}", summary="Remove something of it for good; it goes in the background")
    async def purge_one(space: SpaceName, node: NodeNumber, asker: Asker, request: Request) -> Removed:
        return await at.write(request, asker, space, lambda c, row, act, by: _purged(c, row, act, by, node))

    @found.post("/{node}/restoration", summary="Bring something back to where it was")
    async def restore(space: SpaceName, node: NodeNumber, asker: Asker, request: Request) -> Back:
        def work(connection: Connection, row: Space, act: Act, _: By) -> Back:
            back = restore_trashed(connection, act, row.id, node)
            return Back(id=node, path="/" + "/".join(back.names))

        return await at.write(request, asker, space, work)

    return found


def _purged(connection: Connection, row: Space, act: Act, by: By, node: int | None = None) -> Removed:
    """Written down: nobody gets it back."""
    removed = purging.purge(connection, row.id, act.now, None if node is None else [node])
    if node is not None and not removed:
        raise NotInTrash(node)
    if removed:
        detail = {"space": row.name, "removed": removed, "node": node}
        record_by(connection, DOOR, "trash removed", str(row.id), by, detail)
    return Removed(removed=removed)


def _before(after: str) -> tuple[int, int] | None:
    found = _AFTER.fullmatch(after)
    return None if found is None else (int(found[1]), int(found[2]))
