"""The hive's part of `/api/v1`: spaces, what is in them, their trash, and what files had in them before.

This table says what there is and who may ask; the other files answer, and are imported when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from creamery.door import Hub
from creamery.hive.access import MANAGE, READ, WRITE, NoSuchSpace
from creamery.hive.errors import (
    BytesMissing,
    IsFile,
    IsFolder,
    LockedBy,
    NoSuchVersion,
    NotInTrash,
    NotThere,
    OverQuota,
    Refused,
)
from creamery.hive.managing import HomeStays
from creamery.hive.names import NameRefused
from creamery.hive.reserving import Reservations
from creamery.http import Needs, Problem, Route

if TYPE_CHECKING:
    from fastapi import APIRouter

_READ, _WRITE = Needs(READ, "space", is_named_later=True), Needs(WRITE, "space", is_named_later=True)
_MANAGE = Needs(MANAGE, "space", is_named_later=True)
_SPACE = "/hive/spaces/{space}"
_VERSIONS = f"{_SPACE}/files/{{node}}/versions"
_VERSION = f"{_VERSIONS}/{{revision}}"
_TABLE: tuple[tuple[tuple[str, ...], str, Needs, str], ...] = (
    (("GET",), "/hive/spaces", _READ, "The spaces of whoever asks."),
    (("POST",), "/hive/spaces", _MANAGE, "Make a project's space."),
    (("GET",), _SPACE, _READ, "A space, and what of it is used."),
    (("PUT",), f"{_SPACE}/quota", _MANAGE, "Say how many bytes a space's files may have."),
    (("PUT",), f"{_SPACE}/owner", _MANAGE, "Give a project's space to somebody else."),
    (("GET",), "/hive/search", _READ, "Files and folders whose names have a part in common."),
    (("GET",), f"{_SPACE}/entry", _READ, "A file or folder, by its path."),
    (("GET",), f"{_SPACE}/entries", _READ, "What is in a folder."),
    (("GET",), f"{_SPACE}/trash", _READ, "What was deleted."),
    (("DELETE",), f"{_SPACE}/trash", _WRITE, "Remove all of it for good."),
    (("DELETE",), f"{_SPACE}/trash/{{node}}", _WRITE, "Remove something of it for good."),
    (("POST",), f"{_SPACE}/trash/{{node}}/restoration", _WRITE, "Bring something back."),
    (("GET",), _VERSIONS, _READ, "What a file had in it before."),
    (("DELETE",), _VERSION, _WRITE, "Let a former content go."),
    (("PUT", "DELETE"), f"{_VERSION}/pin", _WRITE, "Let a former content stay for ever, or no more."),
    (("PUT",), f"{_VERSION}/label", _WRITE, "Give a former content a name."),
    (("POST",), f"{_VERSION}/restoration", _WRITE, "Give a file the bytes again that it had before."),
)


def routes(hub: Hub) -> tuple[Route, ...]:
    """The lines of the door's table."""
    return tuple(hub.api.route(*line) for line in _TABLE)


def loader(hub: Hub, reservations: Reservations) -> Callable[[], APIRouter]:
    """What imports the rest, when somebody asks."""

    def load() -> APIRouter:
        from fastapi import APIRouter  # noqa: PLC0415 - 11 MiB

        from creamery.hive.api import search, spaces, trash, versions  # noqa: PLC0415 - with FastAPI

        found = spaces.router(hub, reservations)
        found.include_router(trash.router(hub))
        found.include_router(versions.router(hub))
        both = APIRouter()
        both.include_router(found)
        both.include_router(search.router(hub))
        return both

    return load


def refusals() -> dict[type[Exception], Callable[[Any], Problem]]:
    """What the hive's errors look like here; WebDAV has words of its own."""
    not_found = _as(404, "Not found")
    return {
        **dict.fromkeys((NoSuchSpace, NotThere, NoSuchVersion, NotInTrash), not_found),
        **dict.fromkeys((Refused, IsFolder, IsFile, HomeStays), _as(409, "Conflict")),
        NameRefused: _as(422, "Refused"),
        LockedBy: _as(423, "Locked"),
        OverQuota: _as(507, "Quota reached"),
        BytesMissing: _as(503, "Bytes missing"),
    }


def _as(status: int, title: str) -> Callable[[Any], Problem]:
    def problem(error: Exception) -> Problem:
        return Problem(status, title, str(error), headers=_PRIVATE)

    return problem


_PRIVATE: Mapping[str, str] = {"Cache-Control": "no-store"}
