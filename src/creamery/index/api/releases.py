"""What becomes of what was uploaded: for a project's owners, its maintainers, and administrators."""

from collections.abc import Callable

from fastapi import APIRouter, Request
from sqlalchemy import Connection

from creamery.contract import ProjectName
from creamery.door import Hub
from creamery.index.access import Access, Role
from creamery.index.api.shapes import ChangedFiles, Marker, Project, What, WhatAndWhy
from creamery.index.project import KnownProject
from creamery.index.releases import Done, delete, mark, unyank, yank
from creamery.journal import By
from creamery.operations import Asker, Desk

Change = Callable[[Connection, KnownProject, By], Done]


def router(hub: Hub, access: Access) -> APIRouter:
    """`/projects/{project}/yank` and its like."""
    found = APIRouter(prefix="/projects/{project}")
    desk = Desk(hub)

    async def changed(request: Request, asker: Asker, name: str, needs: Role, change: Change) -> ChangedFiles:
        def work(connection: Connection, by: By) -> Done:
            known = access.project_for(connection, asker, ProjectName(name), needs=needs)
            return change(connection, known, by)

        return ChangedFiles.of(await desk.write(request, work))

    @found.post("/yank", summary="Yank a version or a file")
    async def yank_it(project: Project, sent: WhatAndWhy, asker: Asker, request: Request) -> ChangedFiles:
        return await changed(
            request, asker, project, "maintainer", lambda c, known, by: yank(c, known, sent.what, sent.reason, by)
        )

    @found.post("/unyank", summary="Take a yank back")
    async def unyank_it(project: Project, sent: What, asker: Asker, request: Request) -> ChangedFiles:
        return await changed(
            request, asker, project, "maintainer", lambda c, known, by: unyank(c, known, sent.what, by)
        )

    @found.post("/delete", summary="Delete a version or a file, for ever: its name never returns")
    async def delete_it(project: Project, sent: WhatAndWhy, asker: Asker, request: Request) -> ChangedFiles:
        return await changed(
            request, asker, project, "owner", lambda c, known, by: delete(c, known, sent.what, sent.reason, by)
        )

    @found.put("/status", summary="Give a project its marker")
    async def mark_it(project: Project, sent: Marker, asker: Asker, request: Request) -> Marker:
        def work(connection: Connection, by: By) -> None:
            known = access.project_for(connection, asker, ProjectName(project), needs="owner")
            mark(connection, known, sent.status, sent.reason, by)

        await desk.write(request, work)
        return sent

    return found
