"""WebDAV's own request headers, apart from `If`: Depth, Overwrite, Timeout, Destination, Lock-Token, Prefer, Brief.

Standards: RFC 4918 section 10, RFC 7240 and RFC 8144 (Prefer). Values are texts as `http.header_of` gives them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from creamery.limits import Limits

Depth = Literal["0", "1", "infinity"]

INFINITE: tuple[Depth, ...] = ("infinity",)
"""What methods take that go all the way down or not at all."""

_DEPTHS: dict[str, Depth] = {"0": "0", "1": "1", "infinity": "infinity"}
_MAX_DIGITS = 18  # int() refuses 5,000 of them, so they are never given to it

_ADDRESS = re.compile(r"https?://([^/]+)(/.*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]@:\s]+)(?::([0-9]*))?", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_SECONDS = re.compile(r"second-([0-9]+)", re.ASCII)
_CODED_URL = re.compile(r"[ \t]*<([^<>\x00-\x20\x7f]+)>[ \t]*")


class BadHeader(ValueError):
    """A header cannot be read, or is missing where the method needs it (400).

    Attributes:
        header: which.
    """

    def __init__(self, header: str, sentence: str) -> None:
        self.header = header
        super().__init__(sentence)


class ForeignDestination(ValueError):
    """A Destination on another server, to which nothing is copied from here (502).

    Attributes:
        authority: host and port of that server.
    """

    def __init__(self, authority: str) -> None:
        self.authority = authority
        super().__init__(
            f"The destination is on {authority[:80]!r}, which is not this hub: name it as this request's own address"
            " names it, or set public_url"
        )


@dataclass(frozen=True, slots=True)
class Preferences:
    """How somebody would like the answer.

    Attributes:
        minimal: without what is not there (RFC 8144 section 2).
        noroot: without the folder itself that was asked (RFC 8144 section 3).
    """

    minimal: bool = False
    noroot: bool = False

    @property
    def applied(self) -> str:
        """The value of `Preference-Applied`; empty where there is nothing to say."""
        said = [("return=minimal", self.minimal), ("depth-noroot", self.noroot)]
        return ", ".join(preference for preference, is_meant in said if is_meant)


def parse_depth(
    value: str | None, *, default: Depth = "infinity", allowed: tuple[Depth, ...] = ("0", "1", "infinity")
) -> Depth:
    """How far down a method goes (RFC 4918 section 10.2).

    Args:
        value: of the header.
        default: what no header means.
        allowed: by this method: LOCK takes no 1, MOVE and DELETE of a folder infinity alone.

    Raises:
        BadHeader: another value, or one that is not allowed.
    """
    if value is None:
        return default
    depth = _DEPTHS.get(value.strip().lower())
    if depth is None or depth not in allowed:
        raise BadHeader("Depth", f"The Depth {value[:20]!r} is not one of {', '.join(allowed)} as this method has it")
    return depth


def parse_overwrite(value: str | None) -> bool:
    """May COPY and MOVE replace what is there? Yes, unless it says `F` (RFC 4918 section 10.6).

    Raises:
        BadHeader: neither T nor F.
    """
    letter = "t" if value is None else value.strip().lower()
    if letter not in {"t", "f"}:
        raise BadHeader("Overwrite", "The Overwrite header is 'T' or 'F'")
    return letter == "t"


def parse_timeout(value: str | None, limits: Limits) -> int:
    """For how many seconds a lock is granted (RFC 4918 section 10.7).

    Of a list such as `Infinite, Second-4100000000` the first that is understood; it is a wish, so one that is not is
    no error. At least one second, at most `limits.dav_lock_most_seconds`; without one `limits.dav_lock_seconds`.
    """
    most = int(limits.dav_lock_most_seconds)
    wished = int(limits.dav_lock_seconds)
    for wish in (value or "").lower().split(","):
        if wish.strip() == "infinite":
            wished = most
            break
        if found := _SECONDS.fullmatch(wish.strip()):
            digits = found[1].lstrip("0")
            wished = most if len(digits) > _MAX_DIGITS else int(digits or "0")
            break
    return max(1, min(wished, most))


def parse_destination(value: str | None, authorities: Collection[str]) -> bytes:
    """Where COPY and MOVE go: the path, raw as it was sent (RFC 4918 section 10.3).

    Args:
        value: of the header: an address, or an absolute path.
        authorities: those that are this hub, each as `host` or `host:port`: of the Host header, of a trusted proxy's
            X-Forwarded-Host, of `public_url`.

    Raises:
        BadHeader: none, or no address of HTTP, or one with a query or fragment.
        ForeignDestination: on another host or port.
    """
    if value is None:
        raise BadHeader("Destination", "COPY and MOVE need a Destination header: the address of the copy")
    return path_of(value, authorities, "Destination")


def path_of(address: str, authorities: Collection[str], header: str = "If") -> bytes:
    """The raw path of an address or absolute path in a header, such as a tag in `If`.

    The scheme does not matter: clients speak TLS with the proxy before us. Nor do the ports 80 and 443, which some
    write and others do not.

    Raises:
        BadHeader: no address of HTTP, or one with a query or fragment. `header` is named in it.
        ForeignDestination: on another host or port.
    """
    address = address.strip(" \t")
    if "?" in address or "#" in address or _CONTROL.search(address):
        raise BadHeader(header, f"The address in {header} has a query, a fragment or a control character: leave it out")
    if not address.startswith("/"):
        found = _ADDRESS.fullmatch(address)
        authority = None if found is None else _normal(found[1])
        if found is None or authority is None:
            raise BadHeader(header, f"The address in {header} is neither http(s)://host/path nor an absolute path")
        if authority not in {_normal(own) for own in authorities}:
            raise ForeignDestination(found[1])
        address = found[2] or "/"
    elif address.startswith("//"):
        raise BadHeader(header, f"The path in {header} begins with two slashes: write one")
    return address.encode("latin-1", "replace")


def _normal(authority: str) -> str | None:
    """Host and port in one spelling; None where they are none, or begin with a user."""
    found = _AUTHORITY.fullmatch(authority.lower())
    if found is None:
        return None
    host, port = found[1], (found[2] or "").lstrip("0")
    return host if port in {"", "80", "443"} else f"{host}:{port}"


def parse_lock_token(value: str | None) -> str:
    """Which lock UNLOCK ends: the token without its angle brackets (RFC 4918 section 10.5).

    Raises:
        BadHeader: none, or not one token in angle brackets.
    """
    found = _CODED_URL.fullmatch(value or "")
    if found is None:
        raise BadHeader(
            "Lock-Token", "UNLOCK needs a Lock-Token header with the token in angle brackets: <urn:uuid:...>"
        )
    return found[1]


def parse_prefer(prefer: str | None, brief: str | None = None) -> Preferences:
    """What `Prefer` and its elder `Brief: t` ask for; what is not known in them is passed over (RFC 7240 section 2)."""
    wishes: dict[str, str] = {}
    for wish in (prefer or "").lower().split(","):  # a comma in quotes would begin another: of no wish that we know
        name, _, value = wish.partition(";")[0].partition("=")
        wishes.setdefault(name.strip(), value.strip().strip('"'))  # the first of a name counts
    return Preferences(
        minimal=wishes.get("return") == "minimal" or (brief or "").strip().lower() == "t",
        noroot="depth-noroot" in wishes,
    )
