"""The built wheels that are here, a piece at a time, and what administrators do with them."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy import ColumnElement, Connection

from creamery.accounts import Principal, confirm
from creamery.clock import SECOND
from creamery.contract import MAX_NAME_LENGTH, Digest, normalize, parse_digest
from creamery.door import Hub
from creamery.http import Problem, by_of, principal_of
from creamery.journal import By
from creamery.wheels import promotion, tables
from creamery.wheels.place import KeyTaken, Ring, check_ring
from creamery.wheels.rings import Rings
from creamery.wheels.tables import Entry

NAMED = {"pattern": r"^([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9])$", "maxLength": MAX_NAME_LENGTH}
_FILE = {"pattern": "^[A-Za-z0-9_][A-Za-z0-9._+!~@=-]*$", "maxLength": MAX_NAME_LENGTH}
_DIGEST = {"pattern": "^[0-9A-Fa-f]{64}$"}
_RING = {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}

Project = Annotated[str, AfterValidator(normalize)]
File = Annotated[str, Path(json_schema_extra=_FILE)]
Sha256 = Annotated[
    Annotated[str, AfterValidator(parse_digest)] | None,
    Query(json_schema_extra=_DIGEST, description="Of the wheel as it was pushed, where several have its name."),
]
InRing = Annotated[Annotated[str, AfterValidator(check_ring)] | None, Query(json_schema_extra=_RING)]


class ShownWheel(BaseModel):
    """A built wheel."""

    id: int = Field(description="Of its row; later ones are larger.")
    ring: str = Field(description="Where it was pushed to.")
    key: str = Field(description="What builders find it by.")
    filename: str
    project: str = Field(description="Whose it is, normalised.")
    version: str
    size: int = Field(description="In bytes.")
    sha256: str
    pushed: float = Field(description="When it came, in seconds since 1970.")
    pushed_by: str = Field(description="Who brought it.")
    pinned: bool = Field(description="It stays, whatever the cache gives way to.")
    state: str = Field(description="`checking`: its tags are being checked; `listed`: pages may list it; `unlisted`.")
    reason: str = Field(description="Why no page lists it; empty where one may.")
    listed_as: str = Field(description="The name that pages list: another one where its tags were corrected.")
    seconds: float = Field(description="How long its build took; 0: nobody has said.")
    hits: int = Field(description="How often it was served.")
    used: float = Field(description="When last, in seconds since 1970.")


class ShownWheels(BaseModel):
    """A piece of the list."""

    items: list[ShownWheel] = Field(description="In the order in which they came.")
    next: int | None = Field(description="What to send as `after` for the next piece; null: there is none.")


def shown(entry: Entry) -> ShownWheel:
    """A wheel, as the API has it."""
    file = entry.file
    return ShownWheel(
        id=entry.id,
        ring=entry.ring,
        key=entry.key,
        filename=file.filename,
        project=file.project,
        version=file.version,
        size=file.size,
        sha256=str(file.digest),
        pushed=entry.pushed / SECOND,
        pushed_by=entry.pushed_by,
        pinned=entry.pinned,
        state=entry.state,
        reason=entry.reason,
        listed_as=entry.listed_name,
        seconds=entry.millis / 1_000,
        hits=entry.hits,
        used=entry.used / SECOND,
    )


def router(hub: Hub, rings: Rings) -> APIRouter:
    """`/wheels` and what is below it."""
    found = APIRouter(prefix="/wheels", tags=["wheels"])
    most = hub.settings.limits.results

    @found.get("", summary="List the built wheels that are here")
    async def list_wheels(
        request: Request,
        project: Annotated[Project | None, Query(json_schema_extra=NAMED)] = None,
        ring: InRing = None,
        after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
        limit: Annotated[int, Query(ge=1, le=most)] = most,
    ) -> ShownWheels:
        sight = await rings.all_seen_by(request.scope)
        if ring is not None:
            sight = tuple(each for each in sight if each == ring)
        question = partial(tables.listed, project=project, after=after, limit=limit + 1, sight=sight)
        rows = await hub.pools.database.run(hub.database.read, question)
        return ShownWheels(
            items=[shown(row) for row in rows[:limit]], next=rows[limit - 1].id if len(rows) > limit else None
        )

    _add_changes(found, hub, rings)
    return found


def _add_changes(found: APIRouter, hub: Hub, rings: Rings) -> None:
    """What administrators do with a wheel."""

    @found.delete("/{filename}", summary="Take a built wheel away", status_code=204)
    async def remove_wheel(filename: File, request: Request, sha256: Sha256 = None) -> None:
        await change(request, filename, sha256, _remove)

    @found.put("/{filename}/pin", summary="Let a built wheel stay, whatever the cache gives way to", status_code=204)
    async def pin_wheel(filename: File, request: Request, sha256: Sha256 = None) -> None:
        await change(request, filename, sha256, partial(tables.set_pinned, pinned=True))

    @found.delete("/{filename}/pin", summary="Let a built wheel give way again", status_code=204)
    async def unpin_wheel(filename: File, request: Request, sha256: Sha256 = None) -> None:
        await change(request, filename, sha256, partial(tables.set_pinned, pinned=False))

    @found.post("/{filename}/promotion", summary="Let everybody see a built wheel of a ring", status_code=204)
    async def promote_wheel(filename: File, request: Request, sha256: Sha256 = None, ring: InRing = None) -> None:
        try:
            await change(request, filename, sha256, partial(_promote, ring=ring, own=rings.own))
        except KeyTaken as taken:
            by = by_of(request.scope, hub.clock.now())
            conflict = partial(tables.add_conflict, ring=rings.own, key=taken.key, digest=taken.came, by=by)
            await hub.committer.commit(partial(conflict, filename=taken.filename))
            raise

    async def change(request: Request, filename: str, sha256: str | None, work: Callable[..., list[str]]) -> None:
        by, principal = by_of(request.scope, hub.clock.now()), principal_of(request)
        meant = tables.is_meant(filename, None if sha256 is None else Digest(sha256))
        if not await hub.committer.commit(partial(work, meant=meant, principal=principal, by=by)):
            raise Problem(404, "Not found", f"There is no built wheel {filename}.", remedy="List what is here.")


def _remove(connection: Connection, meant: ColumnElement[bool], principal: Principal, by: By) -> list[str]:
    entries = tables.entries_meant(connection, meant)
    names = tables.remove(connection, meant, principal, by)
    promotion.forget_builders(connection, entries)
    return names


def _promote(
    connection: Connection, meant: ColumnElement[bool], principal: Principal, by: By, *, ring: str | None, own: Ring
) -> list[str]:
    """Into the hub's own ring; what somebody else has called by the same name does not come along unseen."""
    confirm(connection, principal, by.now)
    entries = [entry for entry in tables.entries_meant(connection, meant) if ring in {None, entry.ring}]
    others = [entry for entry in entries if entry.ring != own]
    named = sorted({entry.ring for entry in others})
    if len(named) > 1 and len({entry.file.digest for entry in others}) > 1:
        raise Problem(
            409,
            "Several wheels",
            f"The rings {', '.join(named)} have different wheels of the name {others[0].file.filename}.",
            remedy="Say which is meant, by its ring or its SHA-256 (--ring, --sha256).",
        )
    for entry in others:
        promotion.promote(connection, entry, own, by, "an administrator has said so")
    return [entry.file.filename for entry in entries]
