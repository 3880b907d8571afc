"""Groups, for administrators."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request

from creamery.accounts import ScopeWord, add_group, add_members, find_group, groups, remove_group, remove_members
from creamery.door import Hub
from creamery.operations.api.asking import AfterName, Desk, Listed, Name, listed
from creamery.operations.api.shapes import NewGroup, ShownGroup


def router(hub: Hub, _: Mapping[str, ScopeWord]) -> APIRouter:
    """`/groups`."""
    found = APIRouter(prefix="/groups", tags=["groups"])
    desk = Desk(hub)
    most = hub.settings.limits.results

    @found.get("", summary="List groups, by name")
    async def list_groups(
        after: AfterName = "", limit: Annotated[int, Query(ge=1, le=most)] = most
    ) -> Listed[ShownGroup]:
        rows = await desk.read(partial(groups, after=after, limit=limit + 1))
        return listed([ShownGroup.of(row) for row in rows], limit, lambda group: group.name)

    @found.post("", status_code=201, summary="Add a group")
    async def add(new: NewGroup, request: Request) -> ShownGroup:
        return ShownGroup.of(await desk.write(request, lambda c, by: add_group(c, new.name, by)))

    @found.get("/{name}", summary="Show a group")
    async def show(name: Name) -> ShownGroup:
        return ShownGroup.of(await desk.read(partial(find_group, name=name)))

    @found.delete("/{name}", status_code=204, summary="Remove a group; its members stay users")
    async def remove(name: Name, request: Request) -> None:
        await desk.write(request, lambda c, by: remove_group(c, name, by))

    @found.put("/{name}/members/{user}", summary="Put a user into a group")
    async def put_in(name: Name, user: Name, request: Request) -> ShownGroup:
        return ShownGroup.of(await desk.write(request, lambda c, by: add_members(c, name, [user], by)))

    @found.delete("/{name}/members/{user}", summary="Take a user out of a group")
    async def take_out(name: Name, user: Name, request: Request) -> ShownGroup:
        return ShownGroup.of(await desk.write(request, lambda c, by: remove_members(c, name, [user], by)))

    return found
