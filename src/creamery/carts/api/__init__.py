"""The carts' part of `/api/v1`: which archives there are, and what those have that can list it.

This table says what there is and who may ask; `archives.py` answers, and is imported when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from creamery.carts.access import USE
from creamery.carts.archives import Archive
from creamery.door import Hub
from creamery.http import Needs, Route, Strangers

if TYPE_CHECKING:
    from fastapi import APIRouter

_USE = Needs(USE, "cart", is_named_later=True)
_TABLE: tuple[tuple[tuple[str, ...], str, Needs, str], ...] = (
    (("GET",), "/carts/archives", _USE, "The archives that carts' files may come from."),
    (("GET",), "/carts/archives/{name}/entries", _USE, "What an archive has in a folder, where it can list that."),
)


def routes(hub: Hub) -> tuple[Route, ...]:
    """The lines of the door's table."""
    return tuple(hub.api.route(*line) for line in _TABLE)


def loader(hub: Hub, archives: Mapping[str, Archive], strangers: Strangers) -> Callable[[], APIRouter]:
    """What imports the rest, when somebody asks."""

    def load() -> APIRouter:
        from creamery.carts.api import archives as shown  # noqa: PLC0415 - with FastAPI: 11 MiB

        return shown.router(hub, archives, strangers)

    return load
