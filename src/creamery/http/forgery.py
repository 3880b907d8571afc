"""Requests that another site makes a browser send (CSRF): how they are told from those of the hub's own pages.

Browsers say where a request comes from: `Sec-Fetch-Site` over TLS and on this machine, `Origin` everywhere else
(RFC 6454). A request that comes with a cookie and says neither needs the session's form token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from creamery.http.addresses import base_url
from creamery.http.exchange import exchange_of
from creamery.http.problems import Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_TOKEN = b"x-csrf-token"

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(scope: Mapping[str, Any]) -> Literal["own", "foreign", "unsaid"]:
    """Whose page made the browser ask? Programs do not say."""
    headers = exchange_of(scope).headers
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return "own" if site == b"same-origin" else "foreign"
    origin = headers.get(b"origin")
    if origin is None:
        return "unsaid"
    return "own" if origin.decode("latin-1").lower() == _own_origin(scope) else "foreign"


def refuse_other_sites(scope: Mapping[str, Any]) -> None:
    """For what changes something, whoever asks.

    Raises:
        Problem: 403, where another site's page made the browser ask.
    """
    if scope["method"] not in SAFE_METHODS and origin_of(scope) == "foreign":
        raise Problem(
            403,
            "Asked by another site",
            "The browser says that a page of another site asks for this.",
            remedy=f"Ask from a page of {_own_origin(scope)}. Behind a proxy the hub needs public_url, or"
            " trusted_proxies, to know its own address.",
            headers={"Cache-Control": "no-store"},
        )


def missing_form_token() -> Problem:
    """403, where a cookie came and nothing shows that a page of the hub's own asks."""
    return Problem(
        403,
        "Not from a page of the hub",
        "A cookie came with this, and nothing shows that a page of the hub asks for it.",
        remedy="Send the session's csrf_token as X-CSRF-Token; programs send a token as Authorization instead.",
        headers={"Cache-Control": "no-store"},
    )


def _own_origin(scope: Mapping[str, Any]) -> str:
    """As browsers write it (RFC 6454 section 6.2): without a port that goes without saying."""
    parts = urlsplit(base_url(scope).lower())
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
