"""Who asks, and under which address: what a proxy in front says counts only where `trusted_proxies` names it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

UNIX = "unix"

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[(?P<v6>[0-9A-Fa-f:.]{2,45})\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_HIGHEST_PORT = 65_535

_LOCAL_PATH = re.compile(r"/(?!/)[!-\[\]-~]{0,1999}", re.ASCII)


class Proxies:
    """What the hub knows of the proxies in front of it.

    Args:
        trusted: networks (`10.0.0.0/8`, `127.0.0.1`) or `unix`, for whoever comes through the Unix socket.
        public_url: the hub's address as its users see it, where it is set.

    Raises:
        ValueError: a network that is none.
    """

    def __init__(self, trusted: Iterable[str] = (), public_url: str | None = None) -> None:
        names = tuple(trusted)
        self._unix = UNIX in names
        self._networks = tuple(_network(name) for name in names if name != UNIX)
        self._public_url = public_url.rstrip("/") if public_url else None
        self._trusts = lru_cache(1024)(self._is_in_a_network)

    def client(self, scope: Mapping[str, Any]) -> str:
        """The client's address: the peer's, or the nearest one in X-Forwarded-For that no trusted proxy has."""
        peer = scope.get("client")
        address = str(peer[0]) if peer else UNIX
        if not self._is_trusted(address):
            return address
        forwarded = _header(scope, b"x-forwarded-for")
        for hop in reversed(forwarded.split(",")) if forwarded else ():
            name = _without_port(hop.strip())
            if not _is_address(name):
                break  # whoever wrote it, nothing left of it can be believed
            address = name
            if not self._is_trusted(name):
                break
        return address

    def base_url(self, scope: Mapping[str, Any]) -> str:
        """`https://host`, without a path's slash at the end: `public_url`, else as this request came in."""
        if self._public_url is not None:
            return self._public_url
        scheme = str(scope.get("scheme", "http"))
        host = _header(scope, b"host")
        peer = scope.get("client")
        if self._is_trusted(str(peer[0]) if peer else UNIX):
            scheme = _first(_header(scope, b"x-forwarded-proto"), {"http", "https"}) or scheme
            host = _header(scope, b"x-forwarded-host") or host
        if host is None or not _is_host(host):
            server = scope.get("server") or ("localhost", None)
            name = f"[{server[0]}]" if ":" in server[0] else server[0]
            host = f"{name}:{server[1]}" if server[1] else "localhost"
        return f"{scheme}://{host}"

    def _is_trusted(self, address: str) -> bool:
        if address == UNIX:
            return self._unix
        return bool(self._networks) and self._trusts(address)

    def _is_in_a_network(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)  # ::ffff:10.0.0.1, as a dual-stack listener sees 10.0.0.1
        return any((mapped or parsed) in network for network in self._networks)


def _network(name: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(name, strict=False)
    except ValueError as error:
        raise ValueError(f"trusted_proxies: {name!r} is no network; write 10.0.0.0/8, 127.0.0.1 or unix") from error


def is_host(header: bytes) -> bool:
    """Is it a name or an address, perhaps with a port?"""
    return _is_host(header.decode("latin-1"))


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    if match is None or int(match["port"] or 0) > _HIGHEST_PORT:
        return False
    return match["v6"] is None or _is_address(match["v6"])


def is_local_path(text: str) -> bool:
    r"""Does a browser that is sent there stay here?

    It would not after `//other.host`, nor `/\other.host`, which browsers read in the same way; and of what is no
    printable ASCII some of them leave out a part (WHATWG URL, section 4.4), so all of it has to be encoded.
    """
    return _LOCAL_PATH.fullmatch(text) is not None


def client_address(scope: Mapping[str, Any]) -> str:
    """The address of who asks; takes a Starlette request as well as its scope. It never grants a right."""
    return _proxies(scope).client(scope)


def base_url(scope: Mapping[str, Any]) -> str:
    """The hub's own address for absolute links; relative ones are better wherever a protocol allows them."""
    return _proxies(scope).base_url(scope)


def _proxies(scope: Mapping[str, Any]) -> Proxies:
    proxies = scope["creamery"].hub.proxies
    assert isinstance(proxies, Proxies)  # noqa: S101 - the application put it there
    return proxies


def _header(scope: Mapping[str, Any], name: bytes) -> str | None:
    values = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return ",".join(values) if values else None


def _first(header: str | None, allowed: set[str]) -> str | None:
    value = header.partition(",")[0].strip().lower() if header else None
    return value if value in allowed else None


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    name, colon, port = hop.rpartition(":")
    return name if colon and port.isdigit() and ":" not in name else hop


def _is_address(name: str) -> bool:
    """Without a zone (`fe80::1%eth0`): it says nothing on another machine, and may be of any length."""
    if "%" in name:
        return False
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
