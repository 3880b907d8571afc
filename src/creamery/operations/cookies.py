"""The cookies that a browser gets with a session, however its user has signed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from creamery.accounts import SignedIn
from creamery.door import Hub
from creamery.http import DEVICE, SESSION, exchange_of, set_cookie


def session_cookies(hub: Hub, scope: Mapping[str, Any], opened: SignedIn) -> tuple[str, str]:
    """Two `Set-Cookie` lines: the session, and the browser as one where this user has signed in."""
    accounts, limits = hub.accounts, hub.settings.limits
    return (
        set_cookie(scope, SESSION, accounts.session_cookie(opened), limits.session_seconds),
        set_cookie(scope, DEVICE, accounts.device_cookie(opened.user), limits.device_seconds),
    )


def agent_of(scope: Mapping[str, Any]) -> str:
    """The browser's name for itself, for people to know their sessions by."""
    return exchange_of(scope).headers.get(b"user-agent", b"").decode("latin-1")
