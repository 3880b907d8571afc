"""Adding, changing and removing users and groups: what is allowed, what goes along, what the journal says.

Each function is a write of the committer's; what it changes holds in every process before its caller is answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from creamery.accounts import tables
from creamery.accounts.changes import rights_changed
from creamery.accounts.names import check_account_name
from creamery.accounts.sessions import end_sessions
from creamery.accounts.tables import Group, User
from creamery.clock import Micros
from creamery.journal import By


class NameTaken(Exception):
    """A user or a group is called so already, in this or another case."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a {name!r} already; names are compared without regard to case")


class NoSuchAccount(LookupError):
    """There is no user or group of that name."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"there is no {kind} {name!r}")


class LastAdministrator(Exception):
    """Nobody would be left who may administer the hub."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is the last administrator who can get in; make somebody else one first")


def add_user(connection: Connection, name: str, password: str | None, by: By, *, is_admin: bool = False) -> User:
    """A new user; `password` is hashed already, and None where nobody gets in with one.

    Raises:
        InvalidAccountName: nobody can be called so.
        NameTaken: somebody is.
    """
    check_account_name(name)
    if tables.find_user(connection, name) is not None:
        raise NameTaken(name)
    try:
        user_id = tables.insert_user(connection, name, password, is_admin=is_admin, now=by.now)
    except IntegrityError as error:  # another process was faster
        raise NameTaken(name) from error
    _changed(connection, "user added", name, by, admin=is_admin)
    return _user_by_id(connection, user_id)


def set_password(connection: Connection, name: str, password: str, by: By) -> User:
    """Another password, hashed already; whoever was in with the old one is out, sessions included.

    Raises:
        NoSuchAccount: there is no such user.
    """
    user = _user(connection, name)
    tables.change_user(connection, user.id, by.now, password=password)
    end_sessions(connection, user, by, reason="password changed")
    _changed(connection, "password changed", user.name, by)
    return _user_by_id(connection, user.id)


def set_admin(connection: Connection, name: str, by: By, *, is_admin: bool) -> User:
    """Make somebody an administrator, or one no more.

    Raises:
        NoSuchAccount: there is no such user.
        LastAdministrator: nobody would be left.
    """
    user = _user(connection, name)
    with _somebody_is_left(connection, user, by.now):
        tables.change_user(connection, user.id, by.now, is_admin=is_admin)
    _changed(connection, "made administrator" if is_admin else "administrator no more", user.name, by)
    return _user_by_id(connection, user.id)


def set_disabled(connection: Connection, name: str, by: By, *, disabled: bool) -> User:
    """Keep somebody out, tokens included, or let them in again; sessions end for good.

    Raises:
        NoSuchAccount: there is no such user.
        LastAdministrator: nobody would be left.
    """
    user = _user(connection, name)
    with _somebody_is_left(connection, user, by.now):
        tables.change_user(connection, user.id, by.now, disabled=disabled)
    if disabled:
        end_sessions(connection, user, by, reason="user disabled")
    _changed(connection, "user disabled" if disabled else "user enabled", user.name, by)
    return _user_by_id(connection, user.id)


def remove_user(connection: Connection, name: str, by: By) -> User:
    """Delete somebody with tokens and memberships; what they did stays in the journal.

    Raises:
        NoSuchAccount: there is no such user.
        LastAdministrator: nobody would be left.
    """
    user = _user(connection, name)
    with _somebody_is_left(connection, user, by.now):
        tables.delete_user(connection, user.id)
    _changed(connection, "user removed", user.name, by)
    return user


def add_group(connection: Connection, name: str, by: By) -> Group:
    """A new group, without members.

    Raises:
        InvalidAccountName: nothing can be called so.
        NameTaken: one is.
    """
    check_account_name(name)
    if tables.find_group(connection, name) is not None:
        raise NameTaken(name)
    try:
        tables.insert_group(connection, name, by.now)
    except IntegrityError as error:
        raise NameTaken(name) from error
    _changed(connection, "group added", name, by)
    return find_group(connection, name)


def remove_group(connection: Connection, name: str, by: By) -> Group:
    """Delete a group.

    Raises:
        NoSuchAccount: there is no such group.
    """
    group = find_group(connection, name)
    tables.delete_group(connection, group.id)
    _changed(connection, "group removed", group.name, by, members=group.members)
    return group


def add_members(connection: Connection, group: str, names: Iterable[str], by: By) -> Group:
    """Put users into a group; who is in it stays in it, whatever a provider says from now on.

    Raises:
        NoSuchAccount: there is no such group, or no such user.
    """
    into = find_group(connection, group)
    for user in {user.id: user for user in (_user(connection, name) for name in names)}.values():
        if user.name not in into.members:
            tables.insert_member(connection, into.id, user.id)
            _changed(connection, "member added", into.name, by, user=user.name)
        elif tables.own_member(connection, into.id, user.id):
            _changed(connection, "member kept", into.name, by, user=user.name)
    return find_group(connection, group)


def remove_members(connection: Connection, group: str, names: Iterable[str], by: By) -> Group:
    """Take users out of a group; who is not in it stays out.

    Raises:
        NoSuchAccount: there is no such group, or no such user.
    """
    out_of = find_group(connection, group)
    for user in [_user(connection, name) for name in names]:
        if tables.delete_member(connection, out_of.id, user.id):
            _changed(connection, "member removed", out_of.name, by, user=user.name)
    return find_group(connection, group)


def find_group(connection: Connection, name: str) -> Group:
    """A group that is there.

    Raises:
        NoSuchAccount: it is not.
    """
    group = tables.find_group(connection, name)
    if group is None:
        raise NoSuchAccount("group", name)
    return group


def _user(connection: Connection, name: str) -> User:
    user = tables.find_user(connection, name)
    if user is None:
        raise NoSuchAccount("user", name)
    return user


def _user_by_id(connection: Connection, user_id: int) -> User:
    user = tables.user_by_id(connection, user_id)
    assert user is not None  # noqa: S101 - written in this transaction
    return user


@contextmanager
def _somebody_is_left(connection: Connection, changed: User, now: Micros) -> Iterator[None]:
    """Around a change of a user: it does not take the last administrator away, nor the last who can get in.

    Writers take turns, so two cannot both be the one before the last.
    """
    before = tables.administrators(connection, now)
    yield
    if any(had and not has for had, has in zip(before, tables.administrators(connection, now), strict=True)):
        raise LastAdministrator(changed.name)


def _changed(connection: Connection, action: str, subject: str, by: By, **detail: Any) -> None:
    rights_changed(connection, action, subject, by, detail)
