"""Asking a server that is an archive: how much at once, what its failures mean, and whether all bytes came.

What is asked, and how an answer is read, is each kind's own (`pacifica.py`, `web.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import TypeVar

from creamery.carts.archives.archive import ArchiveDown, ArchiveError, ItemRefused, ItemStat
from creamery.carts.archives.names import refusal
from creamery.clock import SECOND, Clock
from creamery.egress import (
    Answer,
    Egress,
    EgressError,
    ForbiddenAddress,
    MinimumRate,
    Origin,
    TooManyRedirects,
    Unreachable,
    public_reason,
)
from creamery.limits import Limits
from creamery.sharing import forget_frames
from creamery.telemetry import log

T = TypeVar("T")

IN_VAIN = 3
"""Items in a row that could not be had although the server is there, before the rest of a batch is not asked for."""

LONGEST_PAUSE = 86_400.0
"""Seconds: who asks for more patience than that gets no more."""

_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_NO_GATEWAY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})
_WHO_ARE_YOU = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED})
_AGAIN = frozenset({HTTPStatus.ACCEPTED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})
_NOT_THERE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_GOOD = frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.PARTIAL_CONTENT})


class ServerDown(ArchiveDown):
    """It is not about this item: nothing else can be had either."""


class Site:
    """A server, and the hub's way to it. On the event loop only.

    No more than `at_once` requests are under way, bodies included; each process counts for itself.
    """

    def __init__(self, name: str, url: str, egress: Egress, limits: Limits, clock: Clock, *, at_once: int) -> None:
        """`url` may hold a user and a password; they go to its own host alone, and into no text."""
        self.name = name
        self.origin = Origin.parse(url)
        self.base = self.origin.url if self.origin.url.endswith("/") else self.origin.url + "/"
        self.limits = limits
        self._egress = egress
        self._clock = clock
        self._at_once = at_once
        self._places = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def ask(
        self,
        item: str,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes | None = None,
        silent_seconds: float | None = None,
        has_place: bool = False,
    ) -> AsyncIterator[Answer]:
        """Ask something about an item, and have the answer, whatever its status is.

        Args:
            item: for errors.
            method, url, headers, body, silent_seconds: as `Egress.request`.
            has_place: whoever asks has something open already, and it counts as that.

        Raises:
            ArchiveDown, ItemRefused: no answer came, or not all of it.
        """
        if not has_place:
            await self._places.acquire()
        try:
            async with self._egress.request(
                method, url, origin=self.origin, headers=headers, body=body, silent_seconds=silent_seconds
            ) as answer:
                yield answer
        except EgressError as error:
            raise self._failed(item, error) from error
        finally:
            if not has_place:
                self._places.release()

    def check(self, item: str, answer: Answer) -> None:
        """Is it the answer of a server that has the item?

        Raises:
            ServerDown: it wants patience, or other credentials.
            ArchiveDown: it cannot bring this item now.
            ItemRefused: it will not.
        """
        status, who = answer.status, f"the archive {self.name}"
        if status in _GOOD:
            return
        if status in _BUSY or status in _NO_GATEWAY:
            raise ServerDown(f"{who} asks for patience (status {status})", self._retry_seconds(answer))
        if status in _WHO_ARE_YOU:
            raise ServerDown(f"{who} does not accept the hub's credentials (status {status})")
        if status in _AGAIN:
            raise ArchiveDown(f"{who} is not ready yet (status {status})", self._retry_seconds(answer))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ArchiveDown(f"{who} failed (status {status})", self._retry_seconds(answer))
        if status in _NOT_THERE:
            raise refusal(item, f"it is not there (status {status})")
        raise refusal(item, f"{who} does not give it (status {status})")

    async def pieces(
        self,
        item: str,
        answer: Answer,
        *,
        skip: int,
        left: int,
        look: Callable[[], Awaitable[ItemStat]],
        known: ItemStat,
    ) -> AsyncGenerator[bytes]:
        """The body without its first `skip` bytes: `left` bytes.

        Args:
            item, answer: whose.
            skip, left: see above.
            look: asks what the item is now, where less came.
            known: what it was.

        Raises:
            ArchiveDown: the connection broke, or there was too little for no reason.
            ItemRefused: its length is not what it was.
        """
        self._check_length(item, answer, skip + left)
        rate = MinimumRate(self._clock, self.limits.upstream_minimum_rate)
        try:
            async for chunk in answer.chunks():
                rate.took(answer.url, len(chunk))
                piece = chunk[skip:]
                skip -= len(chunk) - len(piece)
                if len(piece) > left:
                    raise refusal(item, "it is longer than the archive said")
                left -= len(piece)
                if piece:
                    yield piece
        except EgressError as error:
            raise self._failed(item, error) from error
        if left:
            refuse_if_changed(item, known, await look())
            raise ArchiveDown(f"the archive {self.name} broke off")

    async def each(self, items: Iterable[str], question: Callable[[str], Awaitable[T]]) -> dict[str, T | ArchiveError]:
        """The answer for each item, some at once. What is not asked any more, for the server is down, is down.

        Raises:
            ArchiveDown: the server is down, and not one item was answered.
        """
        found: dict[str, T | ArchiveError] = {}
        waiting = iter(dict.fromkeys(items))
        outage: ArchiveDown | None = None
        in_vain = 0

        async def work() -> None:
            nonlocal outage, in_vain
            for item in waiting:
                if outage is not None:
                    found[item] = outage
                    continue
                try:
                    found[item] = await question(item)
                    in_vain = 0
                except ItemRefused as error:
                    found[item] = _kept(error)
                    in_vain = 0
                except ArchiveDown as error:
                    found[item] = _kept(error)
                    in_vain += 1
                    if isinstance(error, ServerDown) or in_vain >= IN_VAIN:
                        outage = error

        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(work())
        if outage is not None and all(isinstance(each, ArchiveDown) for each in found.values()):
            raise outage
        return found

    def _check_length(self, item: str, answer: Answer, expected: int) -> None:
        said = answer.headers.get("Content-Length", "")
        if said.isascii() and said.isdigit() and int(said) != expected:
            raise refusal(item, f"it has changed: {int(said):,} bytes come where {expected:,} were said")

    def _failed(self, item: str, error: EgressError) -> ArchiveError:
        log.warning("archive.failed", archive=self.name, item=item, reason=str(error))
        if isinstance(error, (ForbiddenAddress, TooManyRedirects)):
            return refusal(item, f"the archive {self.name} sends elsewhere for it, where the hub does not go")
        said = f"the archive {self.name} {public_reason(error)}"
        if isinstance(error, Unreachable) and error.stage != "broken off":
            return ServerDown(said)
        return ArchiveDown(said)

    def _retry_seconds(self, answer: Answer) -> float | None:
        """RFC 9110 section 10.2.3: seconds, or a date."""
        said = answer.headers.get("Retry-After", "")
        if said.isascii() and said.isdigit():
            return min(float(said), LONGEST_PAUSE)
        date = http_date(said)
        return None if date is None else min(max(0.0, date - self._clock.now() / SECOND), LONGEST_PAUSE)


def http_date(text: str) -> int | None:
    """A date of HTTP (RFC 9110 section 5.6.7) in seconds since 1970; None where it is none."""
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


async def nothing() -> AsyncGenerator[bytes]:
    """The bytes of an item of which all are here."""
    empty: tuple[bytes, ...] = ()
    for piece in empty:
        yield piece


def refuse_if_changed(item: str, known: ItemStat, now: ItemStat) -> None:
    """Before more of it is put to what is here.

    Raises:
        ItemRefused: it is another.
    """
    if not now.is_same(known):
        raise refusal(item, "it has changed since it was asked for")


def _kept(error: ArchiveError) -> ArchiveError:
    forget_frames(error)
    return error
