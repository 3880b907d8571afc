"""The built wheels' part of `/api/v1`: which ones are here and why, and what becomes of them.

This table says what there is and who may ask; `files.py` and `why.py` answer, and are imported when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from creamery.door import Hub
from creamery.http import Needs, Route
from creamery.wheels.access import MANAGE, READ
from creamery.wheels.merged import MergedPages
from creamery.wheels.rings import Rings

if TYPE_CHECKING:
    from fastapi import APIRouter


def routes(hub: Hub, *, is_open: bool) -> tuple[Route, ...]:
    """The lines of the door's table; `is_open`: anyone may read."""
    read, manage = Needs(READ, "ring", is_personal=True), Needs(MANAGE, "ring")
    return (
        hub.api.route(("GET",), "/wheels", read, "The built wheels that are here.", is_open=is_open),
        hub.api.route(("DELETE",), "/wheels/{filename}", manage, "Take a built wheel away."),
        hub.api.route(
            ("PUT", "DELETE"), "/wheels/{filename}/pin", manage, "Let a built wheel stay, or give way again."
        ),
        hub.api.route(("POST",), "/wheels/{filename}/promotion", manage, "Let everybody see a ring's built wheel."),
        hub.api.route(
            ("GET",),
            "/wheels/projects/{project}/{version}",
            read,
            "What was built of a version, and why it is offered or not.",
            is_open=is_open,
        ),
    )


def loader(hub: Hub, rings: Rings, merged: MergedPages) -> Callable[[], APIRouter]:
    """What imports the rest, when somebody asks."""

    def load() -> APIRouter:
        from creamery.wheels.api import files, why  # noqa: PLC0415 - with FastAPI: 11 MiB

        router = files.router(hub, rings)
        why.add_why(router, hub, rings, merged)
        return router

    return load
