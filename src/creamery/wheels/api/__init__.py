"""The built wheels' part of `/api/v1`: which ones are here, and what is taken away.

This table says what there is and who may ask; `files.py` answers, and is imported when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from creamery.door import Hub
from creamery.http import Needs, Route
from creamery.wheels.access import MANAGE, READ

if TYPE_CHECKING:
    from fastapi import APIRouter


def routes(hub: Hub, *, is_open: bool) -> tuple[Route, ...]:
    """The lines of the door's table; `is_open`: anyone may read."""
    read, manage = Needs(READ, "wheel"), Needs(MANAGE, "wheel")
    return (
        hub.api.route(("GET",), "/wheels", read, "The built wheels that are here.", is_open=is_open),
        hub.api.route(("DELETE",), "/wheels/{filename}", manage, "Take a built wheel away."),
        hub.api.route(
            ("PUT", "DELETE"), "/wheels/{filename}/pin", manage, "Let a built wheel stay, or give way again."
        ),
    )


def loader(hub: Hub) -> Callable[[], APIRouter]:
    """What imports the rest, when somebody asks."""

    def load() -> APIRouter:
        from creamery.wheels.api import files  # noqa: PLC0415 - with FastAPI: 11 MiB

        return files.router(hub)

    return load
