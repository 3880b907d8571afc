"""What happened, for administrators."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query

from creamery.accounts import ScopeWord
from creamery.door import Hub
from creamery.journal import latest, since
from creamery.operations.api.asking import LARGEST, Desk
from creamery.operations.api.shapes import ShownEntry


def router(hub: Hub, _: Mapping[str, ScopeWord]) -> APIRouter:
    """`/journal`."""
    found = APIRouter(prefix="/journal", tags=["journal"])
    desk = Desk(hub)
    most = hub.settings.limits.results

    @found.get("", summary="The last entries, or all after a serial, in order")
    async def read(
        after: Annotated[int | None, Query(ge=0, le=LARGEST, description="A serial: only what came later.")] = None,
        limit: Annotated[int, Query(ge=1, le=most)] = min(100, most),
    ) -> list[ShownEntry]:
        question = partial(latest, limit=limit) if after is None else partial(since, serial=after, limit=limit)
        return [ShownEntry.of(entry) for entry in await desk.read(question)]

    return found
