"""Files and folders found by a part of their name."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BeforeValidator
from sqlalchemy import Connection

from creamery.door import Hub
from creamery.hive import access
from creamery.hive.api.asking import SpaceDesk
from creamery.hive.api.shapes import Entry, Found, FoundEntry, Kind
from creamery.hive.searching import Wish, search
from creamery.hive.tables import FILE, FOLDER
from creamery.operations import Asker, Desk

_KINDS: dict[Kind, int] = {"file": FILE, "folder": FOLDER}


def _is_no_number(value: object) -> object:
    """Seconds since some year are no date that people would know."""
    if not isinstance(value, str) or value.lstrip("-").replace(".", "", 1).isdigit():
        raise ValueError("should be a date and a time, such as 2026-11-28T13:05:00Z")
    return value


Moment = Annotated[datetime, BeforeValidator(_is_no_number)]
Part = Annotated[
    str,
    Query(
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufffd]*$",
        description="A part of it; case and accents do not count.",
    ),
]
Bytes = Annotated[int | None, Query(ge=0, lt=1 << 62)]


def router(hub: Hub) -> APIRouter:
    """The endpoint."""
    found = APIRouter(prefix="/hive/search", tags=["files"])
    desk, etags, limits = Desk(hub), SpaceDesk(hub).etags, hub.settings.limits

    @found.get("", summary="Find files and folders by a part of their name")
    async def look(  # noqa: PLR0913, PLR0917 - each is a word of the question
        asker: Asker,
        name: Part = "",
        kind: Kind | None = None,
        least_size: Bytes = None,
        most_size: Bytes = None,
        since: Moment | None = None,
        until: Moment | None = None,
        limit: Annotated[int, Query(ge=1, le=limits.results)] = min(100, limits.results),
    ) -> Found:
        wish = Wish(name, None if kind is None else _KINDS[kind], least_size, most_size, _micros(since), _micros(until))

        def ask(connection: Connection) -> Found:
            hits = search(connection, access.spaces_for(connection, asker), wish, limit, limits)
            items = [
                FoundEntry(
                    space=hit.space_id, path="/" + "/".join(hit.path), entry=Entry.of(hit.space_id, hit.node, etags)
                )
                for hit in hits.hits
            ]
            return Found(items=items, is_cut=hits.is_cut)

        return await desk.read(ask)

    return found


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1_000_000)
