"""Bytes by SHA-256: what arrives, how it becomes durable (`keeping.py`), where it lies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from creamery.blobs import other_digests, tables
from creamery.blobs.claims import Claim
from creamery.blobs.compaction import Compactor
from creamery.blobs.findings import Finding
from creamery.blobs.holders import Holder
from creamery.blobs.incoming import Incoming, Part
from creamery.blobs.keeping import Keeper, Reference
from creamery.blobs.means import Means
from creamery.blobs.ownership import Layout, Owner, Running, own
from creamery.blobs.quarantine import Quarantine
from creamery.blobs.reader import Reader
from creamery.blobs.reservations import Reservations
from creamery.blobs.room import Room
from creamery.blobs.scrub import Scrub
from creamery.blobs.segments import Body
from creamery.blobs.store import BlobCorrupt, BlobMissing, Extent
from creamery.blobs.sweep import Evicted, Sweeper, Swept
from creamery.blobs.uses import Uses
from creamery.blobs.verification import FirstReads
from creamery.clock import Clock
from creamery.contract import Digest, digest_of
from creamery.database import Committer, Database
from creamery.limits import MIB, Limits
from creamery.sections import Cache
from creamery.telemetry import Telemetry, log
from creamery.threads import Pools

T = TypeVar("T")

VERIFIED_BEFORE_SERVED = MIB
CHECKS_AT_ONCE = 4
"""Less than the disk's threads: hashing after an unclean stop must not keep everybody from reading."""


def _checked(found: Extent | None, digest: Digest, size: int) -> Extent:
    if found is None:
        raise BlobMissing(digest)
    if found.length != size:
        raise BlobCorrupt(digest, f"{found.length} bytes lie there instead of {size}")
    return found


class Blobs:
    """The hub's bytes. Coroutines belong to the event loop, everything else may be called from any thread.

    Attributes:
        epoch: known once it is open: a random name for the line of serials that the database counts. After a restore
            it is a new one, because serials that were handed out since the backup are handed out once more.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - one argument for each room that it uses; hub.py alone calls it
        self,
        data: Path,
        database: Database,
        committer: Committer,
        limits: Limits,
        cache: Cache,
        clock: Clock,
        telemetry: Telemetry,
        pools: Pools,
    ) -> None:
        means = Means(database, committer, limits, clock, telemetry, pools)
        self.layout = Layout(data)
        self.reader = Reader(self.layout, database)
        self.store = self.reader.files
        self.holders: tuple[Holder, ...] = ()
        self._database = database
        self._committer = committer
        self._limits = limits
        self._cache = cache
        self._clock = clock
        self._pools = pools
        self._reservations = Reservations(data, limits, clock)
        self._incoming = Incoming(self.layout.incoming, self._reservations, limits, pools.disk)
        self._uses = Uses(committer, clock, limits.uses_seconds)
        self._first_reads = FirstReads(self.reader)
        self._running = Running(self.layout)
        self._sweeper = Sweeper(self.layout, self.store, self._reservations, self._uses, cache, means)
        self._scrub = Scrub(data, database, committer, limits, clock, telemetry)
        self._owner: Owner | None = None
        self.epoch = ""
        self._room = Room(self.evict, limits.evict_grace_seconds)
        self._reservations.on_refused = self._room.want
        self._checks: dict[Digest, asyncio.Task[None]] = {}
        self._checking = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._quarantine = Quarantine(self.reader, database, committer, clock, telemetry)
        self._keeper = Keeper(
            self.layout,
            self.reader,
            self._incoming,
            self._reservations,
            self._first_reads,
            self._quarantine,
            means,
        )
        self._compactor = Compactor(self.reader, self._quarantine, means)

    def open(self) -> None:
        """Check whose directory it is, make what is missing in it, and begin. Call it once, in a thread.

        Raises:
            StoreMismatch: the data directory and the database do not belong together.
        """
        self._owner = own(self.layout, self._database, self._committer)
        self._keeper.begin(self._owner.instance)
        self.epoch = self._database.read(tables.epoch)
        unclean = self._running.begin()
        if unclean:
            parts = self._sweeper.delete_parts_of_the_dead()
            log.warning("blobs.unclean_stop", remedy="every blob is hashed when it is first read", parts_removed=parts)
        self._first_reads.begin(unclean=unclean)
        self._uses.start()
        self._room.start()

    def close(self) -> None:
        """Write down the uses and leave a clean mark. The committer must still run."""
        try:
            self._room.close()
            self._uses.close()
        finally:
            self._running.end()

    def what_hinders_writing(self) -> str | None:
        """Why nothing durable can be written, found out by doing so; a full disk hinders only what is new. In a thread.

        Raises:
            StoreMismatch: the data directory is damaged.
        """
        return self.layout.what_hinders_writing(self._owner)

    def hold(self, holders: Sequence[Holder]) -> None:
        """Name everybody whose tables refer to blobs; until then nothing is swept or evicted."""
        self.holders = tuple(holders)

    # Writing

    def begin(
        self,
        size: int | None,
        owner: str,
        *,
        at_most: int | None = None,
        is_set_aside: bool = True,
        algorithms: Sequence[str] = (),
    ) -> Part:
        """A new part file.

        Args:
            size: its length, where it is known: its space is promised before a byte moves.
            at_most: where it is not: the most that it can be, and that is promised.
            is_set_aside: False: that may be far more than will come, and space is promised as it grows.
            owner: what it is for, in words for the log.
            algorithms: what it is hashed with beside SHA-256, by `hashlib`'s names.

        Raises:
            NoSpace: the disk has not so much above its reserve.
            TooLong: one file may not have so much.
            ReadOnly: the disk has failed several times.
        """
        self._keeper.refuse_if_failed()
        return self._incoming.begin(size, owner, at_most, algorithms, promise=0 if is_set_aside else 1)

    def claim(self, key: str) -> Claim:
        """The right to bring the bytes that all of the hub's processes know as `key`; take it before `begin`."""
        return Claim(self.layout.incoming, key, self._pools.disk)

    def forget_places(self) -> None:
        """Another process has moved small blobs, or put some into quarantine."""
        self.reader.forget_all()

    async def keep(
        self, part: Part, reference: Reference[T], *, beside: Sequence[bytes] = (), gathers: bool = False
    ) -> T:
        """Make a finished part a blob and refer to it, all or nothing; on return both are durable.

        Should `reference` refuse (by raising), the bytes are garbage, and the part is as it was: it may be kept anew.

        Args:
            reference: makes the door's reference; it is given the part's digest.
            beside: small bytes that become blobs in the same transaction, for `reference` to refer to as well.
            gathers: as for `Committer.write`.

        Raises:
            NotDurable, NoSpace: the disk failed; the part is worth nothing any more, its bytes must come anew.
            ReadOnly: it failed too often.
            WritesBusy, DiskFull, DatabaseUnavailable: the row could not be written; the same part may be kept later.
            Exception: what `reference` raised, or what the part was aborted with.
        """
        return await self._keeper.keep(part, reference, beside=beside, gathers=gathers)

    def keep_bytes(self, data: bytes, reference: Reference[T]) -> T:
        """`keep`, for small bytes that are in memory; for threads.

        Raises:
            Exception: as `begin` and `keep`.
        """
        return self._keeper.keep_bytes(data, reference)

    def keep_small(self, bodies: Sequence[Body], reference: Callable[[Connection], T]) -> T:
        """`keep_bytes` of many small ones, by one sync and few statements. For threads.

        Raises:
            ValueError: one of them has more than `limits.small_bytes`.
            Exception: as `keep_bytes`.
        """
        return self._keeper.keep_small(bodies, reference)

    def refer(self, connection: Connection, digest: Digest) -> None:
        """Before a reference to a blob that is here already is made: take its row, in the same transaction.

        Raises:
            BlobMissing: it is not here, or about to go: its bytes must come anew.
        """
        if not tables.take(connection, digest, self._clock.now()) or not self.reader.is_here(connection, digest):
            raise BlobMissing(digest)

    def refer_all(self, connection: Connection, digests: Sequence[Digest]) -> set[Digest]:
        """`refer`, of many in few statements: those that are here; the others must come anew."""
        tables.take_all(connection, digests, self._clock.now())
        return self.reader.those_here(connection, digests)

    def note_digests(self, connection: Connection, digest: Digest, values: Mapping[str, str]) -> None:
        """Write down what a blob hashes to by other algorithms (hexadecimal), in the transaction that refers to it."""
        other_digests.note_digests(connection, digest, values)

    def other_digests(self, connection: Connection, digests: Sequence[Digest]) -> dict[Digest, dict[str, str]]:
        """What is noted of these blobs, in hexadecimal digits, by algorithm."""
        return other_digests.other_digests(connection, digests)

    # Reading

    def locate(self, digest: Digest, size: int) -> Extent:
        """Where a blob's bytes lie. For threads.

        Raises:
            BlobMissing: they are not here.
            BlobCorrupt: the file has another size. Tell `quarantine`, as `prepare` does.
        """
        return _checked(self.reader.locate(digest), digest, size)

    async def find(self, digest: Digest, size: int) -> Extent:
        """`locate`, for the event loop: one look at the disk, and a statement only for what is new to this process.

        Raises:
            BlobMissing, BlobCorrupt: as `locate`.
        """
        found = self.reader.locate_at_once(digest)
        if found is None:
            found = await self._pools.database.run(self.reader.locate, digest)
        return _checked(found, digest, size)

    def those_here(self, connection: Connection, digests: Sequence[Digest]) -> set[Digest]:
        """Of many, those whose bytes are here as their rows say; a look at the disk for each, and nothing is taken."""
        return self.reader.those_here(connection, digests)

    def locate_all(self, digests: Sequence[Digest]) -> list[Extent]:
        """`locate`, of many by one statement, whatever their sizes. For threads.

        Raises:
            BlobMissing: the first of them that is not here.
        """
        found = self.reader.locate_all(digests)
        for digest, extent in zip(digests, found, strict=True):
            if extent is None:
                raise BlobMissing(digest)
        return [extent for extent in found if extent is not None]

    def checksums(self, digests: Sequence[Digest]) -> dict[Digest, int]:
        """The CRC-32 of each that is here. For threads."""
        return self._database.read(lambda connection: tables.checksums(connection, digests))

    async def prepare(self, digest: Digest, size: int) -> Extent:
        """`locate`, and whatever else must happen before the bytes may be sent.

        After an unclean stop a blob of up to 1 MiB is hashed here at its first read; a larger one is hashed beside
        its first answer, which asks `check_of` and holds its last piece back. What is found wrong goes to quarantine.
        In the usual case nothing is waited for.

        Raises:
            BlobMissing, BlobCorrupt: as `locate`.
        """
        try:
            extent = await self.find(digest, size)
        except BlobCorrupt as error:
            await self.quarantine(digest, error.reason)
            raise
        if self._first_reads.is_wanted(digest):
            check = self.verify_first(digest)
            if size <= VERIFIED_BEFORE_SERVED:
                await asyncio.shield(check)
        return extent

    def check_of(self, digest: Digest) -> asyncio.Task[None] | None:
        """The hashing of a blob that `prepare` began and did not wait for; what is sent ends after it. None: known."""
        return self._checks.get(digest)

    def needs_verification(self, digest: Digest) -> bool:
        """Is its next read the first one after an unclean stop?"""
        return self._first_reads.is_wanted(digest)

    def verify_first(self, digest: Digest) -> asyncio.Task[None]:
        """Hash a blob in a thread, once however many ask; the task raises `BlobCorrupt` or `BlobMissing`."""
        check = self._checks.get(digest)
        if check is None:
            check = self._checks[digest] = asyncio.create_task(self._check(digest))
            check.add_done_callback(lambda done: self._checked(digest, done))
        return check

    def read(self, digest: Digest, max_bytes: int) -> bytes:
        """A small blob's bytes, hashed at each read, which for so few costs less than looking up their size.

        For threads.

        Raises:
            BlobMissing: it is not here.
            BlobCorrupt: it is wrong (and in quarantine now), or longer than `max_bytes`.
        """
        data = b"".join(self.reader.open(digest, 0, max_bytes + 1))
        if len(data) > max_bytes:
            raise BlobCorrupt(digest, f"it has more than {max_bytes} bytes")
        found = digest_of(data)
        if found != digest:
            reason = f"their SHA-256 is {found}"
            self.quarantine_now(digest, reason)
            raise BlobCorrupt(digest, reason)
        self._first_reads.passed(digest)
        return data

    def used(self, digest: Digest) -> None:
        """Somebody was served it: it is the last that eviction takes. Costs a dictionary's store."""
        self._uses.note(digest)

    def flush_uses(self) -> None:
        """Write down all uses at once, as happens every `limits.uses_seconds` by itself.

        Raises:
            WritesBusy, DiskFull, DatabaseUnavailable: nothing is forgotten.
        """
        self._uses.flush()

    def lease(self, digest: Digest) -> AbstractContextManager[None]:
        """While this lasts, the blob is not evicted."""
        return self._uses.lease(digest)

    # Growing no larger

    def sweep(self, *, dry_run: bool = False, slices: int = 1) -> Swept:
        """Delete what nobody holds any more, after the grace; for a job's thread, every hour or so.

        Files without a row are searched for in `slices` sixteenths of the tree, the next ones at each call.

        Raises:
            DatabaseUnavailable, WritesBusy: ask again later; every step that was done stays done.
        """
        swept = self._sweeper.sweep(self.holders, dry_run=dry_run, slices=slices)
        if dry_run or swept.skipped is not None:
            return swept
        return replace(swept, segments=self._compactor.run().removed)

    def evict(self, *, dry_run: bool = False) -> Evicted:
        """Let go of what can be fetched again, as the cache's limits and the disk's reserve want it; each minute.

        Raises:
            DatabaseUnavailable, WritesBusy: as `sweep`.
        """
        return self._sweeper.evict(self.holders, dry_run=dry_run)

    def free_bytes(self) -> int:
        """What may still be written: free space, less the reserve and what is promised to part files."""
        return max(self._reservations.free(), 0)

    def reserved_bytes(self) -> int:
        """What is promised to part files and not yet written."""
        return self._reservations.outstanding

    def leaving_bytes(self) -> int:
        """What is evicted or garbage, and goes after its grace, and what can be evicted; a walk through an index."""
        return self._sweeper.leaving_bytes(self.holders)

    def want_room(self, count: int, owner: str) -> None:
        """So many bytes do not fit: the cache gives way to them, as far as it can, in a while."""
        self._reservations.did_not_fit(count, owner)

    # What is wrong

    def scrub(self, every_seconds: float) -> list[Finding]:
        """Read the share of all blobs that is due where this is called every so many seconds; for a job's thread.

        What is wrong goes to quarantine and is named.

        Raises:
            DatabaseUnavailable, DiskFull, WritesBusy: ask again later; little is read twice.
        """
        return self._scrub.run_slice(self.holders, every_seconds)

    async def quarantine(self, digest: Digest, reason: str) -> None:
        """`quarantine_now`, for the event loop."""
        await self._pools.disk.run(self.quarantine_now, digest, reason)

    def quarantine_now(self, digest: Digest, reason: str) -> None:
        """Move wrong bytes out of the way, to `quarantine/<sha256>.<micros>`; the row says `corrupt`."""
        self._quarantine.put(digest, reason)

    # Steps

    async def _check(self, digest: Digest) -> None:
        try:
            async with self._checking:
                await self._pools.disk.run(self._first_reads.verify, digest)
        except BlobCorrupt as error:
            await self.quarantine(digest, error.reason)
            raise

    def _checked(self, digest: Digest, done: asyncio.Task[None]) -> None:
        del self._checks[digest]
        if not done.cancelled() and done.exception() is not None:
            log.warning("blobs.check_failed", digest=digest, error=str(done.exception()))
