"""Signing in with a browser, one's sessions, oneself; becoming a user, and becoming the first of them."""

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from pydantic import SecretStr
from sqlalchemy import Connection

from creamery.accounts import (
    BadCredentials,
    By,
    ScopeWord,
    User,
    UserChanged,
    add_first,
    add_user,
    check_first_link,
    end_session,
    end_sessions,
    sessions,
    set_password,
    user_by_id,
)
from creamery.door import Hub
from creamery.http import (
    SESSION,
    Problem,
    client_address,
    note,
    presented_by,
    printable,
    read_cookie,
    set_cookie,
)
from creamery.operations.access import user_of
from creamery.operations.api.asking import Asker, Desk, Listed, RowNumber, listed, moment
from creamery.operations.api.shapes import (
    ChangedPassword,
    Credentials,
    Ended,
    FirstAdministrator,
    OpenedSession,
    PasswordChange,
    ShownPrincipal,
    ShownSession,
    ShownUser,
)
from creamery.operations.cookies import agent_of, session_cookies


def router(hub: Hub, _: Mapping[str, ScopeWord]) -> APIRouter:
    """`/first`, `/registrations`, `/sessions` and `/me`."""
    found = APIRouter()
    _strangers(found, hub)
    _own_sessions(found, hub)
    _oneself(found, hub)
    return found


def _strangers(found: APIRouter, hub: Hub) -> None:
    """What nobody needs to be known for."""
    desk, accounts, limits = Desk(hub), hub.accounts, hub.settings.limits

    @found.post("/first", status_code=201, tags=["users"], summary="Become the first administrator, and sign in")
    async def become_first(new: FirstAdministrator, request: Request, response: Response) -> OpenedSession:
        check_first_link(accounts.secret, new.link, limits.first_seconds)
        hashed = await desk.hashed(new.password.get_secret_value())
        user = await desk.write(request, lambda c, by: add_first(c, new.name, hashed, by), actor=new.name)
        return await signed_in(hub, user, request, response, means="first")

    @found.post("/registrations", status_code=201, tags=["users"], summary="Become a user, where that is open")
    async def register(new: Credentials, request: Request) -> ShownUser:
        if not hub.settings.accounts.registrations_open:
            raise Problem(
                403,
                "Registration is closed",
                "Users of this hub are added by its administrators.",
                remedy="Ask one of them; accounts.registrations_open opens it for everybody.",
            )
        accounts.register(client_address(request.scope))
        hashed = await desk.hashed(new.password.get_secret_value())
        added = await desk.write(request, lambda c, by: add_user(c, new.name, hashed, by), actor=new.name)
        return ShownUser.of(added)

    @found.post("/sessions", status_code=201, tags=["sessions"], summary="Sign in")
    async def sign_in(given: Credentials, request: Request, response: Response) -> OpenedSession:
        user = await _known(hub, request, given.name, given.password)
        return await signed_in(hub, user, request, response, means="password")


def _own_sessions(found: APIRouter, hub: Hub) -> None:
    desk, most = Desk(hub), hub.settings.limits.results

    @found.get("/sessions", tags=["sessions"], summary="List one's sessions, the one used last first")
    async def list_sessions(asker: Asker) -> Listed[ShownSession]:
        rows = await desk.read(lambda c: sessions(c, user_of(asker)))
        return listed([ShownSession.of(row, asker.session_id) for row in rows], most, lambda one: str(one.id))

    @found.delete("/sessions", tags=["sessions"], summary="End all of one's sessions but the one that asks")
    async def end_others(asker: Asker, request: Request) -> Ended:
        owner = user_of(asker)

        def end(connection: Connection, by: By) -> int:
            user = user_by_id(connection, owner)
            return 0 if user is None else end_sessions(connection, user, by, but=asker.session_id)

        return Ended(ended=await desk.write(request, end))

    @found.delete("/sessions/{session_id}", status_code=204, tags=["sessions"], summary="End a session; sign out")
    async def end_one(session_id: RowNumber, asker: Asker, request: Request, response: Response) -> None:
        owner = user_of(asker)
        await desk.write(request, lambda c, by: end_session(c, session_id, by, of_user=owner))
        if session_id == asker.session_id:
            response.headers.append("set-cookie", set_cookie(request.scope, SESSION, "", 0))


def _oneself(found: APIRouter, hub: Hub) -> None:
    desk, accounts = Desk(hub), hub.accounts

    @found.get("/me", tags=["users"], summary="Who asks")
    async def show_me(asker: Asker) -> ShownPrincipal:
        user_of(asker)
        csrf_token = None if asker.session_id is None else accounts.form_token(asker.session_id)
        return ShownPrincipal.of(asker, csrf_token)

    @found.put("/me/password", tags=["users"], summary="Change one's password; all other sessions end")
    async def change_password(
        change: PasswordChange, asker: Asker, request: Request, response: Response
    ) -> ChangedPassword:
        user_of(asker)
        known = await _known(hub, request, asker.name, change.current)
        hashed = await desk.hashed(change.new.get_secret_value())

        def work(connection: Connection, by: By) -> User:
            if user_by_id(connection, known.id) != known:
                raise UserChanged(known.name)
            return set_password(connection, known.name, hashed, by)

        user = await desk.write(request, work)
        opened = None
        if asker.session_id is not None:
            opened = await signed_in(hub, user, request, response, means="password")
        return ChangedPassword(user=ShownUser.of(user), csrf_token=None if opened is None else opened.csrf_token)


async def signed_in(hub: Hub, user: User, request: Request, response: Response, *, means: str) -> OpenedSession:
    """Begin a session and give the browser its cookies.

    Raises:
        UserChanged: whoever signs in is not that user any more.
    """
    accounts, agent = hub.accounts, agent_of(request.scope)
    by = By(hub.clock.now(), user.name, client_address(request.scope))
    former = read_cookie(request.scope, SESSION)
    opened = await accounts.open_session(user, by, means=means, agent=agent, former=former)
    for cookie in session_cookies(hub, request.scope, opened):
        response.headers.append("set-cookie", cookie)
    return OpenedSession(
        id=opened.session.id,
        user=ShownUser.of(opened.user),
        expires=moment(opened.session.expires),
        csrf_token=accounts.form_token(opened.session.id),
    )


async def _known(hub: Hub, request: Request, name: str, password: SecretStr) -> User:
    """Whose password it is; why it is nobody's stands in the log alone.

    Raises:
        BadCredentials, Throttled, TooManyLogins: as `Accounts.sign_in`.
    """
    presented = presented_by(request.scope, client_address(request.scope))
    try:
        return await hub.accounts.sign_in(name, password.get_secret_value(), presented)
    except BadCredentials as error:
        note(request.scope, refused=str(error), user=printable(name))
        raise
