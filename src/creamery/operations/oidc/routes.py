"""Signing in with OpenID Connect on the wire.

| path | answer |
|---|---|
| `/login/oidc?next=/path` | to the provider, with a cookie that tells this sign-in from all others |
| `/login/oidc/callback` | where the provider sends the browser back to: a session, and on to `next` |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from creamery.accounts import By, IdentityTaken, NotKnownHere, UserDisabled
from creamery.accounts.oidc import Attempt, AttemptOver, SignIn, SignInFailed
from creamery.door import Hub
from creamery.http import (
    PUBLIC,
    SESSION,
    SIGN_IN,
    Problem,
    Route,
    base_url,
    client_address,
    is_local_path,
    note,
    read_cookie,
    set_cookie,
)
from creamery.operations.cookies import agent_of, session_cookies
from creamery.telemetry import log

BEGIN = "/login/oidc"
CALLBACK = "/login/oidc/callback"

_FAILURES = (SignInFailed, NotKnownHere, UserDisabled, IdentityTaken)


class Routes:
    """The endpoints; without a provider in the settings there is nothing at their addresses."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        settings = hub.settings.accounts
        issuer = settings.oidc_issuer
        limits = hub.settings.limits
        self._sign_in = SignIn(settings, issuer, hub.egress, hub.pools, limits, hub.clock) if issuer else None

    def table(self) -> tuple[Route, ...]:
        """What is answered."""
        return (
            Route(("GET",), BEGIN, self.begin, PUBLIC),
            Route(("GET",), CALLBACK, self.come_back, PUBLIC),
        )

    async def begin(self, request: Request) -> Response:
        """Sign in at the provider of `accounts.oidc_issuer`, then go to `next`, a path of the hub's."""
        sign_in = self._provider()
        after = _once(request).get("next", "/")
        if not is_local_path(after):
            raise Problem(
                400,
                "Not a page of this hub",
                "After signing in one goes to a page of this hub, and next is none.",
                remedy="Give a path that begins with one slash, its other characters encoded: next=/account",
                headers={"Cache-Control": "no-store"},
            )
        attempt = Attempt.begin(after)
        try:
            address = await sign_in.address(attempt, _redirect_uri(request))
        except SignInFailed as error:
            _noted(request, error)
            raise
        hub = self._hub
        seconds = hub.settings.limits.sign_in_seconds
        return _to(address, set_cookie(request.scope, SIGN_IN, attempt.cookie(hub.accounts.secret), seconds))

    async def come_back(self, request: Request) -> Response:
        """Where the provider sends the browser back to: begins a session, and goes on to `next`."""
        sign_in = self._provider()
        hub, scope = self._hub, request.scope
        registers, address = hub.settings.accounts.oidc_register, client_address(scope)
        try:
            brought = _once(request)
            attempt = Attempt.resume(
                hub.accounts.secret,
                read_cookie(scope, SIGN_IN),
                brought.get("state", ""),
                hub.settings.limits.sign_in_seconds,
            )
            hub.accounts.came_back(address)
            claimed = await sign_in.finish(attempt, brought, _redirect_uri(request))
            opened = await hub.accounts.sign_in_claimed(
                claimed,
                By(hub.clock.now(), origin=address),
                registers=registers,
                agent=agent_of(scope),
                former=read_cookie(scope, SESSION),
            )
        except _FAILURES as error:
            _noted(request, error)
            raise
        note(request, user=opened.user.name)
        return _to(attempt.next, set_cookie(scope, SIGN_IN, "", 0), *session_cookies(hub, scope, opened))

    def _provider(self) -> SignIn:
        if self._sign_in is None:
            raise Problem(
                404,
                "Not found",
                "Nobody signs in here with OpenID Connect.",
                remedy="Whoever runs the hub can set accounts.oidc_issuer.",
            )
        return self._sign_in


def _redirect_uri(request: Request) -> str:
    return base_url(request.scope) + CALLBACK


def _once(request: Request) -> Mapping[str, str]:
    """What stands in the address; what is there twice has no meaning (RFC 6749 section 3.1).

    Raises:
        AttemptOver: something is.
    """
    pairs = request.query_params.multi_items()
    found = dict(pairs)
    if len(found) != len(pairs):
        raise AttemptOver("the address that the browser was sent to says a thing twice")
    return found


def _to(address: str, *cookies: str) -> Response:
    response = Response(status_code=303, headers={"Location": address, "Cache-Control": "no-store"})
    response.headers["Referrer-Policy"] = "no-referrer"
    for cookie in cookies:
        response.headers.append("set-cookie", cookie)
    return response


def _noted(request: Request, error: Exception) -> None:
    """The reason, for whoever runs the hub; it holds no code and no token."""
    reason: dict[str, Any] = {"kind": type(error).__name__, "reason": str(error)}
    note(request, refused=reason["reason"])
    log.warning("accounts.oidc_refused", **reason)
