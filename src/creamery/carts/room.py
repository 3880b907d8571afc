"""Space for carts: promised before bytes move, and made by letting go of carts that nobody has asked for in a while."""

from __future__ import annotations

from sqlalchemy import Connection

from creamery.carts import tables
from creamery.carts.leases import Leases
from creamery.clock import SECOND, Micros
from creamery.door import Hub
from creamery.jobs import Postpone
from creamery.journal import record
from creamery.telemetry import log

NO_SPACE = "No Space Available"
LOOK_SECONDS = 2.0


class NoSpaceForCart(Exception):
    """The disk has no room for it, and nothing may be given up for it."""


class Room:
    """Makes room. For a job's thread."""

    def __init__(self, hub: Hub, leases: Leases) -> None:
        self._blobs = hub.blobs
        self._database = hub.database
        self._committer = hub.committer
        self._clock = hub.clock
        self._leases = leases
        self._buffer = hub.settings.carts.lru_buffer_time
        self._may_evict = hub.settings.carts.lru_purge

    def make(self, cart_id: int, size: int) -> None:
        """See that `size` more bytes can come.

        Raises:
            NoSpaceForCart: they cannot, whatever goes.
            Postpone: something was let go, or is about to be; ask again.
        """
        lacking = size - self._blobs.free_bytes()
        if lacking <= 0:
            return
        if self._may_evict:
            freed = self._evict(cart_id, lacking)
            if freed:
                self._blobs.want_room(size, f"cart {cart_id}")
                raise Postpone(LOOK_SECONDS)
        self._blobs.want_room(size, f"cart {cart_id}")
        if self._blobs.evict().bytes or self._blobs.going_bytes():
            raise Postpone(LOOK_SECONDS)
        raise NoSpaceForCart(NO_SPACE)

    def _evict(self, cart_id: int, lacking: int) -> int:
        """Let the least recently used carts go, until so many bytes are free that way; 0: none may go."""
        before = Micros(self._clock.now() - int(self._buffer * SECOND))
        freed = 0
        for found in self._database.read(lambda connection: tables.least_recently_used(connection, before)):
            if freed >= lacking:
                break
            if found.id == cart_id or self._leases.holds(found.id):
                continue
            self._let_go(found)
            freed += max(found.done_bytes, 1)
        return freed

    def _let_go(self, found: tables.Cart) -> None:
        now = self._clock.now()

        def write(connection: Connection) -> None:
            if tables.set_deleted(connection, found.id, now):
                record(connection, "carts", "evicted", found.uid, now=now)

        self._committer.write(write)
        while self._committer.write(lambda connection: tables.remove_files(connection, found.id, 10_000)):
            pass
        log.info("carts.evicted", cart=found.uid, bytes=found.done_bytes)
