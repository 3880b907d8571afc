"""Whose a name is: claimed by its first upload, or on purpose; reserved before that; or an upstream's.

A name's owner changes by these functions alone, each of which the journal tells. Claimed once, a name is the hub's for
ever: who installs by it must never get a stranger's project.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import cast

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from creamery.accounts import User, find_user, user_by_id
from creamery.contract import ProjectName
from creamery.database import announce, bump, insert_unless_there
from creamery.index.access import Role, role_of
from creamery.index.names import parse_pattern
from creamery.index.project import KnownProject
from creamery.index.refresh import withdraw_all
from creamery.index.tables import (
    DOUBTED,
    NO_VALIDATORS,
    confusable_with,
    find_project,
    index_project,
    index_reserved,
    index_role,
    locked_project,
    new_project,
    next_serial,
)
from creamery.journal import By, record_by


class OwnershipRefused(Exception):
    """What was asked of a name, or of who owns it, cannot be; the text says why."""


class NameOwnedUpstream(OwnershipRefused):
    """An upstream has a project of this name."""

    def __init__(self, name: ProjectName) -> None:
        super().__init__(
            f"an upstream index has a project {name}: yours would take its place for everybody who installs by that"
            " name. Choose another name, or ask an administrator to claim this one (creamery index claim)"
        )


class NameConfusable(OwnershipRefused):
    """A project is here whose name people take for this one."""

    def __init__(self, name: ProjectName, other: ProjectName) -> None:
        super().__init__(
            f"{name} is too much like {other}, which is here already: people would install one for the other. Choose"
            " another name, or ask an administrator to claim this one (creamery index claim)"
        )


Outsiders = Callable[[str, str], bool]
"""Can somebody come who is no user of the hub, by kind (`htpasswd`, `passcode`) and name?"""


def nobody(_kind: str, _name: str) -> bool:
    """There is no password file, and no passcode."""
    return False


@dataclass(frozen=True, slots=True)
class RoleHolder:
    """Who has a role in a project.

    Attributes:
        name: of a user; `htpasswd:NAME`; `passcode:havarti`; `user:NUMBER` of one who is gone.
        kind: `user`, `htpasswd` or `passcode`.
    """

    name: str
    kind: str
    role: Role


def refuse_confusable(connection: Connection, name: ProjectName) -> None:
    """Before somebody makes a new name theirs; one range of an index.

    Raises:
        NameConfusable: a project is here that people would take for it.
    """
    for other in confusable_with(connection, name):
        if other.owner.hosted or other.listed:
            raise NameConfusable(name, other.name)


def claim(connection: Connection, name: ProjectName, by: By, *, holder: str | None, why: str) -> KnownProject:
    """Make a name the hub's own, for ever; what an upstream had under it is served no more. Once is enough.

    Args:
        holder: who becomes its owner (`holder_of`); None: administrators alone may upload, until one is named.
        why: for the journal.
    """
    return claim_found(connection, name, locked_project(connection, name), by, holder=holder, why=why)


def claim_found(
    connection: Connection, name: ProjectName, found: KnownProject | None, by: By, *, holder: str | None, why: str
) -> KnownProject:
    """`claim`, of what the transaction has locked; None: nobody has the name."""
    if found is not None and found.owner.hosted:
        return found
    detail = {"why": why, "former_owner": None if found is None else found.upstream, "owner": holder}
    serial = record_by(connection, "index", "claimed", name, by, detail)
    known = found or new_project(connection, name, by.now, hosted_since=serial)
    if not known.owner.hosted:
        withdraw_all(connection, known.id, serial, by.now)
        announce(connection, DOUBTED)
        connection.execute(_CLAIM, {"of": known.id})
        known = next_serial(connection, known.id, serial, by.now)
    if holder is not None:
        role = {"project_id": known.id, "holder": holder, "role": "owner", "created": by.now}
        connection.execute(_INSERT_ROLE, role)
    return known


_INSERT_ROLE = insert(index_role)
_NOBODYS: dict[str, None] = NO_VALIDATORS | dict.fromkeys(("upstream", "versions", "tracks", "alternate_locations"))
"""What a project's row has from an upstream."""
_CLAIM = (
    update(index_project)
    .where(index_project.c.id == bindparam("of"))
    .values(hosted=True, merged=False, listed=True, status="active", status_reason=None, **_NOBODYS)
)


def merge(connection: Connection, name: ProjectName, by: By, *, merged: bool) -> KnownProject:
    """Let upstreams be asked for a name although it is the hub's, or no more.

    Raises:
        OwnershipRefused: the hub does not know the name.
    """
    known = _known(connection, name)
    if known.owner.merged != merged:
        action = "merged" if merged else "no longer merged"
        serial = record_by(connection, "index", action, name, by)
        if known.owner.hosted and not merged:
            withdraw_all(connection, known.id, serial, by.now)
        row = update(index_project).where(index_project.c.id == known.id)
        connection.execute(row.values(merged=merged, **NO_VALIDATORS))
        next_serial(connection, known.id, serial, by.now)
        announce(connection, DOUBTED)
    return _found(connection, name)


def assign(
    connection: Connection, by: By, *, to: str, formerly: str | None = None, names: Sequence[ProjectName] = ()
) -> list[ProjectName]:
    """Give names that one upstream owns to another: those of `names`, or all that `formerly` owns.

    Returns:
        the names whose owner changed.

    Raises:
        OwnershipRefused: one of the names is hosted here, or not known.
    """
    known = [_known(connection, name) for name in names] if names else _owned_by(connection, formerly)
    changed = []
    for project in known:
        if project.owner.hosted:
            raise OwnershipRefused(f"{project.name} is claimed here, for ever")
        if project.upstream == to:
            continue
        detail = {"from": project.upstream, "to": to}
        serial = record_by(connection, "index", "assigned", project.name, by, detail)
        row = update(index_project).where(index_project.c.id == project.id)
        connection.execute(row.values(upstream=to, **NO_VALIDATORS))
        next_serial(connection, project.id, serial, by.now)
        changed.append(project.name)
    announce(connection, DOUBTED)
    return changed


def reserve(connection: Connection, pattern: str, by: By) -> list[ProjectName]:
    """Keep all names of a pattern from every upstream; projects under it that an upstream owns are served no more.

    Returns:
        those projects.

    Raises:
        NoPattern: it is none.
    """
    parsed = parse_pattern(pattern)
    query = insert_unless_there(connection, index_reserved).values(pattern=parsed, created=by.now)
    if connection.execute(query).rowcount:
        _tell(connection, "reserved", parsed, by)
    return _upstreams_under(connection, parsed)


def unreserve(connection: Connection, pattern: str, by: By) -> None:
    """Let upstreams hear these names again, but for those that are claimed.

    Raises:
        NoPattern: it is none.
        OwnershipRefused: it is not reserved by command.
    """
    parsed = parse_pattern(pattern)
    if not connection.execute(delete(index_reserved).where(index_reserved.c.pattern == parsed)).rowcount:
        raise OwnershipRefused(
            f"{parsed} is not reserved by command; what index.reserved of the settings names is changed there"
        )
    _tell(connection, "no longer reserved", parsed, by)


def roles(connection: Connection, project_id: int) -> list[RoleHolder]:
    """Who has a role in a project: owners first, then by name."""
    rows = connection.execute(select(index_role).where(index_role.c.project_id == project_id)).all()
    holders = [_holder(connection, row.holder, cast("Role", row.role)) for row in rows]
    return sorted(holders, key=lambda holder: (holder.role != "owner", holder.name))


def add_role(
    connection: Connection, known: KnownProject, user: str, role: Role, by: By, *, outsiders: Outsiders = nobody
) -> None:
    """Give a user a role, in place of the one that they had.

    Args:
        user: as `RoleHolder.name` has them: a user's name; `htpasswd:NAME` of somebody whom only the password file
            knows; `passcode:havarti`, of whoever comes with the hub's passcode.
        outsiders: who of those can come.

    Raises:
        OwnershipRefused: there is no such user; or the project would be left without an owner.
    """
    holder = _somebody(connection, user, outsiders)
    if role != "owner":
        _refuse_last_owner(connection, known, holder, outsiders)
    _give(connection, known.id, holder, role, by)


def remove_role(
    connection: Connection, known: KnownProject, user: str, role: Role, by: By, *, outsiders: Outsiders = nobody
) -> None:
    """Take somebody's role in a project, also of one who can come no more.

    Raises:
        OwnershipRefused: they have another one, or none; or they are its last owner.
    """
    holder = user if _is_spelled_out(user) else _user_called(connection, user)
    if role_of(connection, known.id, holder) != role:
        raise OwnershipRefused(f"{user[:80]} is no {role} of {known.name}")
    _refuse_last_owner(connection, known, holder, outsiders)
    connection.execute(delete(index_role).where(index_role.c.project_id == known.id, index_role.c.holder == holder))
    detail = {"holder": holder, "role": role}
    record_by(connection, "index", "role taken", known.name, by, detail)


def _refuse_last_owner(connection: Connection, known: KnownProject, holder: str, outsiders: Outsiders) -> None:
    rows = connection.execute(
        select(index_role.c.holder).where(index_role.c.project_id == known.id, index_role.c.role == "owner")
    )
    owners = {each for each in rows.scalars() if _is_there(connection, each, outsiders)}
    if owners == {holder}:
        raise OwnershipRefused(f"{known.name} would be left without an owner; name another one first")


def _give(connection: Connection, project_id: int, holder: str, role: Role, by: By) -> None:
    where = (index_role.c.project_id == project_id, index_role.c.holder == holder)
    if not connection.execute(update(index_role).where(*where).values(role=role)).rowcount:
        connection.execute(insert(index_role).values(project_id=project_id, holder=holder, role=role, created=by.now))
    name = connection.execute(select(index_project.c.name).where(index_project.c.id == project_id)).scalar_one()
    detail = {"holder": holder, "role": role}
    record_by(connection, "index", "role given", name, by, detail)


def _is_spelled_out(user: str) -> bool:
    """Is it what a role hangs on, kind and all, and not a user's name, which has no colon?"""
    return user.partition(":")[0] in _REMEDIES and ":" in user


_REMEDIES = {
    "user": "name them as `creamery user list` does",
    "htpasswd": "add them to the file that index.htpasswd names (`htpasswd FILE NAME`) first",
    "passcode": "the hub knows one, as passcode:havarti, where index.passcode is set",
}


def _somebody(connection: Connection, user: str, outsiders: Outsiders) -> str:
    """What a role of somebody hangs on who can come today.

    Raises:
        OwnershipRefused: nobody can by that name.
    """
    if not _is_spelled_out(user):
        return _user_called(connection, user)
    if not _is_there(connection, user, outsiders):
        raise OwnershipRefused(f"nobody can come as {user[:80]}: {_REMEDIES[user.partition(':')[0]]}")
    return user


def _user_called(connection: Connection, name: str) -> str:
    found = find_user(connection, name)
    if found is None:
        raise OwnershipRefused(f"there is no user {name[:80]}")
    return f"user:{found.id}"


def _holder(connection: Connection, holder: str, role: Role) -> RoleHolder:
    kind, _, rest = holder.partition(":")
    if kind == "user":
        user = _user_numbered(connection, rest)
        return RoleHolder(holder if user is None else user.name, kind, role)
    return RoleHolder(holder, kind, role)


def _is_there(connection: Connection, holder: str, outsiders: Outsiders) -> bool:
    """Can whoever holds a role still come? A role stays when its user is removed, and is nobody's."""
    kind, _, rest = holder.partition(":")
    return _user_numbered(connection, rest) is not None if kind == "user" else outsiders(kind, rest)


def _user_numbered(connection: Connection, digits: str) -> User | None:
    """None: there is no such user; or it is no number as rows have them."""
    return user_by_id(connection, int(digits)) if _USER_NUMBER.fullmatch(digits) else None


_USER_NUMBER = re.compile("[1-9][0-9]{0,17}", re.ASCII)


def _tell(connection: Connection, action: str, pattern: str, by: By) -> None:
    serial = record_by(connection, "index", action, pattern, by)
    for project_id in _ids_under(connection, pattern):
        next_serial(connection, project_id, serial, by.now)
    bump(connection, "index")  # other processes keep the patterns in memory, whether there are such projects or not
    announce(connection, DOUBTED)


def _ids_under(connection: Connection, pattern: str) -> list[int]:
    rows = connection.execute(select(index_project.c.id, index_project.c.name).where(~index_project.c.hosted))
    return [row.id for row in rows if fnmatchcase(row.name, pattern)]


def _upstreams_under(connection: Connection, pattern: str) -> list[ProjectName]:
    query = select(index_project.c.name).where(~index_project.c.hosted, index_project.c.listed)
    names = connection.execute(query.order_by(index_project.c.name)).scalars()
    return [ProjectName(name) for name in names if fnmatchcase(name, pattern)]


def _owned_by(connection: Connection, upstream: str | None) -> list[KnownProject]:
    query = select(index_project.c.name).where(index_project.c.upstream == upstream, ~index_project.c.hosted)
    return [_found(connection, ProjectName(name)) for name in connection.execute(query).scalars().all()]


def _known(connection: Connection, name: ProjectName) -> KnownProject:
    known = locked_project(connection, name)
    if known is None:
        raise OwnershipRefused(f"the hub does not know {name}")
    return known


def _found(connection: Connection, name: ProjectName) -> KnownProject:
    found = find_project(connection, name)
    assert found is not None  # noqa: S101 - projects are never deleted
    return found
