"""The hub's own cookies (RFC 6265): how they are read and written.

Over TLS their names begin with `__Host-`: then no other host of the domain, and nobody on the way, can have set them.
They go with requests from the hub's own pages, and with links that lead here; never with other sites' forms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from creamery.http.addresses import base_url
from creamery.http.exchange import exchange_of

SESSION = "creamery-session"
DEVICE = "creamery-device"
SIGN_IN = "creamery-sign-in"


def read_cookie(scope: Mapping[str, Any], name: str) -> str:
    """The value of a cookie of ours; empty where none came, or two: then one of them is somebody else's."""
    header = exchange_of(scope).headers.get(b"cookie")
    if header is None:
        return ""
    wanted = _full_name(scope, name)
    pairs = [pair.strip().partition("=") for pair in header.decode("latin-1").split(";")]
    values = {value for found, _, value in pairs if found == wanted}
    return values.pop() if len(values) == 1 else ""


def set_cookie(scope: Mapping[str, Any], name: str, value: str, seconds: float) -> str:
    """A `Set-Cookie` line for a cookie that scripts cannot read; no seconds take it away.

    Args:
        scope: of the request that is answered.
        name: without what TLS adds.
        value: letters that a cookie may have.
        seconds: how long the browser keeps it.
    """
    secure = "; Secure" if _is_secure(scope) else ""
    return f"{_full_name(scope, name)}={value}; Path=/; Max-Age={int(seconds)}; HttpOnly; SameSite=Lax{secure}"


def _full_name(scope: Mapping[str, Any], name: str) -> str:
    return f"__Host-{name}" if _is_secure(scope) else name


def _is_secure(scope: Mapping[str, Any]) -> bool:
    return base_url(scope).startswith("https://")
