"""Everybody, for administrators."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection

from creamery.accounts import (
    By,
    NoSuchAccount,
    ScopeWord,
    User,
    add_user,
    end_sessions,
    find_user,
    remove_user,
    sessions,
    set_admin,
    set_disabled,
    set_password,
    users,
)
from creamery.door import Hub
from creamery.operations.api.asking import AfterName, Desk, Listed, Name, listed
from creamery.operations.api.shapes import Ended, NewUser, ShownSession, ShownUser, UserChange


def router(hub: Hub, _: Mapping[str, ScopeWord]) -> APIRouter:
    """`/users`."""
    found = APIRouter(prefix="/users", tags=["users"])
    desk = Desk(hub)
    most = hub.settings.limits.results

    @found.get("", summary="List users, by name")
    async def list_users(
        after: AfterName = "", limit: Annotated[int, Query(ge=1, le=most)] = most
    ) -> Listed[ShownUser]:
        rows = await desk.read(partial(users, after=after, limit=limit + 1))
        return listed([ShownUser.of(row) for row in rows], limit, lambda user: user.name)

    @found.post("", status_code=201, summary="Add a user")
    async def add(new: NewUser, request: Request) -> ShownUser:
        hashed = None if new.password is None else await desk.hashed(new.password.get_secret_value())
        return ShownUser.of(
            await desk.write(request, lambda c, by: add_user(c, new.name, hashed, by, is_admin=new.is_admin))
        )

    @found.get("/{name}", summary="Show a user")
    async def show(name: Name) -> ShownUser:
        return ShownUser.of(await desk.read(partial(user_named, name=name)))

    @found.patch("/{name}", summary="Change a user")
    async def change(name: Name, wanted: UserChange, request: Request) -> ShownUser:
        password = wanted.password
        hashed = None if password is None else await desk.hashed(password.get_secret_value())
        return ShownUser.of(await desk.write(request, lambda c, by: _changed(c, name, wanted, hashed, by)))

    @found.delete("/{name}", status_code=204, summary="Remove a user, with tokens and sessions")
    async def remove(name: Name, request: Request) -> None:
        await desk.write(request, lambda c, by: remove_user(c, name, by))

    @found.get("/{name}/sessions", summary="List a user's sessions, the one used last first")
    async def list_sessions(name: Name) -> Listed[ShownSession]:
        rows = await desk.read(lambda c: sessions(c, user_named(c, name).id))
        return listed([ShownSession.of(row, None) for row in rows], most, lambda session: str(session.id))

    @found.delete("/{name}/sessions", summary="End all sessions of a user")
    async def end_all(name: Name, request: Request) -> Ended:
        return Ended(ended=await desk.write(request, lambda c, by: end_sessions(c, user_named(c, name), by)))

    return found


def user_named(connection: Connection, name: str) -> User:
    """A user who is there.

    Raises:
        NoSuchAccount: there is none of that name.
    """
    user = find_user(connection, name)
    if user is None:
        raise NoSuchAccount("user", name)
    return user


def _changed(connection: Connection, name: str, wanted: UserChange, hashed: str | None, by: By) -> User:
    """All or nothing: it is one transaction."""
    user = user_named(connection, name)
    if hashed is not None:
        user = set_password(connection, name, hashed, by)
    if wanted.is_admin is not None and wanted.is_admin != user.is_admin:
        user = set_admin(connection, name, by, is_admin=wanted.is_admin)
    if wanted.disabled is not None and wanted.disabled != user.disabled:
        user = set_disabled(connection, name, by, disabled=wanted.disabled)
    return user
