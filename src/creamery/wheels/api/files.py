"""The built wheels that are here, a piece at a time."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import AfterValidator, BaseModel, Field

from creamery.clock import SECOND
from creamery.contract import MAX_NAME_LENGTH, normalize
from creamery.door import Hub
from creamery.http import Problem, by_of, principal_of
from creamery.wheels import tables

_NAMED = {"pattern": r"^([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9])$", "maxLength": MAX_NAME_LENGTH}
_FILE = {"pattern": "^[A-Za-z0-9_][A-Za-z0-9._+!~@=-]*$", "maxLength": MAX_NAME_LENGTH}

Project = Annotated[str, AfterValidator(normalize)]
File = Annotated[str, Path(json_schema_extra=_FILE)]


class ShownWheel(BaseModel):
    """A built wheel."""

    filename: str
    project: str = Field(description="Whose it is, normalised.")
    version: str
    size: int = Field(description="In bytes.")
    sha256: str
    pushed: float = Field(description="When it came, in seconds since 1970.")
    pushed_by: str = Field(description="Who brought it.")
    pinned: bool = Field(description="It stays, whatever the cache gives way to.")


class ShownWheels(BaseModel):
    """A piece of the list."""

    items: list[ShownWheel] = Field(description="In the order of their file names.")
    next: str | None = Field(description="What to send as `after` for the next piece; null: there is none.")


def router(hub: Hub) -> APIRouter:
    """`/wheels` and what is below it."""
    found = APIRouter(prefix="/wheels", tags=["wheels"])
    most = hub.settings.limits.results

    @found.get("", summary="List the built wheels that are here")
    async def list_wheels(
        project: Annotated[Project | None, Query(json_schema_extra=_NAMED)] = None,
        after: Annotated[str, Query(pattern="^[A-Za-z0-9._+!~@=-]*$", max_length=MAX_NAME_LENGTH)] = "",
        limit: Annotated[int, Query(ge=1, le=most)] = most,
    ) -> ShownWheels:
        question = partial(tables.listed, project=project, after=after, limit=limit + 1)
        rows = await hub.pools.database.run(hub.database.read, question)
        shown = [
            ShownWheel(
                filename=each.file.filename,
                project=each.file.project,
                version=each.file.version,
                size=each.file.size,
                sha256=str(each.file.digest),
                pushed=each.pushed / SECOND,
                pushed_by=each.pushed_by,
                pinned=each.pinned,
            )
            for each in rows[:limit]
        ]
        return ShownWheels(items=shown, next=shown[-1].filename if len(rows) > limit else None)

    @found.delete("/{filename}", summary="Take a built wheel away", status_code=204)
    async def remove_wheel(filename: File, request: Request) -> None:
        await change(request, filename, tables.remove)

    @found.put("/{filename}/pin", summary="Let a built wheel stay, whatever the cache gives way to", status_code=204)
    async def pin_wheel(filename: File, request: Request) -> None:
        await change(request, filename, partial(tables.set_pinned, pinned=True))

    @found.delete("/{filename}/pin", summary="Let a built wheel give way again", status_code=204)
    async def unpin_wheel(filename: File, request: Request) -> None:
        await change(request, filename, partial(tables.set_pinned, pinned=False))

    async def change(request: Request, filename: str, work: Callable[..., bool]) -> None:
        by, principal = by_of(request.scope, hub.clock.now()), principal_of(request)
        if not await hub.committer.commit(partial(work, filename=filename, principal=principal, by=by)):
            raise Problem(404, "Not found", f"There is no built wheel {filename}.", remedy="List what is here.")

    return found
