"""Whose names are whose: claimed, merged, assigned, reserved. For whoever may manage the index."""

from fastapi import APIRouter, Request
from sqlalchemy import Connection

from creamery.contract import ProjectName
from creamery.door import Hub
from creamery.http import Problem
from creamery.index.api.shapes import (
    Assigned,
    Assignment,
    Claimed,
    Merging,
    Pattern,
    Project,
    Reserved,
    ReservedPattern,
    ReservedPatterns,
)
from creamery.index.names import Names, parse_pattern, reserved_patterns
from creamery.index.ownership import assign, claim, merge, reserve, unreserve
from creamery.index.upstream import Upstreams
from creamery.journal import By
from creamery.operations import Desk


def router(hub: Hub, names: Names, upstreams: Upstreams) -> APIRouter:
    """`/projects/{project}/claim` and `/merge`, `/assign`, `/reserved`."""
    found = APIRouter()
    _change(found, Desk(hub), upstreams)
    _reserve(found, Desk(hub), names)
    return found


def _change(found: APIRouter, desk: Desk, upstreams: Upstreams) -> None:
    @found.post("/projects/{project}/claim", summary="Make a name the hub's own, for ever")
    async def claim_it(project: Project, request: Request) -> Claimed:
        name = ProjectName(project)
        return Claimed.of(await desk.write(request, lambda c, by: claim(c, name, by, holder=None, why="on purpose")))

    @found.post("/projects/{project}/merge", summary="Let upstreams be asked for a name all the same, or no more")
    async def merge_it(project: Project, sent: Merging, request: Request) -> Claimed:
        name = ProjectName(project)
        return Claimed.of(await desk.write(request, lambda c, by: merge(c, name, by, merged=sent.merged)))

    @found.post("/assign", summary="Give names that one upstream owns to another")
    async def assign_them(sent: Assignment, request: Request) -> Assigned:
        to = _configured(upstreams, sent.to)
        former = None if sent.former is None else _slashed(sent.former)
        named = [ProjectName(name) for name in sent.names or ()]

        def work(connection: Connection, by: By) -> list[ProjectName]:
            return assign(connection, by, to=to, formerly=former, names=named)

        return Assigned(names=list(await desk.write(request, work)))


def _reserve(found: APIRouter, desk: Desk, names: Names) -> None:
    @found.get("/reserved", summary="List the patterns of reserved names")
    async def list_them() -> ReservedPatterns:
        by_command = await desk.read(reserved_patterns)
        items = [ReservedPattern(pattern=pattern, of="settings") for pattern in names.fixed]
        items += [ReservedPattern(pattern=pattern, of="command") for pattern in by_command]
        return ReservedPatterns(items=items)

    @found.put("/reserved/{pattern}", summary="Keep all names of a pattern from every upstream")
    async def reserve_them(pattern: Pattern, request: Request) -> Reserved:
        hidden = await desk.write(request, lambda c, by: reserve(c, pattern, by))
        return Reserved(pattern=parse_pattern(pattern), of="command", projects=list(hidden))

    @found.delete("/reserved/{pattern}", status_code=204, summary="Let upstreams hear the names of a pattern again")
    async def unreserve_them(pattern: Pattern, request: Request) -> None:
        await desk.write(request, lambda c, by: unreserve(c, pattern, by))


def _configured(upstreams: Upstreams, text: str) -> str:
    """An upstream's address, as it is configured.

    Raises:
        Problem: there is none; who gave a name to it would take it from everybody.
    """
    address = _slashed(text)
    known = [each.origin.url for each in upstreams.configured]
    if address not in known:
        raise Problem(
            422,
            "No such upstream",
            "Names can be given to an upstream of this hub's alone.",  # the other address may hold a password
            remedy=f"There are: {', '.join(known)}" if known else "It has none: index.upstreams of the settings.",
        )
    return address


def _slashed(address: str) -> str:
    return address if address.endswith("/") else f"{address}/"
