"""What was built of a version, by whom, what became of it, and why it is offered or not."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Request
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from creamery.clock import SECOND
from creamery.contract import ProjectName
from creamery.door import Hub
from creamery.http import Problem
from creamery.index import UnknownProject, UpstreamDown
from creamery.wheels import leases, tables
from creamery.wheels.api.files import NAMED, Project, ShownWheel, shown
from creamery.wheels.leases import Failure
from creamery.wheels.merged import MergedPages
from creamery.wheels.offering import Offered
from creamery.wheels.place import Sight
from creamery.wheels.rings import Rings
from creamery.wheels.tables import Conflict, Entry


class ShownBuild(ShownWheel):
    """A built wheel, and what becomes of it."""

    offered: bool = Field(description="The merged page lists it, to whoever asks as this request does.")
    why: str = Field(description="Why, or why not.")
    record: dict[str, object] | None = Field(description="What was said of its build; null: nothing.")
    has_log: bool = Field(description="What its build said is kept.")


class ShownConflict(BaseModel):
    """Other bytes that came for a key that had some."""

    key: str
    ring: str
    filename: str
    sha256: str
    came: float = Field(description="In seconds since 1970.")
    pushed_by: str


class ShownFailure(BaseModel):
    """A build that failed."""

    key: str
    ring: str
    reason: str
    times: int
    last: float = Field(description="When, the last time, in seconds since 1970.")
    until: float = Field(description="From then on somebody should try anew.")
    by: str
    has_log: bool


class Why(BaseModel):
    """All that is known of a version's builds."""

    builds: list[ShownBuild]
    conflicts: list[ShownConflict]
    failures: list[ShownFailure]


def add_why(found: APIRouter, hub: Hub, rings: Rings, merged: MergedPages) -> None:
    """`/wheels/projects/{project}/{version}`."""

    @found.get("/projects/{project}/{version}", summary="What was built of a version, and why it is offered or not")
    async def why(
        request: Request,
        project: Annotated[Project, Path(json_schema_extra=NAMED)],
        version: Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9.!+_-]*$", max_length=255)],
    ) -> Why:
        name, meant = ProjectName(project), _version(version)
        sight = await rings.all_seen_by(request.scope)
        known = await hub.pools.database.run(hub.database.read, partial(_known, name=name, sight=sight))
        offered = {each.candidate.id: each for each in await _explained(merged, name, rings.seen_by(request.scope))}
        builds = [entry for entry in known.entries if Version(entry.file.version) == meant]
        keys = {entry.key for entry in builds}
        return Why(
            builds=[_build(entry, offered.get(entry.id)) for entry in builds],
            conflicts=[_conflict(each) for each in known.conflicts if each.key in keys],
            failures=[_failure(each) for each in known.failures if Version(each.version) == meant],
        )


@dataclass(frozen=True, slots=True)
class _Known:
    entries: list[Entry]
    conflicts: list[Conflict]
    failures: list[Failure]


def _known(connection: Connection, name: ProjectName, sight: Sight) -> _Known:
    entries = tables.entries_of(connection, name, sight)
    return _Known(
        entries,
        tables.conflicts_of(connection, [entry.key for entry in entries], sight),
        [failure for ring in sight for failure in leases.failures_of_project(connection, name, ring)],
    )


async def _explained(merged: MergedPages, name: ProjectName, sight: Sight) -> list[Offered]:
    """What becomes of each on the merged page; nothing, where there is no such page."""
    try:
        return await merged.explain(name, sight)
    except (UnknownProject, UpstreamDown):
        return []


def _build(entry: Entry, offered: Offered | None) -> ShownBuild:
    if entry.state == "checking":
        why = "its tags are being checked"
    elif entry.state == "unlisted":
        why = entry.reason
    elif offered is None:
        why = f"the index has no such project, or whoever asks does not see the ring {entry.ring}"
    else:
        why = offered.reason
    return ShownBuild(
        **shown(entry).model_dump(),
        offered=entry.state == "listed" and offered is not None and offered.listed,
        why=why,
        record=None if entry.record is None else dict(entry.record),
        has_log=entry.log_digest is not None,
    )


def _conflict(conflict: Conflict) -> ShownConflict:
    return ShownConflict(
        key=conflict.key,
        ring=conflict.ring,
        filename=conflict.filename,
        sha256=conflict.digest,
        came=conflict.came / SECOND,
        pushed_by=conflict.pushed_by,
    )


def _failure(failure: Failure) -> ShownFailure:
    return ShownFailure(
        key=failure.key,
        ring=failure.ring,
        reason=failure.reason,
        times=failure.times,
        last=failure.last / SECOND,
        until=failure.until / SECOND,
        by=failure.holder,
        has_log=failure.log_digest is not None,
    )


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion as error:
        raise Problem(404, "Not found", f"{error}.", remedy="Versions are written as PEP 440 has them.") from error
