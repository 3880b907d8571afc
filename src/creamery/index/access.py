"""The rights of the index, by name, and the only way from somebody who asks to a project that they may change."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from creamery.accounts import Principal, ScopeWord, Thing
from creamery.contract import ProjectName
from creamery.index.project import KnownProject
from creamery.index.tables import index_role, locked_project

READ = "index:read"
"""To read what the index has."""

UPLOAD = "index:upload"
"""To add files to a project, and to change what is one's own there."""

MANAGE = "index:manage"
"""To decide whose names are whose, what is fetched before anybody asks, and what stays."""

Role = Literal["owner", "maintainer"]
"""An owner may all that can be done to a project; a maintainer uploads and yanks."""

_SEPARATORS = re.compile(r"[-_.]+")


def _normalised(glob: str) -> str:
    """A pattern of names, as names are compared (PEP 503): `Acme_*` is `acme-*`."""
    return _SEPARATORS.sub("-", glob).lower()


SCOPES = {
    READ: ScopeWord("read the index, where not everybody may"),
    UPLOAD: ScopeWord("upload to projects of such names, such as acme-*", "PROJECT-GLOB", _normalised),
    MANAGE: ScopeWord("claim and reserve names, prefetch and pin, where its user may"),
}
"""What tokens may be limited to here."""


class UnknownHere(Exception):
    """No such project is hosted here."""

    def __init__(self, name: ProjectName) -> None:
        super().__init__(f"no project {name} is hosted here")
        self.name = name


class NotYours(Exception):
    """Whoever asks is not the project's owner, or not its maintainer either.

    Attributes:
        who: asks.
        project: is not theirs.
        needs: what they would have to be.
    """

    def __init__(self, who: str, project: ProjectName, needs: Role) -> None:
        super().__init__(f"{who} is not {_ROLES[needs]} of {project}")
        self.who = who
        self.project = project
        self.needs = needs


class OutOfReach(Exception):
    """What somebody came with does not reach to a project, whoever they are."""

    def __init__(self, who: str, project: ProjectName) -> None:
        super().__init__(
            f"{who} may not upload to {project} with this token: its scopes reach not so far. Make one with the scope"
            f" {UPLOAD}:{project}"
        )


_ROLES: dict[Role, str] = {"owner": "an owner", "maintainer": "an owner or maintainer"}


@dataclass(frozen=True, slots=True)
class Access:
    """Who may change what of the index.

    Attributes:
        may: accounts' answer.
    """

    may: Callable[[Principal, str, Thing], bool]

    def project_for(
        self, connection: Connection, principal: Principal, name: ProjectName, *, needs: Role
    ) -> KnownProject:
        """A hosted project that somebody may change, locked until the transaction ends.

        Raises:
            UnknownHere: there is none.
            NotYours: there is, and they may not.
        """
        known = locked_project(connection, name)
        if known is None or not known.owner.hosted:
            raise UnknownHere(name)
        self.refuse_strangers(connection, principal, known, needs=needs)
        return known

    def refuse_strangers(
        self, connection: Connection, principal: Principal, known: KnownProject, *, needs: Role
    ) -> None:
        """One point read.

        Raises:
            NotYours: they have not the role, and are no administrators.
            OutOfReach: their token reaches not so far.
        """
        self.refuse_uploader(principal, known.name)
        if principal.is_admin or principal.kind == "job":
            return
        if role_of(connection, known.id, holder_of(principal)) not in {"owner", needs}:
            raise NotYours(spelled(principal), known.name, needs)

    def refuse_uploader(self, principal: Principal, name: ProjectName) -> None:
        """May they upload projects of that name at all, whoever has it?

        Raises:
            OutOfReach: the hub's rule, or their token's scopes, do not let them.
        """
        if not self.may(principal, UPLOAD, Thing("project", name)):
            raise OutOfReach(spelled(principal), name)


def holder_of(principal: Principal) -> str | None:
    """What roles hang on: a user's number, never a name; the name of whoever only a password file or passcode knows."""
    if principal.user_id is not None:
        return f"user:{principal.user_id}"
    if principal.kind in {"htpasswd", "passcode"}:
        return f"{principal.kind}:{principal.name.rpartition(':')[2]}"  # an entry's name stands behind its door's
    return None


def spelled(principal: Principal) -> str:
    """Who it is, as owners write them who give a role: a user's name; `htpasswd:NAME`; `passcode:havarti`."""
    holder = holder_of(principal) if principal.user_id is None else None
    return holder or principal.name


def role_of(connection: Connection, project_id: int, holder: str | None) -> str | None:
    """What somebody is in a project: one point read."""
    query = select(index_role.c.role).where(index_role.c.project_id == project_id, index_role.c.holder == holder)
    return connection.execute(query).scalar_one_or_none()
