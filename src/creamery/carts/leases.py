"""Which carts are being downloaded: in memory, and now and then in their rows, for other processes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator

from sqlalchemy import Connection

from creamery.carts import tables
from creamery.clock import SECOND, Clock, Micros
from creamery.database import Committer, DatabaseUnavailable, DiskFull, WritesBusy
from creamery.telemetry import log

WRITTEN_SECONDS = 30.0
"""So often at most it is written down that a cart is used."""

TOLD_SECONDS = 60.0
"""How long other processes, children included, take it for granted that a cart is being downloaded."""


class Leases:
    """Counts downloads. Every method may be called from any thread."""

    def __init__(self, committer: Committer, clock: Clock) -> None:
        self._committer = committer
        self._clock = clock
        self._held: Counter[int] = Counter()
        self._written: dict[int, Micros] = {}
        self._told: dict[int, Micros] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lease(self, cart_id: int) -> Iterator[None]:
        """While this lasts, the cart is not evicted: this process counts, and tells the others by the cart's row."""
        with self._lock:
            self._held[cart_id] += 1
            is_first = self._held[cart_id] == 1
        if is_first:
            self._tell(cart_id)
        self.used(cart_id)
        try:
            yield
        finally:
            with self._lock:
                self._held[cart_id] -= 1
                is_last = not self._held[cart_id]
                if is_last:
                    del self._held[cart_id]
            if is_last:
                self._take_back(cart_id)

    def holds(self, cart_id: int) -> bool:
        """Is somebody downloading it?"""
        return cart_id in self._held

    async def renew(self) -> None:
        """Go on telling other processes, for as long as this runs; what a killed process told ends by itself."""
        while True:
            await asyncio.sleep(TOLD_SECONDS / 3)
            for cart_id in tuple(self._held):
                self._tell(cart_id)

    def _tell(self, cart_id: int) -> None:
        until = Micros(self._clock.now() + round(TOLD_SECONDS * SECOND))
        with self._lock:
            self._told[cart_id] = until
        self._submit(lambda connection: tables.set_leased(connection, cart_id, until))

    def _take_back(self, cart_id: int) -> None:
        """Unless another process has told the same since: then it says something else."""
        with self._lock:
            until = self._told.pop(cart_id, None)
        if until is not None:
            self._submit(lambda connection: tables.end_lease(connection, cart_id, until))

    def used(self, cart_id: int) -> None:
        """Somebody asks for its bytes: it is the last that is evicted. Costs a commit every 30 seconds."""
        now = self._clock.now()
        with self._lock:
            if now - self._written.get(cart_id, Micros(0)) < WRITTEN_SECONDS * SECOND:
                return
            self._written[cart_id] = now
            if len(self._written) > 10_000:  # noqa: PLR2004 - forgetting costs a commit
                self._written.clear()
        self._submit(lambda connection: tables.set_used(connection, cart_id, now))

    def _submit(self, write: Callable[[Connection], None]) -> None:
        try:
            self._committer.submit(write)
        except (WritesBusy, DiskFull, DatabaseUnavailable) as error:
            log.warning("carts.use_not_written", error=str(error))
