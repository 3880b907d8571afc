"""One request and its answer, as the application, the responses and the doors know them: `scope["creamery"]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Send

from creamery.accounts import Principal
from creamery.http.addresses import Proxies
from creamery.limits import Limits
from creamery.threads import Pools

KEY = "creamery"
AT_ONCE = "creamery.at_once"
REFUSAL = "creamery.refusal"
"""Where the protocol leaves the Problem that answers a request which it could not read."""

CLOSE = (b"connection", b"close")
"""What an application says to end a connection; it is written where the connection is."""

AtOnce = Callable[[int, bytes, bytes | bytearray, int], bool]
"""How our protocol takes a whole answer in one call: status, headers without framing, body, length to announce. It
refuses, with False, while the client has too much to read already."""


PHRASE = "creamery.phrase"
"""In a message that begins an answer: what its status line says beside the number."""

SENT_MORE = "creamery.sent_more"
"""In a message that sends a file: whom the protocol tells of each number of bytes that have gone."""

CLIENT_LEFT = "the client has left"
"""The message of a cancellation whose reason that is."""


class TransferBroken(Exception):
    """An answer that has begun cannot be finished: its connection is cut, so that nobody takes it for whole."""


class ClientGone(OSError):
    """The client has closed the connection: nobody is left to send to."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all requests of a hub share."""

    pools: Pools
    limits: Limits
    proxies: Proxies


class Exchange:
    """What happens to one request.

    Attributes:
        id: the request's id, in the log and in `X-Request-Id`.
        headers: the request's, names in lower case, several lines of one name joined.
        hub: what is shared by all requests.
        door: the name of the door that answers; empty until a route was found.
        status: of the answer; 0 until it has begun.
        sent_bytes: of the answer's body.
        fields: what the door adds to the request's line in the log.
        principal: who asks; None where nobody was asked for credentials.
        in_words: whether a refusal is for clients that show its status line, or its text, as they are.
        renderer: what an error looks like here, where that is not for `Accept` to say.
        phrase: what the status line says beside the number; empty: HTTP's own word for it.
        more: headers that every answer has here, errors included.
    """

    __slots__ = (
        "_at_once",
        "_has_body",
        "_send",
        "door",
        "fields",
        "headers",
        "hub",
        "id",
        "in_words",
        "more",
        "phrase",
        "principal",
        "renderer",
        "sent_bytes",
        "status",
    )

    def __init__(
        self,
        request_id: str,
        headers: Mapping[bytes, bytes],
        send: Send,
        at_once: AtOnce | None,
        hub: Surroundings,
        *,
        has_body: bool,
    ) -> None:
        """`has_body`: False for the answer to HEAD, of whose body nothing is sent."""
        self.id = request_id
        self.headers = headers
        self.hub = hub
        self.door = ""
        self.status = 0
        self.sent_bytes = 0
        self.fields: dict[str, Any] | None = None
        self.principal: Principal | None = None
        self.in_words = False
        self.renderer: Callable[[Any], Response] | None = None
        self.phrase = b""
        self.more: tuple[tuple[bytes, bytes], ...] = ()
        self._send = send
        self._at_once = at_once
        self._has_body = has_body

    def answer_at_once(self, status: int, lines: bytes, body: bytes | bytearray, length: int | None = None) -> bool:
        """Send a whole answer without awaiting anything; False where that cannot be (then `send` can).

        Half the cost of an answer that is ready is the way of its two messages through ASGI.

        `lines` are `header_lines`, without `content-length` and whatever else frames a message; `length` is what to
        announce where it is not the body's.
        """
        if self._at_once is None or self.status:
            return False
        more = header_lines(self.more) if self.more else b""
        complete = b"%b%bx-request-id: %b\r\n" % (lines, more, self.id.encode())
        if not self._at_once(status, complete, body, len(body) if length is None else length):
            return False
        self.status = status
        self.sent_bytes = len(body) if self._has_body else 0
        return True

    async def send(self, message: Message) -> None:
        """Pass a message of the answer on, counting."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self.more, (b"x-request-id", self.id.encode())]
            if self.phrase:
                message[PHRASE] = self.phrase
        elif "count" in message:
            message[SENT_MORE] = self._count
        elif self._has_body:
            self._count(len(message.get("body", b"")))
        await self._send(message)

    def _count(self, length: int) -> None:
        self.sent_bytes += length


def exchange_of(scope: Mapping[str, Any]) -> Exchange:
    """The exchange that a scope (or a Starlette request) belongs to."""
    exchange: Exchange = scope[KEY]  # a cast is a call, and this is asked six times a request
    return exchange


def joined(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; several lines of one name are one list (RFC 9110 section 5.3, for cookies RFC 9113 8.2.3)."""
    found = dict(headers)
    if len(found) != len(headers):
        found.clear()
        for name, value in headers:
            between = b"; " if name == b"cookie" else b", "
            found[name] = found[name] + between + value if name in found else value
    return found


def note(scope: Mapping[str, Any] | MutableMapping[str, Any], **fields: Any) -> None:
    """Add `fields` to the request's line in the log, such as `cache="hit"`. Never a secret.

    Takes a Starlette request as well as its scope.
    """
    exchange = exchange_of(scope)
    exchange.fields = {**exchange.fields, **fields} if exchange.fields else fields


def header_lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The headers as they are written.

    Raises:
        ValueError: a line break or NUL in one, with which whoever it came from could write further headers.
    """
    lines = b"".join([b"%b: %b\r\n" % header for header in headers if header != CLOSE])
    if lines.count(b"\n") > len(headers) or lines.count(b"\r") > len(headers) or b"\0" in lines:
        raise ValueError("a header of an answer has a line break or NUL in it")
    return lines
