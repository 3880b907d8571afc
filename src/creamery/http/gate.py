"""Who comes in: a request's credentials, as accounts see them, and what the wire answers where they do not do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.types import Scope

from creamery.accounts import (
    ANONYMOUS,
    Accounts,
    BadCredentials,
    By,
    Presented,
    Principal,
    Thing,
    Throttled,
    TooManyLogins,
)
from creamery.clock import Micros
from creamery.http.addresses import Proxies, client_address
from creamery.http.cookies import DEVICE, SESSION, read_cookie
from creamery.http.exchange import exchange_of, note
from creamery.http.forgery import FORM_TOKEN, SAFE_METHODS, missing_form_token, origin_of
from creamery.http.problems import Problem

CHALLENGE = {"WWW-Authenticate": 'Basic realm="Creamery", charset="UTF-8"', "Cache-Control": "no-store"}
"""What pip, uv and browsers answer with a name and a password (RFC 7617)."""
API_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="Creamery"', "Cache-Control": "no-store"}
"""What makes no browser ask for a password in a window of its own, over a page that has a form for it (RFC 6750)."""

WRONG = "The user name, password or token is not right, or no longer."

_API = b"/api/v1/"


class Gate:
    """Lets in whom a route's declaration lets in."""

    def __init__(self, accounts: Accounts, proxies: Proxies) -> None:
        self._accounts = accounts
        self._proxies = proxies

    def is_declared(self, action: str) -> bool:
        """Has a door said who may do it?"""
        return self._accounts.is_declared(action)

    def is_open(self, action: str) -> bool:
        """May anyone do it? Then nobody's credentials are looked at: a proxy in front may have asked for its own."""
        return self._accounts.is_open(action)

    async def admit(self, scope: Scope, door: str, action: str, thing: Thing) -> None:
        """Find out who asks, and whether they may ask here at all.

        Raises:
            Problem: 401 with a challenge, 403, 429, 503.
        """
        principal = await self._principal(scope, door)
        if not self._accounts.may(principal, action, thing):
            if not principal.is_known:
                raise unauthorized(scope, "This needs a user name and a password or token.")
            raise Problem(
                403,
                "Forbidden",
                f"{principal.name} may not do this ({action}).",
                remedy="Whoever runs the hub can give the right; a token has it only if its scopes name it.",
                headers={"Cache-Control": "no-store"},
            )
        if principal.session_id is not None and scope["method"] not in SAFE_METHODS:
            self._refuse_forged(scope, principal)

    @staticmethod
    def has_credentials(scope: Scope) -> bool:
        """Did anything come to be known by?"""
        headers = exchange_of(scope).headers
        return b"authorization" in headers or b"cookie" in headers

    async def recognise(self, scope: Scope, door: str) -> None:
        """Find out who asks where anyone may; credentials that are none of ours may have been meant for a proxy.

        Raises:
            Problem: 429, 503, as above.
        """
        try:
            await self._principal(scope, door)
        except Problem as problem:
            if problem.status != HTTPStatus.UNAUTHORIZED:
                raise

    def _refuse_forged(self, scope: Scope, principal: Principal) -> None:
        """A cookie comes along whoever makes the browser ask."""
        origin = origin_of(scope)
        token = exchange_of(scope).headers.get(FORM_TOKEN, b"").decode("latin-1")
        if origin == "foreign" or (origin == "unsaid" and not self._accounts.is_form_token(principal, token)):
            raise missing_form_token()

    async def _principal(self, scope: Scope, door: str) -> Principal:
        exchange = exchange_of(scope)
        authorization = exchange.headers.get(b"authorization")
        if authorization is None and (b"cookie" not in exchange.headers or not read_cookie(scope, SESSION)):
            return ANONYMOUS
        presented = presented_by(scope, self._proxies.client(scope), door)
        try:
            principal = await self._accounts.authenticate(presented)
        except BadCredentials as error:
            note(scope, refused=str(error))
            if authorization is None:
                return ANONYMOUS  # browsers go on sending the cookie of a session that has ended
            raise unauthorized(scope, WRONG) from error
        note(scope, user=principal.name)
        exchange.principal = principal
        return principal


def by_of(scope: Mapping[str, Any], now: Micros, actor: str | None = None) -> By:
    """Who asks, from where, for the journal; `actor` is who that is, where nobody is signed in."""
    principal = principal_of(scope)
    name = principal.name if principal.token_id is None else f"{principal.name} (token {principal.token_id})"
    return By(now, actor or name, client_address(scope))


def principal_of(scope: Mapping[str, Any]) -> Principal:
    """Who asks; takes a Starlette request as well as its scope. `ANONYMOUS` where nobody was asked for credentials."""
    return exchange_of(scope).principal or ANONYMOUS


def presented_by(scope: Mapping[str, Any], address: str, door: str = "") -> Presented:
    """What a request brought to be known by, from that address, at that door."""
    headers = exchange_of(scope).headers
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    if b"cookie" not in headers:
        return Presented(authorization, address, door)
    return Presented(authorization, address, door, read_cookie(scope, SESSION), read_cookie(scope, DEVICE))


def unauthorized(scope: Mapping[str, Any], detail: str) -> Problem:
    """401, with a challenge that whoever asks can answer."""
    challenge = API_CHALLENGE if scope["raw_path"].startswith(_API) else CHALLENGE
    return Problem(401, "Unauthorized", detail, remedy="Make a token, and give it as the password.", headers=challenge)


def too_many_tries(error: Throttled) -> Problem:
    """429, until the next password is looked at."""
    return Problem(
        429,
        "Too many tries",
        "There were too many tries for this account, or from this address.",
        remedy="Wait, then try once more; a token is not slowed down.",
        headers={"Retry-After": str(int(error.seconds) + 1), "Cache-Control": "no-store"},
    )


def too_many_logins(_: TooManyLogins) -> Problem:
    """503, as long as so many passwords wait."""
    return Problem(
        503,
        "Busy",
        "Too many sign-ins wait to be looked at.",
        remedy="Ask again in a moment; a token does not wait.",
        headers={"Retry-After": "1"},
    )
