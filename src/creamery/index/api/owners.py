"""Who may change a project: given and taken by its owners, and by administrators."""

from functools import partial

from fastapi import APIRouter, Request
from sqlalchemy import Connection

from creamery.contract import ProjectName
from creamery.door import Hub
from creamery.index.access import Access, Role
from creamery.index.api.shapes import Holder, Project, Roles
from creamery.index.ownership import add_role, remove_role, roles
from creamery.index.project import KnownProject
from creamery.journal import By
from creamery.operations import Asker, Desk


def router(hub: Hub, access: Access) -> APIRouter:
    """`/projects/{project}/owners/{user}` and the same of maintainers."""
    found = APIRouter(prefix="/projects/{project}")
    desk = Desk(hub)
    outsiders = partial(hub.accounts.lets_in, "index")

    async def given(request: Request, asker: Asker, name: str, user: str, role: Role) -> Roles:
        def work(connection: Connection, by: By) -> Roles:
            known = access.project_for(connection, asker, ProjectName(name), needs="owner")
            add_role(connection, known, user, role, by, outsiders=outsiders)
            return _roles(connection, known)

        return await desk.write(request, work)

    async def taken(request: Request, asker: Asker, name: str, user: str, role: Role) -> Roles:
        def work(connection: Connection, by: By) -> Roles:
            known = access.project_for(connection, asker, ProjectName(name), needs="owner")
            remove_role(connection, known, user, role, by, outsiders=outsiders)
            return _roles(connection, known)

        return await desk.write(request, work)

    @found.put("/owners/{user}", summary="Make somebody an owner")
    async def add_owner(project: Project, user: Holder, asker: Asker, request: Request) -> Roles:
        return await given(request, asker, project, user, "owner")

    @found.put("/maintainers/{user}", summary="Make somebody a maintainer, also of an owner")
    async def add_maintainer(project: Project, user: Holder, asker: Asker, request: Request) -> Roles:
        return await given(request, asker, project, user, "maintainer")

    @found.delete("/owners/{user}", summary="Let an owner be none any more; the last one stays")
    async def remove_owner(project: Project, user: Holder, asker: Asker, request: Request) -> Roles:
        return await taken(request, asker, project, user, "owner")

    @found.delete("/maintainers/{user}", summary="Let a maintainer be none any more")
    async def remove_maintainer(project: Project, user: Holder, asker: Asker, request: Request) -> Roles:
        return await taken(request, asker, project, user, "maintainer")

    return found


def _roles(connection: Connection, known: KnownProject) -> Roles:
    return Roles(**Roles.of(roles(connection, known.id)))
