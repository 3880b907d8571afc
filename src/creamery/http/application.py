"""The application around all doors: ids, the request's line in the log, metrics, and errors as problems.

One plain ASGI callable; a stack of middlewares would cost more than what it does (BaseHTTPMiddleware alone 94 us).
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from creamery.accounts import Throttled, TooManyLogins
from creamery.blobs import NoSpace, NotDurable, ReadOnly
from creamery.clock import SECOND, Clock
from creamery.database import DatabaseUnavailable, DiskFull, WritesBusy
from creamery.http.addresses import Proxies
from creamery.http.conditionals import header_of
from creamery.http.exchange import (
    AT_ONCE,
    CLIENT_LEFT,
    KEY,
    REFUSAL,
    ClientGone,
    Exchange,
    Surroundings,
    TransferBroken,
    joined,
    note,
)
from creamery.http.gate import too_many_logins, too_many_tries
from creamery.http.problems import Problem, printable, reason_phrase, render_problem
from creamery.http.request_log import AccessLog
from creamery.http.traffic import Traffic
from creamery.limits import Limits
from creamery.telemetry import Telemetry, log
from creamery.threads import Pools

Refusal = Callable[[Any], Problem]

MAX_LOGGED = 300

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Application:
    """What the server calls for every request.

    Args:
        router: answers, or raises a `Problem` or what `refusals` knows.
        via: the hub's own name in the Via header; a request that has already passed here is in a loop.
        access_log: where each request's line goes; None writes none.
        refusals: what doors' errors look like on the wire, beside what is known here.
    """

    def __init__(  # noqa: PLR0913 - the hub puts it together, in one place
        self,
        router: ASGIApp,
        *,
        pools: Pools,
        limits: Limits,
        clock: Clock,
        telemetry: Telemetry,
        proxies: Proxies | None = None,
        via: str = "",
        access_log: AccessLog | None = None,
        refusals: Mapping[type[Exception], Refusal] | None = None,
    ) -> None:
        self._router = router
        self._hub = Surroundings(pools, limits, proxies or Proxies())
        self._clock = clock
        self._via = via.encode("ascii")
        self._log = access_log
        self._refusals = {**_REFUSALS, **(refusals or {})}
        self._id_prefix = secrets.token_hex(6)
        self._ids = itertools.count(1)
        self._traffic = Traffic(telemetry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens.

        Raises:
            TransferBroken: the answer had begun; the server ends the connection without a clean end.
        """
        if scope["type"] != "http":
            raise ValueError(f"the hub speaks HTTP, not {scope['type']}")
        started = self._clock.monotonic()
        headers = joined(scope["headers"])
        has_body = scope["method"] != "HEAD"
        exchange = Exchange(self._id(headers), headers, send, scope.get(AT_ONCE), self._hub, has_body=has_body)
        scope[KEY] = exchange
        try:
            if REFUSAL in scope:
                await self._answer_error(scope[REFUSAL], exchange, scope, receive)
            elif self._via and self._via in headers.get(b"via", b""):
                await self._answer_error(_loop(self._via), exchange, scope, receive)
            else:
                await self._router(scope, receive, exchange.send)
        except (ClientGone, ClientDisconnect):
            note(scope, aborted="client")
        except asyncio.CancelledError as error:
            if CLIENT_LEFT in error.args:
                note(scope, aborted="client")
                raise
            note(scope, aborted="hub")
            log.warning("http.cut_off", id=exchange.id, path=_path(scope), reason="the hub ends, its patience did")
            raise
        except Exception as error:  # noqa: BLE001 - here every error becomes an answer
            await self._answer_error(error, exchange, scope, receive)
        finally:
            self._account(exchange, scope, self._clock.monotonic() - started)

    def close(self) -> None:
        """Write what is left of the log."""
        if self._log is not None:
            self._log.flush()

    def _id(self, headers: Mapping[bytes, bytes]) -> str:
        asked = headers.get(b"x-request-id")
        if asked is not None and _REQUEST_ID.fullmatch(asked):
            return asked.decode("ascii")
        return f"{self._id_prefix}-{next(self._ids):x}"

    async def _answer_error(self, error: Exception, exchange: Exchange, scope: Scope, receive: Receive) -> None:
        problem = self._problem(error)
        is_internal = problem is None
        if isinstance(error, TransferBroken):
            log.warning("http.transfer_broken", id=exchange.id, path=_path(scope), error=printable(str(error)))
        elif is_internal:
            log.error("http.failed", id=exchange.id, path=_path(scope), exc_info=error)
        if exchange.status:
            note(scope, aborted="hub")
            raise TransferBroken(str(error)) from None  # a new one: raised here again, the first would know itself
        shown = problem or _INTERNAL
        if exchange.in_words or shown.in_status_line:
            exchange.phrase = reason_phrase(shown)
        if exchange.renderer is not None:
            response = exchange.renderer(shown)
        else:
            response = render_problem(shown, header_of(scope, b"accept"), exchange.id, in_words=exchange.in_words)
        try:
            await response(scope, receive, exchange.send)
        except ClientGone:
            note(scope, aborted="client")

    def _problem(self, error: Exception) -> Problem | None:
        if isinstance(error, Problem):
            return error
        for kind in type(error).__mro__:
            if kind in self._refusals:
                return self._refusals[kind](error)
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return _no_space(error)
        if isinstance(error, OSError) and error.errno in _NOT_NOW:
            log.error("http.disk_failed", error=str(error))
            return _unreadable(error)
        return None

    def _account(self, exchange: Exchange, scope: Scope, seconds: float) -> None:
        self._traffic.count(exchange.door, scope["method"], exchange.status, exchange.sent_bytes, seconds)
        if self._log is None:
            return
        fields = {
            "event": "request",
            "id": exchange.id,
            "method": scope["method"],
            "path": _path(scope),
            "status": exchange.status,
            "bytes": exchange.sent_bytes,
            "seconds": int(seconds * SECOND) / SECOND,
            "client": self._hub.proxies.client(scope),
            "agent": exchange.headers.get(b"user-agent", b"")[:MAX_LOGGED].decode("latin-1"),
            "door": exchange.door,
        }
        if REFUSAL in scope:
            fields["refused"] = scope[REFUSAL].detail
        if exchange.fields:
            fields |= exchange.fields
        self._log.add(self._clock.now(), fields)


def _path(scope: Scope) -> str:
    """As it was sent, and so without control characters; the query stays out: it may hold a secret."""
    raw_path: bytes = scope["raw_path"]
    return raw_path[:MAX_LOGGED].decode("ascii", "replace")


def _loop(via: bytes) -> Problem:
    return Problem(
        508,
        "Loop detected",
        f"This request has passed the hub {via.decode('ascii')} before.",
        remedy="Look at index.upstreams: one of them leads back to this hub.",
    )


def _busy(error: Exception) -> Problem:
    log.warning("http.busy", reason=str(error))  # it may name paths and hosts
    return Problem(
        503,
        "Busy",
        "The hub has more to write down than it can just now.",
        remedy="Ask again in a moment.",
        headers={"Retry-After": "1"},
    )


def _database(error: Exception) -> Problem:
    log.warning("http.database_unavailable", reason=str(error))
    return Problem(
        503,
        "Database unavailable",
        "The hub's database does not answer.",
        remedy="Ask again in a moment; who runs the hub finds the reason in its log and at /readyz.",
        headers={"Retry-After": "5"},
    )


def _no_space(_: Exception) -> Problem:
    return Problem(
        507,
        "Insufficient storage",
        "The hub has no room left to keep this.",
        remedy="What is already here can still be read; ask again when space has been freed.",
        headers={"Retry-After": "120"},  # room that the cache can make is there by then
    )


def _disk(_: Exception) -> Problem:
    return Problem(
        503,
        "Disk failure",
        "The hub's disk failed to keep this.",
        remedy="What is already here can still be read; who runs the hub finds the reason in its log and at /readyz.",
    )


def _unreadable(_: Exception) -> Problem:
    """Before anything was sent: a file that cannot be opened, for there are too many, or its disk fails."""
    return Problem(
        503,
        "Cannot be read now",
        "The hub has this and could not read it.",
        remedy="Ask again; if it lasts, who runs the hub finds the reason in its log and at /readyz.",
        headers={"Retry-After": "1"},
    )


_NOT_NOW = frozenset({errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS, errno.ESTALE})
_INTERNAL = Problem(
    500,
    "Internal error",
    "The hub failed to answer this request.",
    remedy="Its log has the reason under the request's id.",
)
_REFUSALS: dict[type[Exception], Refusal] = {
    DatabaseUnavailable: _database,
    WritesBusy: _busy,
    DiskFull: _no_space,
    NoSpace: _no_space,
    NotDurable: _disk,
    ReadOnly: _disk,
    TransferBroken: _unreadable,
    Throttled: too_many_tries,
    TooManyLogins: too_many_logins,
}
