"""The index's part of `/api/v1`: what a project has and whose it is, and what is done to releases and names.

This table says what there is and who may ask; the files beside it answer, and are imported when somebody asks. A right
of the table only lets somebody in: whether a project is theirs to change is decided in the transaction that changes it.

| path | what |
|---|---|
| `/index/projects/{project}` | its facts, its files; `/explain`: what is offered of it, and why not |
| `.../yank`, `.../unyank`, `.../delete`, `.../status` | what becomes of what was uploaded |
| `.../roles`, `.../owners/{user}`, `.../maintainers/{user}` | who may change it |
| `.../claim`, `.../merge`, `/index/assign`, `/index/reserved` | whose names are whose |
| `/index/prefetch`, `/index/pins` | what is fetched before anybody asks, and what stays |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from creamery.door import Hub
from creamery.http import Bound, Needs, Route
from creamery.index.access import MANAGE, READ, UPLOAD, Access
from creamery.index.explaining import Explainer
from creamery.index.names import Names
from creamery.index.upstream import Upstreams

if TYPE_CHECKING:
    from fastapi import APIRouter

_P = "/index/projects/{project}"
_READ, _MANAGE = Needs(READ, "project"), Needs(MANAGE, "project")
_CHANGE = Needs(UPLOAD, "project", is_named_later=True)
_TABLE: tuple[tuple[tuple[str, ...], str, Needs, str], ...] = (
    (("GET",), _P, _READ, "A project: whose name it is, and its files."),
    (("GET",), f"{_P}/explain", _READ, "Of each file, whether it is offered, and why not."),
    (("GET",), f"{_P}/roles", _READ, "A project's owners and maintainers."),
    (("POST",), f"{_P}/yank", _CHANGE, "Yank a version or a file."),
    (("POST",), f"{_P}/unyank", _CHANGE, "Take a yank back."),
    (("POST",), f"{_P}/delete", _CHANGE, "Delete a version or a file, for ever."),
    (("PUT",), f"{_P}/status", _CHANGE, "Give a project its marker (PEP 792)."),
    (("PUT", "DELETE"), f"{_P}/owners/{{user}}", _CHANGE, "Make somebody an owner, or no more."),
    (
        ("PUT", "DELETE"),
        f"{_P}/maintainers/{{user}}",
        _CHANGE,
        "Make somebody a maintainer, or no more.",
    ),
    (("POST",), f"{_P}/claim", _MANAGE, "Make a name the hub's own, for ever."),
    (("POST",), f"{_P}/merge", _MANAGE, "Let upstreams be asked for a name all the same, or no more."),
    (("POST",), "/index/assign", _MANAGE, "Give names to another upstream."),
    (("GET",), "/index/reserved", _MANAGE, "The patterns of reserved names."),
    (("PUT", "DELETE"), "/index/reserved/{pattern}", _MANAGE, "Reserve names, or no more."),
)

_FETCH = Needs(MANAGE, "index")
_FETCHED: tuple[tuple[tuple[str, ...], str, Needs, str], ...] = (
    (("POST",), "/index/prefetch", _FETCH, "Fetch files before anybody asks."),
    (("GET",), "/index/prefetch/{number}", _FETCH, "What became of a prefetch so far."),
    (("GET",), "/index/pins", _FETCH, "The files that stay here, whatever the cache gives way to."),
    (("POST",), "/index/pins", _FETCH, "Fetch files, and keep them."),
    (("DELETE",), "/index/pins/{project}", _FETCH, "Let go of a project's files."),
    (("DELETE",), "/index/pins/{project}/{what}", _FETCH, "Let go of a version's files, or of one file."),
)
"""Apart, for what may be asked in one go: lists of files."""


def routes(hub: Hub, *, is_open: bool) -> tuple[Route, ...]:
    """The lines of the door's table. `is_open`: anyone may read."""
    bound = Bound("limits.prefetch_bytes", hub.settings.limits.prefetch_bytes)
    return (
        *(hub.api.route(*line, is_open=is_open and line[2] == _READ) for line in _TABLE),
        *(hub.api.route(*line, bound=bound) for line in _FETCHED),
    )


def loader(
    hub: Hub, access: Access, names: Names, explainer: Explainer, upstreams: Upstreams
) -> Callable[[], APIRouter]:
    """What imports the rest, when somebody asks."""

    def load() -> APIRouter:
        from fastapi import APIRouter  # noqa: PLC0415 - 11 MiB

        from creamery.index.api import owners, prefetch, projects, releases, whose  # noqa: PLC0415 - with FastAPI

        router = APIRouter(prefix="/index", tags=["index"])
        router.include_router(projects.router(hub, explainer))
        router.include_router(releases.router(hub, access))
        router.include_router(owners.router(hub, access))
        router.include_router(whose.router(hub, names, upstreams))
        router.include_router(prefetch.router(hub))
        return router

    return load
