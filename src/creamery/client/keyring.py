"""Passwords that the system keeps, as the program `keyring` has them; uv and pip ask it in the same way."""

from __future__ import annotations

import shutil

from creamery.client.address import HubAddress
from creamery.client.programs import ask

TOKEN_BEGINS = "cmy_"  # noqa: S105 - where all of them begin
"""A token that stands where a user's name should: everybody on this machine would read it among the program's words."""


def password_of(address: HubAddress, name: str) -> str | None:
    """A user's password for a hub, kept under the hub's address; None: there is none, or nobody to ask."""
    if not name or name.startswith(("-", TOKEN_BEGINS)) or not name.isprintable():  # `-x` would be an option
        return None
    program = shutil.which("keyring")
    said = None if program is None else ask([program, "get", str(address), name])
    return said if said is not None and said.isprintable() else None
