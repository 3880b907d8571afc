"""What the hub knows of a project, and what it offers of it. No upstream is asked."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response
from packaging.version import InvalidVersion, Version
from sqlalchemy import Connection

from creamery.contract import ProjectName
from creamery.door import Hub
from creamery.http import Problem
from creamery.index.api.shapes import Explained, Project, Roles, ShownFile, ShownProject
from creamery.index.explaining import Explainer, Explanation
from creamery.index.ownership import RoleHolder, roles
from creamery.index.project import KeptFile, KnownProject
from creamery.index.tables import files_of, find_project
from creamery.index.targets import parse_target
from creamery.operations import Desk

JSON = "application/json"

For = Annotated[
    str | None,
    Query(
        alias="for",
        max_length=100,
        description="Whom files are for, such as `python3.12-linux`.",
        json_schema_extra={"pattern": r"^python3\.[0-9]{1,2}(\.[0-9]{1,3})?-(linux|musl|macos|windows)(-[a-z0-9_]+)?$"},
    ),
]
Known = tuple[KnownProject, list[KeptFile], list[RoleHolder]]


def router(hub: Hub, explainer: Explainer) -> APIRouter:
    """`/projects/{project}` and what explains it."""
    found = APIRouter(prefix="/projects/{project}")
    desk, cpu = Desk(hub), hub.pools.cpu

    # Thousands of files: their JSON is made in a thread, for FastAPI would hold up everybody else with it.

    @found.get("", summary="Show a project: whose name it is, and its files", response_model=ShownProject)
    async def show(project: Project) -> Response:
        known = await desk.read(partial(_known, name=ProjectName(project)))
        return Response(await cpu.run(_shown, known, explainer), media_type=JSON)

    @found.get("/explain", summary="Say of each file whether it is offered, and why not", response_model=Explained)
    async def explain(project: Project, target: For = None) -> Response:
        meant = None if target is None else parse_target(target)
        told = await desk.read(partial(explainer.explain, name=ProjectName(project), target=meant))
        return Response(await cpu.run(_explained, told), media_type=JSON)

    @found.get("/roles", summary="List a project's owners and maintainers")
    async def list_roles(project: Project) -> Roles:
        _, _, holders = await desk.read(partial(_known, name=ProjectName(project)))
        return Roles(**Roles.of(holders))

    return found


def _known(connection: Connection, name: ProjectName) -> Known:
    known = find_project(connection, name)
    if known is None or not (known.listed or known.owner.hosted):
        raise Problem(
            404,
            "Not found",
            f"The hub knows no project {name}.",
            remedy="Upstreams are not asked here; whoever installs it through the hub makes it known.",
        )
    return known, files_of(connection, known.id), roles(connection, known.id)


def _shown(known: Known, explainer: Explainer) -> bytes:
    project, files, holders = known
    there = [file for file in files if file.deleted is None and (file.listed or file.digest is not None)]
    shown = [ShownFile.of(file) for file in explainer.as_offered(there)]
    return (
        ShownProject(
            name=project.name,
            status=project.status,
            reason=project.status_reason,
            hosted=project.owner.hosted,
            merged=project.owner.merged,
            upstream=project.upstream,
            serial=project.serial,
            versions=sorted({file.version for file in shown if file.version is not None}, key=_by_version),
            files=shown,
            **Roles.of(holders),
        )
        .model_dump_json()
        .encode()
    )


def _explained(told: Explanation) -> bytes:
    return Explained.model_validate(told).model_dump_json().encode()


def _by_version(text: str) -> tuple[bool, Version, str]:
    """As PEP 440 orders them; what it cannot read comes first."""
    try:
        return True, Version(text), text
    except InvalidVersion:
        return False, Version("0"), text
