"""Which carts are being downloaded: in memory, and now and then in their rows, for other processes."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from creamery.carts import tables
from creamery.clock import SECOND, Clock, Micros
from creamery.database import Committer, DatabaseUnavailable, DiskFull, WritesBusy
from creamery.telemetry import log

WRITTEN_SECONDS = 30.0
"""So often at most it is written down that a cart is used."""


class Leases:
    """Counts downloads. Every method may be called from any thread."""

    def __init__(self, committer: Committer, clock: Clock) -> None:
        self._committer = committer
        self._clock = clock
        self._held: Counter[int] = Counter()
        self._written: dict[int, Micros] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lease(self, cart_id: int) -> Iterator[None]:
        """While this lasts, the cart is not evicted by this process."""
        with self._lock:
            self._held[cart_id] += 1
        self.used(cart_id)
        try:
            yield
        finally:
            with self._lock:
                self._held[cart_id] -= 1
                if not self._held[cart_id]:
                    del self._held[cart_id]

    def holds(self, cart_id: int) -> bool:
        """Is somebody downloading it?"""
        return cart_id in self._held

    def used(self, cart_id: int) -> None:
        """Somebody asks for its bytes: it is the last that is evicted. Costs a commit every 30 seconds."""
        now = self._clock.now()
        with self._lock:
            if now - self._written.get(cart_id, Micros(0)) < WRITTEN_SECONDS * SECOND:
                return
            self._written[cart_id] = now
            if len(self._written) > 10_000:  # noqa: PLR2004 - forgetting costs a commit
                self._written.clear()
        try:
            self._committer.submit(lambda connection: tables.set_used(connection, cart_id, now))
        except (WritesBusy, DiskFull, DatabaseUnavailable) as error:
            log.warning("carts.use_not_written", error=str(error))
