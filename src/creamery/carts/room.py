"""Space for carts: promised before bytes move, and made by letting go of carts that nobody has asked for in a while."""

from __future__ import annotations

from sqlalchemy import Connection

from creamery.carts import sources, tables
from creamery.carts.leases import Leases
from creamery.clock import SECOND, Micros
from creamery.door import Hub
from creamery.jobs import Postpone
from creamery.journal import record
from creamery.telemetry import log

NO_SPACE = "No Space Available"
SPACE_IS_PROMISED = "waiting: for space that other carts were promised"
LOOK_SECONDS = 2.0


class NoSpaceForCart(Exception):
    """The disk has no room for it, and nothing may be given up for it."""


class SpaceIsPromised(Exception):
    """What it needs was promised to others, which may go when they have come; ask again."""


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
            SpaceIsPromised: not before carts have ended that are being staged; then those may go.
            Postpone: something was let go, or is about to be; ask again.
        """
        if size <= self._blobs.free_bytes():
            return
        self._blobs.want_room(size, f"cart {cart_id}")
        self._blobs.evict()
        # Before what is free: what goes between the two is counted twice, not lost.
        leaving = self._blobs.leaving_bytes()
        free = self._blobs.free_bytes()
        if size <= free:
            return
        lacking = size - free - leaving
        if lacking > 0 and not (self._may_evict and self._evict(cart_id, lacking)):
            if self._may_evict and lacking <= self._database.read(tables.staging_bytes):
                raise SpaceIsPromised(SPACE_IS_PROMISED)
            raise NoSpaceForCart(NO_SPACE)
        raise Postpone(LOOK_SECONDS)

    def refuse_if_promised(self, connection: Connection, cart_id: int, size: int) -> None:
        """See that `size` bytes fit beside those that other carts were promised and that have not come.

        In the transaction that promises them. What is being fetched counts twice as long as it is, and is waited for.

        Raises:
            SpaceIsPromised: they do not.
        """
        promised = sources.promised(connection, cart_id) if size else 0
        if promised and size + promised > self._blobs.free_bytes():
            raise SpaceIsPromised(SPACE_IS_PROMISED)

    def give_way(self, size: int) -> None:
        """Let carts go for `size` bytes that were promised and do not fit any more: others have filled the disk."""
        leaving = self._blobs.leaving_bytes()
        lacking = size - self._blobs.free_bytes() - leaving
        if lacking > 0 and self._may_evict:
            self._evict(None, lacking)

    def _evict(self, cart_id: int | None, lacking: int) -> int:
        """Let the least recently used carts go, until so many bytes are free that way; 0: none may go."""
        now = self._clock.now()
        before = Micros(now - int(self._buffer * SECOND))
        freed = 0
        for found in self._database.read(lambda connection: tables.least_recently_used(connection, before, now)):
            if freed >= lacking:
                break
            if found.id == cart_id or not found.done_bytes or self._leases.holds(found.id):
                continue
            self._let_go(found)
            freed += found.done_bytes
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
