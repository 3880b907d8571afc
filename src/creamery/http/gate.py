"""Who comes in: a request's credentials, as accounts see them, and what the wire answers where they do not do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import Scope

from creamery.accounts import (
    ANONYMOUS,
    Accounts,
    BadCredentials,
    Presented,
    Principal,
    Thing,
    Throttled,
    TooManyLogins,
)
from creamery.http.addresses import Proxies
from creamery.http.exchange import exchange_of, note
from creamery.http.problems import Problem

CHALLENGE = {"WWW-Authenticate": 'Basic realm="Creamery", charset="UTF-8"', "Cache-Control": "no-store"}
"""What pip, uv and browsers answer with a name and a password (RFC 7617)."""


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

    async def admit(self, scope: Scope, door: str, action: str, kind: str) -> None:
        """Find out who asks, and whether they may ask here at all.

        Raises:
            Problem: 401 with a challenge, 403, 429, 503.
        """
        principal = await self._principal(scope, door)
        if not self._accounts.may(principal, action, Thing(kind)):
            if not principal.is_known:
                raise _unauthorized("This needs a user name and a password or token.")
            raise Problem(
                403,
                "Forbidden",
                f"{principal.name} may not do this ({action}).",
                remedy="Whoever runs the hub can give the right; a token has it only if its scopes name it.",
                headers={"Cache-Control": "no-store"},
            )

    async def _principal(self, scope: Scope, door: str) -> Principal:
        exchange = exchange_of(scope)
        authorization = exchange.headers.get(b"authorization")
        if authorization is None:
            return ANONYMOUS
        presented = Presented(authorization.decode("latin-1"), self._proxies.client(scope), door)
        try:
            principal = await self._accounts.authenticate(presented)
        except BadCredentials as error:
            note(scope, refused=str(error))
            raise _unauthorized("The user name, password or token is not right, or no longer.") from error
        except Throttled as error:
            raise Problem(
                429,
                "Too many tries",
                "There were too many wrong passwords for this account, or from this address.",
                remedy="Wait, then try once more; a token is not slowed down.",
                headers={"Retry-After": str(int(error.seconds) + 1), "Cache-Control": "no-store"},
            ) from error
        except TooManyLogins as error:
            raise Problem(
                503,
                "Busy",
                "Too many passwords wait to be looked at.",
                remedy="Ask again in a moment; a token does not wait.",
                headers={"Retry-After": "1"},
            ) from error
        note(scope, user=principal.name)
        exchange.principal = principal
        return principal


def principal_of(scope: Mapping[str, Any]) -> Principal:
    """Who asks; takes a Starlette request as well as its scope. `ANONYMOUS` where nobody was asked for credentials."""
    return exchange_of(scope).principal or ANONYMOUS


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "Unauthorized", detail, remedy="Make a token, and give it as the password.", headers=CHALLENGE)
