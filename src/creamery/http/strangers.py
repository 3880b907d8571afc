"""Those who are not signed in, where a door is open to them as long as they can only be people of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Literal

from creamery.http.exchange import exchange_of
from creamery.http.forgery import refuse_other_sites
from creamery.http.gate import principal_of, unauthorized
from creamery.settings import Settings

_FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"via")


class Strangers:
    """Whether those who are not signed in are welcome, and where."""

    def __init__(self, settings: Settings, mode: Literal["auto", "on", "off"]) -> None:
        """`mode`: `auto`: as long as the hub listens on loopback alone, and nothing says that a proxy is there."""
        self._mode = mode
        is_alone = settings.listen.uds is None and _is_loopback(settings.listen.host) and not settings.trusted_proxies
        self._is_alone = is_alone
        self._proxy_seen = False

    def are_welcome(self) -> bool:
        """Now?"""
        return self._mode == "on" or (self._mode == "auto" and self._is_alone and not self._proxy_seen)

    def may_list(self) -> bool:
        """May they see what others of them have? Its name is the key where not only this machine's people ask."""
        return self.are_welcome() and self._is_alone and not self._proxy_seen

    def look(self, headers: Mapping[bytes, bytes]) -> None:
        """A request came; one that went through a proxy says that the hub's own address is not all that is reached."""
        if not self._proxy_seen and any(name in headers for name in _FORWARDED):
            self._proxy_seen = True

    def are_welcome_at(self, host: bytes) -> bool:
        """The same for a request to that host: a name that leads to loopback may be another site's (DNS rebinding)."""
        name = host.decode("latin-1").rsplit(":", 1)[0] if not host.endswith(b"]") else host.decode("latin-1")
        return self.are_welcome() and (self._mode == "on" or _is_loopback(name.strip("[]").lower()))

    def refuse(self, scope: Mapping[str, Any]) -> None:
        """Whoever is not signed in is welcome at the hub's own address alone, and not from another site's page.

        Raises:
            Problem: they are not: 401, or what `refuse_other_sites` says.
        """
        headers = exchange_of(scope).headers
        self.look(headers)
        if principal_of(scope).is_known:
            return
        refuse_other_sites(scope)
        if not self.are_welcome_at(headers.get(b"host", b"")):
            raise unauthorized(scope, "This needs a user name and a password or token.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
