"""Who asks, and about what: the values that a right is decided by."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from creamery.clock import Micros

ADMIN = "admin"
"""The right to everything."""

Kind = Literal["anonymous", "user", "token", "htpasswd", "passcode", "link", "job"]


@dataclass(frozen=True, slots=True)
class Thing:
    """What something is done to. Accounts never walk a door's tree: the door says what they need to know.

    Attributes:
        kind: the door's word, such as `project`.
        name: what patterns of scopes are held against.
        id: its row's number; None where it has none, or is meant as a whole.
        owner_id: the user whose it is.
        ancestors: the numbers of what it lies in.
        is_any: which one it is turns out later, and then its door asks once more.
    """

    kind: str
    name: str = ""
    id: int | None = None
    owner_id: int | None = None
    ancestors: tuple[int, ...] = ()
    is_any: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """One right, and the names that it is limited to."""

    action: str
    limit: str = ""

    def __str__(self) -> str:
        return f"{self.action}:{self.limit}" if self.limit else self.action

    def covers(self, action: str, thing: Thing) -> bool:
        """Does it include doing this to that?"""
        if self.action == ADMIN:
            return True
        return self.action == action and (not self.limit or thing.is_any or fnmatchcase(thing.name, self.limit))


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whom a credential has made known.

    Attributes:
        kind: what made them known.
        name: of the user; of the entry in an htpasswd file, behind the door's name; for people and the journal only.
        user_id: of the hub's own user, also behind a token; None for everybody else.
        is_admin: whose user is an administrator. `may` and a door's access.py alone draw conclusions from
            it: a token's scopes take away.
        groups: names of the user's groups, as they are compared.
        scopes: what the credential is limited to; None: all that its user may.
        door: the only door where it counts; empty: all.
        token_id: the row of the token that was used.
        session_id: the row of the session whose cookie came: then a browser asks, perhaps for somebody else's page.
        changed: when the user's row was changed last before that; for `confirm`.
    """

    kind: Kind
    name: str
    user_id: int | None = None
    is_admin: bool = False
    groups: frozenset[str] = frozenset()
    scopes: tuple[Scope, ...] | None = None
    door: str = ""
    token_id: int | None = None
    session_id: int | None = None
    changed: Micros | None = None

    @property
    def is_known(self) -> bool:
        """Is it anybody in particular?"""
        return self.kind != "anonymous"


ANONYMOUS = Principal("anonymous", "anonymous")
HUB = Principal("job", "hub")
"""The hub's own work: what its jobs do for nobody in particular."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request brought to be known by.

    Attributes:
        authorization: the Authorization header as it was sent; several of them joined by commas.
        address: where it came from; it slows guessing down and never grants a right.
        door: the door that is asked, whose password file counts.
        session: what the session's cookie holds; it counts where there is no Authorization.
        device: what the device's cookie holds.
    """

    authorization: str
    address: str = ""
    door: str = ""
    session: str = ""
    device: str = ""
