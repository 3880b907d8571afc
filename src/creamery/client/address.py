"""A hub's address, as people write it: `https://hub.example`, perhaps with a path or a password in it."""

from __future__ import annotations

from creamery.client.errors import UnusableInput

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from typing import Literal

EXAMPLE = "An address is like https://hub.example or http://127.0.0.1:8000."

_PORTS = {"http": 80, "https": 443}
_HOST = r"[^\s/?#@\[\]\\%<>\"'`{}|^:]+|[0-9a-f:.]+"
_WORDS = r"[!-~]*"  # neither spaces nor control characters: it becomes a request's line
_IN_NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")
MOST_PORT = 65_535


class HubAddress:
    """Where a hub is. What the address held of a user is not part of it.

    Attributes:
        scheme, host, port: its origin; an IPv6 address has no brackets here.
        path: what stands before `/api/v1`; empty, or with a slash at its beginning alone.
    """

    __slots__ = ("host", "path", "port", "scheme")

    def __init__(self, scheme: Literal["http", "https"], host: str, port: int, path: str = "") -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.path = path

    @property
    def origin(self) -> tuple[str, str, int]:
        """What must stay the same, wherever an answer sends to."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """`host:port`, without the port that goes without saying."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Is it this machine? Nobody else sees what is sent."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        from ipaddress import ip_address  # noqa: PLC0415 - seldom asked before uv has started

        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    def __repr__(self) -> str:
        return f"HubAddress({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HubAddress) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


class User:
    """Who the address says asks: `name:password@`. Never shown."""

    __slots__ = ("name", "password")

    def __init__(self, name: str, password: str | None) -> None:
        self.name = name
        self.password = password

    def __repr__(self) -> str:
        return "User(***)"


def parse_address(text: str) -> tuple[HubAddress, User | None]:
    """Read an address, and who it says asks.

    Raises:
        UnusableInput: it is none; what it holds of a password is not in the text.
    """
    if (plain := _plain(text)) is not None:
        return plain, None
    import re  # noqa: PLC0415 - these take 5 ms of a start, and few addresses need them
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415

    shown = repr(without_user(text))
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:  # its text may quote the password
        raise UnusableInput(f"{shown} is no hub's address: its host or port cannot be read.", EXAMPLE) from None
    if scheme not in {"http", "https"}:
        raise UnusableInput(f"{shown} is no hub's address: it begins with neither http:// nor https://.", EXAMPLE)
    if not host or not re.fullmatch(_HOST, host, re.IGNORECASE) or port == 0:
        raise UnusableInput(f"{shown} is no hub's address: its host or port cannot be read.", EXAMPLE)
    if parts.query or parts.fragment or not re.fullmatch(_WORDS, parts.path, re.ASCII):
        raise UnusableInput(f"{shown} is no hub's address: it ends in a query, or has blanks in it.", EXAMPLE)
    known: Literal["http", "https"] = "https" if scheme == "https" else "http"
    address = HubAddress(known, host, port or _PORTS[known], parts.path.rstrip("/"))
    if parts.username is None:
        return address, None
    return address, User(unquote(parts.username), None if parts.password is None else unquote(parts.password))


def _plain(text: str) -> HubAddress | None:
    """An address of nothing but scheme, host and port, as most are; None: it is another one, or none."""
    scheme, _, rest = text.removesuffix("/").partition("://")
    host, colon, port = rest.partition(":")
    known: Literal["http", "https"] = "https" if scheme == "https" else "http"
    if scheme != known or not host or not _IN_NAMES.issuperset(host):
        return None
    if not colon:
        return HubAddress(known, host, _PORTS[known])
    is_number = port.isascii() and port.isdigit() and len(port) <= len(str(MOST_PORT))
    return HubAddress(known, host, int(port)) if is_number and 0 < int(port) <= MOST_PORT else None


def without_user(text: str) -> str:
    """What may be shown of an address, also of one that is none: neither its user nor what stands behind a `?`."""
    scheme, separator, rest = text.partition("://")
    if not separator or "@" in scheme:
        scheme, separator, rest = "", "", text
    _, at, place = rest.rpartition("@")
    place, mark, _ = place.partition("?")
    return scheme + separator + ("***@" if at else "") + place + ("?***" if mark else "")
