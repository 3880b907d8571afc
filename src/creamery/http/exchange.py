"""One request and its answer, as the application, the responses and the doors know them: `scope["creamery"]`."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, cast

from starlette.types import Message, Send

from creamery.http.addresses import Proxies
from creamery.limits import Limits
from creamery.threads import Pools

KEY = "creamery"


class TransferBroken(Exception):
    """An answer that has begun cannot be finished: its connection is cut, so that nobody takes it for whole."""


class ClientGone(OSError):
    """The client has closed the connection: nobody is left to send to."""


class Exchange:
    """What happens to one request.

    Attributes:
        id: the request's id, in the log and in `X-Request-Id`.
        door: the name of the door that answers; empty until a route was found.
        status: of the answer; 0 until it has begun.
        sent_bytes: of the answer's body.
        fields: what the door adds to the request's line in the log.
    """

    __slots__ = ("_send", "door", "fields", "id", "limits", "pools", "proxies", "sent_bytes", "status")

    def __init__(self, request_id: str, send: Send, pools: Pools, limits: Limits, proxies: Proxies) -> None:
        self.id = request_id
        self.door = ""
        self.status = 0
        self.sent_bytes = 0
        self.fields: dict[str, Any] = {}
        self.pools = pools
        self.limits = limits
        self.proxies = proxies
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass a message of the answer on, counting."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self.id.encode())]
        else:
            self.sent_bytes += len(message.get("body", b""))
        await self._send(message)


def exchange_of(scope: Mapping[str, Any]) -> Exchange:
    """The exchange that a scope (or a Starlette request) belongs to."""
    return cast("Exchange", scope[KEY])


def note(scope: Mapping[str, Any] | MutableMapping[str, Any], **fields: Any) -> None:
    """Add `fields` to the request's line in the log, such as `cache="hit"`. Never a secret.

    Takes a Starlette request as well as its scope.
    """
    exchange_of(scope).fields.update(fields)
