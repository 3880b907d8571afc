"""Which addresses may be asked.

An origin that the operator configured may be anywhere. An address that was learned from data (a link, a redirect) must
be public: its name is resolved once, every address behind it is checked, and the connection goes to one of the checked
addresses and to no other, so that a name which changes its mind between check and connection (DNS rebinding) gains
nothing.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from creamery.egress.errors import ForbiddenAddress

Lookup = Callable[[str, int, socket.AddressFamily], Awaitable[list[tuple[socket.AddressFamily, str]]]]
"""Resolve a name for a port: the addresses in the order in which they are to be tried. Raises OSError."""

MAX_URL_LENGTH = 8_000

_SPECIAL = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocols' own, RFC 6890; a cloud keeps its metadata there
        "168.63.129.16/32",  # Azure's metadata and agents; a public address by the books
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "64:ff9b:1::/48",  # NAT64 of one network, RFC 8215
        "100::/64",  # discard, RFC 6666
        "fec0::/10",  # private networks of old, RFC 3879
        "3fff::/20",  # documentation, RFC 9637; not yet known to every Python
        "5f00::/16",  # segment routing, RFC 9602; the same
    )
)
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.ASCII)
_HOST = re.compile(r"[0-9a-z._-]+|[0-9a-f:.]+(%[0-9a-z]+)?", re.ASCII)
_UNSAFE = re.compile(r"[^!-~]", re.ASCII)


@dataclass(frozen=True)
class Origin:
    """A configured origin: it may be anywhere, loopback and private networks included.

    Attributes:
        url: its base address, without user and password.
        hosts: further `host` or `host:port` configured with it, such as its file hosts; without a port, the
            scheme's own.
        authorization: header value that is sent to `url`'s own scheme, host and port, and nowhere else.
    """

    url: str
    hosts: frozenset[str] = frozenset()
    authorization: str | None = field(default=None, repr=False)
    _own: tuple[str, str, int] = field(init=False, repr=False, compare=False)
    _places: frozenset[tuple[str, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = _place(parse_url(self.url))
        places = {own[1:]}
        for host in self.hosts:
            places |= _places_of(host)
        object.__setattr__(self, "_own", own)
        object.__setattr__(self, "_places", frozenset(places))

    @classmethod
    def parse(cls, url: str, hosts: Iterable[str] = ()) -> Origin:
        """Take user and password out of an address and make the header of them (RFC 7617).

        Raises:
            ValueError: the address is no http or https address, or a host cannot be read.
        """
        address = parse_url(url)
        if address.scheme not in {"http", "https"} or not address.raw_host:
            raise ValueError("an origin's address begins with http:// or https:// and names a host")
        authorization = None
        if address.user is not None or address.password is not None:
            pair = f"{address.user or ''}:{address.password or ''}"
            authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        return cls(str(address.with_user(None)), frozenset(hosts), authorization)

    def owns(self, address: URL) -> bool:
        """Is it the origin's own host and port, or one of its further hosts?"""
        return _place(address)[1:] in self._places

    def authorization_for(self, address: URL) -> str | None:
        """The header's value for this address; None where it must not go."""
        return self.authorization if _place(address) == self._own else None


@lru_cache(maxsize=1_024)
def parse_url(text: str, *, encoded: bool = False) -> URL:
    """The library's URL.

    Raises:
        ValueError: it is none; the library itself raises IndexError for `http://[]@`.
    """
    try:
        return URL(text, encoded=encoded)
    except IndexError as error:
        raise ValueError("its host is empty") from error


def read_address(url: str) -> URL:
    """Read an address that may come from anywhere. User and password in it are dropped.

    What is already encoded stays byte by byte as it is (signed addresses break otherwise).

    Raises:
        ForbiddenAddress: it is no http or https address, names no host, or is longer than 8,000 characters.
    """
    if len(url) > MAX_URL_LENGTH:
        raise ForbiddenAddress(url, "", f"it is longer than {MAX_URL_LENGTH:,} characters")
    try:
        address = parse_url(url, encoded=not _UNSAFE.search(url))
        host = address.raw_host or ""
        if address.scheme not in {"http", "https"} or not _HOST.fullmatch(host) or not address.port:
            raise ForbiddenAddress(url, "", "it is no http or https address of a host")
        return address.with_user(None).with_fragment(None)
    except ValueError as error:
        raise ForbiddenAddress(url, "", f"it is no address ({error})") from error


def redirected(address: URL, location: str) -> URL:
    """The address that a redirect leads to (RFC 9110 10.2.2).

    Raises:
        ForbiddenAddress: it is no http or https address, or leads from https to http.
    """
    if len(location) > MAX_URL_LENGTH:
        raise ForbiddenAddress(str(address), "", f"its redirect is longer than {MAX_URL_LENGTH:,} characters")
    try:
        joined = str(address.join(parse_url(location, encoded=not _UNSAFE.search(location))))
    except ValueError as error:
        raise ForbiddenAddress(str(address), "", f"its redirect leads to no address ({error})") from error
    target = read_address(joined)
    if address.scheme == "https" and target.scheme == "http":
        raise ForbiddenAddress(str(target), "", "it is a redirect from https to http")
    return target


def check_literal(address: URL) -> bool:
    """Check a host that is written as a number; False where it is a name and must be resolved.

    Raises:
        ForbiddenAddress: the number is no public address, or is written in a form (`2130706433`, `0x7f.1`) that
            programs read differently.
    """
    host = address.raw_host or ""
    try:
        literal = ip_address(host)
    except ValueError:
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            raise ForbiddenAddress(str(address), host, "its host is a number but no plain IP address") from None
        return False
    reason = why_forbidden(literal)
    if reason:
        raise ForbiddenAddress(str(address), host, f"{host} {reason}")
    return True


def why_forbidden(address: IPv4Address | IPv6Address) -> str | None:
    """Why an address learned from data must not be asked; None where it may."""
    if address in _NAT64:  # on IPv6-only networks every IPv4 host looks like this
        return _why_inner_forbidden(IPv4Address(int(address) & 0xFFFFFFFF))
    if not address.is_global or address.is_private or address.is_link_local or address.is_unspecified:
        return "is not a public address"
    if address.is_multicast or address.is_reserved:
        return "is not an address of one machine"
    if any(address in network for network in _SPECIAL):
        return "is set aside for special use"
    if isinstance(address, IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        return next(filter(None, (_why_inner_forbidden(one) for one in inner if one is not None)), None)
    return None


def _why_inner_forbidden(inner: IPv4Address) -> str | None:
    reason = why_forbidden(inner)
    return f"leads to {inner}, which {reason}" if reason else None


class PinningResolver(AbstractResolver):
    """Hands the connector the addresses of a name: all of them checked (`checked`), or as they are.

    The connector connects to what it was handed and resolves nothing itself.
    """

    def __init__(self, lookup: Lookup | None, *, checked: bool) -> None:
        self._lookup = lookup if lookup is not None else look_up
        self._checked = checked

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve once, check every address.

        Raises:
            ForbiddenAddress: one of the addresses is not public; then none is handed out.
            OSError: the name cannot be resolved.
        """
        found = await self._lookup(host, port, family)
        if not found:
            raise OSError(None, "no address")
        if self._checked:
            check_all(host, (address for _, address in found))
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in found
        ]

    async def check(self, host: str, port: int) -> None:
        """Check a name that somebody else (a proxy) will resolve.

        Raises:
            ForbiddenAddress: one of its addresses, as seen from here, is not public.
            OSError: it cannot be resolved here.
        """
        found = await self._lookup(host, port, socket.AF_UNSPEC)
        check_all(host, (address for _, address in found))

    async def close(self) -> None:
        """Nothing is held."""


def check_all(host: str, addresses: Iterable[str]) -> None:
    """Check every address behind a name.

    Raises:
        ForbiddenAddress: at the first that is not public.
    """
    for text in addresses:
        reason = why_forbidden(ip_address(text))
        if reason:
            raise ForbiddenAddress(
                f"//{host}",
                text,
                f"{text} {reason}; a host in a private network must be configured with its upstream (files)",
            )


async def look_up(host: str, port: int, family: socket.AddressFamily) -> list[tuple[socket.AddressFamily, str]]:
    """The system's own lookup."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [(kind, _with_scope(str(place[0]), place)) for kind, _, _, _, place in found]


def _with_scope(address: str, place: tuple[str | int | bytes, ...]) -> str:
    """A link-local IPv6 address (of a configured origin) is reached through one interface."""
    scope = place[-1] if ":" in address else 0
    return f"{address}%{scope!s}" if scope else address


def _place(address: URL) -> tuple[str, str, int]:
    return address.scheme, (address.raw_host or "").rstrip("."), address.port or 0


def _places_of(host: str) -> set[tuple[str, int]]:
    """`host:port`, or `host` at the ports of http and https."""
    address = parse_url(host if "://" in host else f"//{host}")
    name = address.raw_host
    if not name:
        raise ValueError(f"{host!r} names no host")
    ports = {address.explicit_port} if address.explicit_port else {80, 443}
    return {(name.rstrip("."), port) for port in ports if port}
