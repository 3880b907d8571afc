"""Telling somebody's server that a cart is ready, or has failed: one signed POST, tried again until it is taken.

The address comes with the cart, so it must be public, or on a host that whoever runs the hub has named
(`carts.webhook_hosts`). `X-Creamery-Signature: t=SECONDS,v1=HEX` is the HMAC-SHA256, with `carts.webhook_secret`, of
`SECONDS.BODY`: whoever gets it can tell that it is the hub's, and that it is not of yesterday.
"""

from __future__ import annotations

import hashlib
import hmac

import orjson
from yarl import URL

from creamery.carts import tables
from creamery.clock import SECOND
from creamery.door import Hub
from creamery.egress import EgressError, ForbiddenAddress, Origin
from creamery.jobs import Job
from creamery.telemetry import log

SIGNATURE = "X-Creamery-Signature"
ASK_AGAIN = frozenset({408, 425, 429})


class NotTaken(Exception):
    """The server did not take it now; the job comes again."""


class Webhooks:
    """The handler of `notice.NOTIFY_JOB`."""

    def __init__(self, hub: Hub) -> None:
        settings = hub.settings.carts
        self._secret = "" if settings.webhook_secret is None else settings.webhook_secret.get_secret_value()
        self._hosts = frozenset(settings.webhook_hosts)
        self._egress = hub.egress
        self._database = hub.database
        self._clock = hub.clock
        self._sent = hub.telemetry.counter("carts_webhooks", "Notices of carts that were sent.", ["outcome"])

    def notify(self, job: Job) -> None:
        """Send one.

        Raises:
            NotTaken: it comes again.
        """
        cart_id = int(job.payload["cart"])
        cart = self._database.read(lambda connection: tables.cart_by_id(connection, cart_id))
        if cart is None or cart.webhook is None or cart.state not in {"ready", "error"}:
            return
        told = {
            "uid": cart.uid,
            "state": cart.state,
            "message": cart.message,
            "files": cart.files,
            "files_failed": cart.failed_files,
            "bytes": cart.bytes,
        }
        try:
            status = self._egress.call(self._send(cart.webhook, orjson.dumps(told)))
        except ForbiddenAddress as error:
            self._give_up(cart.webhook, str(error))
            return
        except EgressError as error:
            self._sent.labels("again").inc()
            raise NotTaken(f"{_shown(cart.webhook)}: {error}") from error
        if status >= 500 or status in ASK_AGAIN:  # noqa: PLR2004 - its own failure, which may pass
            self._sent.labels("again").inc()
            raise NotTaken(f"{_shown(cart.webhook)} answered {status}")
        if status >= 300:  # noqa: PLR2004 - it does not want it
            self._give_up(cart.webhook, f"it answered {status}")
            return
        self._sent.labels("taken").inc()

    async def _send(self, url: str, body: bytes) -> int:
        seconds = self._clock.now() // SECOND
        headers = {
            "Content-Type": "application/json",
            SIGNATURE: f"t={seconds},v1={signature(self._secret, seconds, body)}",
        }
        address = URL(url)
        is_named = {address.host, f"{address.host}:{address.port}"} & self._hosts
        origin = Origin(str(address.origin())) if is_named else None
        async with self._egress.request("POST", url, origin=origin, headers=headers, body=body) as answer:
            return int(answer.status)

    def _give_up(self, url: str, reason: str) -> None:
        self._sent.labels("refused").inc()
        log.warning("carts.webhook_refused", url=_shown(url), reason=reason)


def signature(secret: str, seconds: int, body: bytes) -> str:
    """What the header says of a body that is sent at a second."""
    return hmac.new(secret.encode(), b"%d." % seconds + body, hashlib.sha256).hexdigest()


def _shown(url: str) -> str:
    """Without what may be secret in it."""
    return str(URL(url).with_query(None).with_user(None))
