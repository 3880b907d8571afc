"""The rights of the hive, and the only way from somebody who asks to a space that they may have.

A home is its user's alone, administrators' eyes included; a project's space is its owner's, and administrators look
after it. To everybody else a space is as good as not there.
"""

from __future__ import annotations

from sqlalchemy import Connection

from creamery.accounts import Principal, ScopeWord, key_of
from creamery.hive import spaces
from creamery.hive.ledger import Space
from creamery.hive.tables import PROJECT

READ = "hive:read"
"""To see files and folders."""

WRITE = "hive:write"
"""To change them."""

MANAGE = "hive:manage"
"""To make spaces, and to say how much they may have."""

SCOPES = {
    READ: ScopeWord("read its user's files"),
    WRITE: ScopeWord("write its user's files, and delete them"),
    MANAGE: ScopeWord("make spaces and set quotas, where its user is an administrator"),
}
"""What tokens may be limited to here."""


_MAX_DIGITS = 18


class NoSuchSpace(LookupError):
    """There is none, or whoever asks may not know of it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no space {name!r}.")


def home_of(connection: Connection, principal: Principal, name: str) -> Space | None:
    """The home that an address names; None: it is theirs, and is made when it is first used.

    Raises:
        NoSuchSpace: it is somebody else's, or nobody's.
    """
    user_id = owner_of_home(principal, name)
    found = spaces.home_of(connection, user_id)
    if found is not None and found.disabled:
        raise NoSuchSpace(name)
    return found


def owner_of_home(principal: Principal, name: str) -> int:
    """Whose home that is: who asks.

    Raises:
        NoSuchSpace: somebody else's, or nobody's.
    """
    if principal.user_id is None or key_of(principal.name) != key_of(name):
        raise NoSuchSpace(name)
    return principal.user_id


def space_for(connection: Connection, principal: Principal, space_id: int) -> Space:
    """A space by its number.

    Raises:
        NoSuchSpace: there is none for whoever asks.
    """
    found = spaces.find_space(connection, space_id)
    if found is None or found.disabled or not may_have(principal, found):
        raise NoSuchSpace(str(space_id))
    return found


def number_of(name: str) -> int:
    """The number that stands for a space.

    Raises:
        NoSuchSpace: it is none.
    """
    if not (name.isascii() and name.isdigit()) or len(name) > _MAX_DIGITS:
        raise NoSuchSpace(name[: _MAX_DIGITS + 1])
    return int(name)


def may_have(principal: Principal, space: Space) -> bool:
    """Is it theirs, or theirs to look after?"""
    if principal.user_id is not None and principal.user_id == space.owner_id:
        return True
    return space.kind == PROJECT and principal.is_admin


def spaces_for(connection: Connection, principal: Principal) -> list[Space]:
    """All that they may have, homes first, by name, as `space_for` gives them one by one."""
    user_id = -1 if principal.user_id is None else principal.user_id
    found = spaces.spaces_of(connection, user_id, and_projects=principal.is_admin)
    return [row for row in found if not row.disabled]
