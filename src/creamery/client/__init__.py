"""What runs on other people's machines: it asks a hub over HTTP, and imports nothing of the hub's but `contract`.

`Hub` is a hub as commands ask it; `client/wire.py` alone opens sockets outwards, and `glance.py` for a question whose
answer is plain; `client/uv.py`, `launching.py`, `child.py` and `programs.py` run other programs. Everything else here
reads what it is given. Each name is imported when it is used: `creamery install` waits for none that it does not need.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start
if TYPE_CHECKING:
    from typing import Any

    from creamery.client.address import HubAddress, User, parse_address
    from creamery.client.choosing import chosen_files
    from creamery.client.credentials import Credentials, Sources, find_credentials
    from creamery.client.errors import HubError, HubUnreachable, NotAHub, Refused, UnusableInput
    from creamery.client.lockfile import Chosen, ChosenFile
    from creamery.client.targets import Target
    from creamery.client.wire import Hub, Patience

__all__ = [
    "Chosen",
    "ChosenFile",
    "Credentials",
    "Hub",
    "HubAddress",
    "HubError",
    "HubUnreachable",
    "NotAHub",
    "Patience",
    "Refused",
    "Sources",
    "Target",
    "UnusableInput",
    "User",
    "chosen_files",
    "find_credentials",
    "parse_address",
]


def __getattr__(name: str) -> Any:
    places = {
        "address": ("HubAddress", "User", "parse_address"),
        "choosing": ("chosen_files",),
        "credentials": ("Credentials", "Sources", "find_credentials"),
        "errors": ("HubError", "HubUnreachable", "NotAHub", "Refused", "UnusableInput"),
        "lockfile": ("Chosen", "ChosenFile"),
        "targets": ("Target",),
        "wire": ("Hub", "Patience"),
    }
    from importlib import import_module  # noqa: PLC0415 - where one of these is wanted

    for place, names in places.items():
        if name in names:
            return getattr(import_module(f"creamery.client.{place}"), name)
    raise AttributeError(name)
