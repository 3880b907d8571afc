"""What becomes of a key: here, being built, not to be built, or yours to build.

Of eight cold machines one builds and seven wait. Who waits looks again when a wheel comes through this process, and
each second for what comes through another or is given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from creamery.accounts import Principal, confirm
from creamery.contract import Digest
from creamery.door import Hub
from creamery.journal import By
from creamery.limits import Limits
from creamery.wheels import leases, tables
from creamery.wheels.kept import in_order
from creamery.wheels.leases import Failure, Lease
from creamery.wheels.place import Ring, Sight
from creamery.wheels.tables import CHANGED, BeingPushed, Entry

LOOK_SECONDS = 1.0
FREED = "wheels.freed"
"""What a transaction announces that ends a lease and brings no wheel."""


@dataclass(frozen=True, slots=True)
class Fate:
    """Exactly one is there: the wheel, the failure, or a lease; `is_yours`: of whoever asks."""

    entry: Entry | None = None
    failure: Failure | None = None
    lease: Lease | None = None
    is_yours: bool = False


class Waiting:
    """Used on the event loop only."""

    def __init__(self, hub: Hub) -> None:
        self._clock = hub.clock
        self._committer = hub.committer
        self._database = hub.database
        self._limits = hub.settings.limits
        self._pools = hub.pools
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        hub.committer.on_commit(self._hear)

    def start(self) -> None:
        """Remember the loop that everything here belongs to."""
        self._loop = asyncio.get_running_loop()

    async def lease(self, key: Digest, ring: Ring, sight: Sight, principal: Principal, by: By, seconds: float) -> Fate:
        """The wheel or the failure, if there is one; else the right to build; else, after so long, who builds.

        Raises:
            TooManyLeases: whoever asks has as many as one may.
            RightEnded: they may no longer.
        """
        ends = self._clock.monotonic() + min(seconds, self._limits.wheel_wait_seconds)
        while True:
            news = self._news
            fate = await self._look(key, ring, sight, principal, By(self._clock.now(), by.actor, by.origin))
            left = ends - self._clock.monotonic()
            if fate.lease is None or fate.is_yours or left <= 0:
                return fate
            try:
                await asyncio.wait_for(news.wait(), min(left, LOOK_SECONDS))
            except TimeoutError:
                continue

    async def _look(self, key: Digest, ring: Ring, sight: Sight, principal: Principal, by: By) -> Fate:
        fate = await self._pools.database.run(self._database.read, partial(_fate, key, ring, sight, by, self._limits))
        if fate is not None:
            return fate

        def take(connection: Connection) -> Fate:
            confirm(connection, principal, by.now)
            found = _fate(key, ring, sight, by, self._limits, connection)
            if found is not None:
                return found
            lease = leases.take(connection, ring, key, by, self._limits)
            assert lease is not None  # noqa: S101 - nobody had it a statement ago, in this transaction
            return Fate(lease=lease, is_yours=True)

        try:
            return await self._committer.commit(take)
        except BeingPushed:
            return await self._look(key, ring, sight, principal, by)

    def _hear(self, announced: frozenset[str]) -> None:
        is_news = any(each == FREED or each.startswith(CHANGED) for each in announced)
        if is_news and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _fate(key: Digest, ring: Ring, sight: Sight, by: By, limits: Limits, connection: Connection) -> Fate | None:
    entries = in_order(tables.entries_by_key(connection, [key], sight), sight)
    if entries:
        return Fate(entry=entries[0])
    failed: Sequence[Failure] = leases.failures_of(connection, [key], ring, by.now, limits)
    if failed:
        return Fate(failure=failed[0])
    held = leases.leases_of(connection, [key], ring, by.now, limits)
    return Fate(lease=held[0]) if held else None
