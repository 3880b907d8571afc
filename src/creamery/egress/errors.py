"""What can be true when a request did not bring what it was to bring.

EgressError
├── Unreachable        no answer, or one that broke off: name, connection, TLS, proxy, lost on the way
├── TooSlow            an answer, or the rest of it, did not come in time
├── ForbiddenAddress   the address must not be asked
├── TooManyRedirects   the redirects did not end
├── TooLarge           the body is larger than its limit, after decompression
└── BadAnswer          what came is no HTTP, or no such content coding

No text holds a password or a query: both may be secrets, and errors are logged.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit, urlunsplit

_MAX_SHOWN = 300
_MAX_TEXT = 1_000

Stage = Literal["dns", "connect", "tls", "broken off", "closed"]

_STAGES: dict[Stage, str] = {
    "dns": "its name could not be resolved",
    "connect": "no connection could be made",
    "tls": "TLS failed",
    "broken off": "the connection broke off",
    "closed": "the hub is stopping",
}


class EgressError(Exception):
    """A request failed.

    Attributes:
        url: the address that was asked last, as it may be shown.
        answered: an answer had begun, so whoever was asked is there.
    """

    answered = False

    def __init__(self, url: str, text: str) -> None:
        self.url = shown(url)
        super().__init__(_printable(f"{self.url}: {text}" if self.url else text)[:_MAX_TEXT])


class Unreachable(EgressError):
    """There is no answer, or only a part of one. Asking again later may help.

    Attributes:
        stage: how far it came: `dns`, `connect`, `tls`, `broken off`, or `closed` by the hub itself.
        reason: what the system said.
    """

    def __init__(self, url: str, stage: Stage, reason: str = "") -> None:
        self.stage = stage
        self.reason = reason
        super().__init__(url, f"{_STAGES[stage]}: {reason}" if reason else _STAGES[stage])


class TooSlow(EgressError):
    """Something did not come in time. Asking again later may help.

    Attributes:
        seconds: the deadline that passed.
    """

    def __init__(self, url: str, what: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(url, f"{what} within {seconds:g} s")


class ForbiddenAddress(EgressError):
    """The address must not be asked.

    Attributes:
        address: the network address behind it, where it came so far.
        reason: why.
    """

    def __init__(self, url: str, address: str, reason: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(url, f"it is not asked: {reason}")


class TooManyRedirects(EgressError):
    """The redirects did not end.

    Attributes:
        limit: how many were followed (`limits.upstream_redirects`).
    """

    def __init__(self, url: str, limit: int) -> None:
        self.limit = limit
        super().__init__(url, f"it was redirected more than {limit} times (limits.upstream_redirects)")


class TooLarge(EgressError):
    """The body is larger than its limit.

    Attributes:
        limit: in bytes, after decompression.
    """

    def __init__(self, url: str, limit: int) -> None:
        self.limit = limit
        super().__init__(url, f"its answer has more than {limit:,} bytes")


class BadAnswer(EgressError):
    """What came cannot be read.

    Attributes:
        reason: what is wrong with it.
    """

    def __init__(self, url: str, reason: str) -> None:
        self.reason = " ".join(reason.split())[:_MAX_SHOWN]  # the library quotes what it could not read
        super().__init__(url, f"its answer cannot be read: {self.reason}")


def shown(url: str) -> str:
    """An address as it may be shown: without user, password and query, on one line, and not endless."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc.rpartition("@")[2]
        plain = urlunsplit((parts.scheme, netloc, parts.path, "", ""))
    except ValueError:  # such as `http://[`
        plain = url.rpartition("@")[2].partition("?")[0]
    plain = _printable(plain)
    return plain if len(plain) <= _MAX_SHOWN else plain[:_MAX_SHOWN] + "..."


def public_reason(error: EgressError) -> str:
    """What may be said to whoever asks: no addresses, for an upstream may be an inside matter."""
    if isinstance(error, Unreachable):
        return "could not be reached" if error.stage != "broken off" else "broke off"
    if isinstance(error, TooSlow):
        return "did not answer in time"
    return "gave no answer that can be used"


def _printable(text: str) -> str:
    """What an upstream wrote must neither begin a line in the log nor fail to be written there."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
