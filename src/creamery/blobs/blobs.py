"""Bytes by SHA-256: what arrives, how it becomes durable, where it lies.

The order of the durable write, which no other code may shorten:

1. the bytes are hashed as they arrive, in a part file (`incoming.py`);
2. the file is synced, linked to its name, its directory synced (`local.py`);
3. one database write takes the blob's row and makes the reference (`_admit`);
4. only then is the part file dropped.

Steps 2 and 3 begin anew when a sweep has got hold of the blob in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from creamery.blobs import tables
from creamery.blobs.audit import Finding
from creamery.blobs.claims import Claim
from creamery.blobs.holders import Holder
from creamery.blobs.incoming import Incoming, Part, PartFile
from creamery.blobs.local import LocalStore
from creamery.blobs.ownership import Layout, Owner, Running, locked, own
from creamery.blobs.quarantine import Quarantine
from creamery.blobs.reservations import Reservations
from creamery.blobs.room import Room
from creamery.blobs.scrub import Scrub
from creamery.blobs.store import BlobCorrupt, BlobMissing, Extent, NoSpace, NotDurable, ReadOnly
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

Reference = Callable[[Connection, Digest], T]
"""Makes a door's reference to a blob, in the transaction that makes the blob."""

VERIFIED_BEFORE_SERVED = MIB
FAILURES_UNTIL_READ_ONLY = 3
ATTEMPTS = 20
CHECKS_AT_ONCE = 4
"""Less than the disk's threads: hashing after an unclean stop must not keep everybody from reading."""


class _Gone(Exception):
    """The row is `gone`, or the file went between its linking and its row."""


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
        self.layout = Layout(data)
        self.store = LocalStore(self.layout.blobs, self.layout.quarantine)
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
        self._first_reads = FirstReads(self.store)
        self._running = Running(self.layout)
        self._sweeper = Sweeper(
            self.layout,
            self.store,
            self._reservations,
            self._uses,
            database,
            committer,
            limits,
            cache,
            clock,
            telemetry,
        )
        self._scrub = Scrub(data, database, committer, limits, clock, telemetry)
        self._owner: Owner | None = None
        self.epoch = ""
        self._room = Room(self.evict, limits.evict_grace_seconds)
        self._reservations.on_refused = self._room.want
        self._checks: dict[Digest, asyncio.Task[None]] = {}
        self._checking = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._disk_failures = 0
        self._kept = telemetry.counter("blobs_kept", "Blobs that were made durable, those known before included.")
        self._quarantine = Quarantine(self.store, committer, clock, telemetry)

    def open(self) -> None:
        """Check whose directory it is, make what is missing in it, and begin. Call it once, in a thread.

        Raises:
            StoreMismatch: the data directory and the database do not belong together.
        """
        self._owner = own(self.layout, self._database, self._committer)
        self.epoch = self._database.read(tables.epoch)
        unclean = self._running.begin()
        if unclean:
            log.warning("blobs.unclean_stop", remedy="every blob is hashed when it is first read")
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

    def begin(self, size: int | None, owner: str) -> Part:
        """A new part file.

        Args:
            size: its length, where it is known: its space is promised before a byte moves.
            owner: what it is for, in words for the log.

        Raises:
            NoSpace: the disk has not so much above its reserve.
            TooLong: one file may not have so much.
            ReadOnly: the disk has failed several times.
        """
        self._refuse_if_failed()
        return self._incoming.begin(size, owner)

    def claim(self, key: str) -> Claim:
        """The right to bring the bytes that all of the hub's processes know as `key`; take it before `begin`."""
        return Claim(self.layout.incoming, key, self._pools.disk)

    async def keep(self, part: Part, reference: Reference[T]) -> T:
        """Make a finished part a blob and refer to it, all or nothing; on return both are durable.

        Should `reference` refuse (by raising), the bytes are garbage, and the part is as it was: it may be kept anew.

        Raises:
            NotDurable, NoSpace: the disk failed; the part is worth nothing any more, its bytes must come anew.
            ReadOnly: it failed too often.
            WritesBusy, DiskFull, DatabaseUnavailable: the row could not be written; the same part may be kept later.
            Exception: what `reference` raised, or what the part was aborted with.
        """
        self._refuse_if_failed()
        fresh = tables.Fresh(part.kept_digest(), part.written, part.crc32)
        for _ in range(ATTEMPTS):
            try:
                await self._pools.disk.run(self._place, part.path, fresh, part.descriptor)
            except (NotDurable, NoSpace) as error:
                part.spoil(error)
                raise
            try:
                value = await self._committer.commit(lambda connection: self._admit(connection, fresh, reference))
            except _Gone:
                await self._pools.disk.run(self._clear, fresh.digest)
            else:
                await self._pools.disk.run(part.drop)
                return value
        raise self._never_stays(fresh.digest)

    def keep_bytes(self, data: bytes, reference: Reference[T]) -> T:
        """`keep`, for small bytes that are in memory; for threads.

        Raises:
            Exception: as `begin` and `keep`.
        """
        self._refuse_if_failed()
        digest = digest_of(data)
        file = PartFile(self._incoming.new_path(), self._reservations.reserve(len(data), digest))
        try:
            file.append([data])
            fresh = tables.Fresh(digest, len(data), file.crc32)
            for _ in range(ATTEMPTS):
                self._place(file.path, fresh, file.descriptor)
                try:
                    return self._committer.write(lambda connection: self._admit(connection, fresh, reference))
                except _Gone:
                    self._clear(fresh.digest)
            raise self._never_stays(fresh.digest)
        finally:
            file.close()

    def refer(self, connection: Connection, digest: Digest) -> None:
        """Before a reference to a blob that is here already is made: take its row, in the same transaction.

        Raises:
            BlobMissing: it is not here, or about to go: its bytes must come anew.
        """
        if not tables.take(connection, digest, self._clock.now()) or self.store.size(digest) is None:
            raise BlobMissing(digest)

    # Reading

    def locate(self, digest: Digest, size: int) -> Extent:
        """Where a blob's bytes lie. One look at the disk, no statement; may be called on the event loop.

        Raises:
            BlobMissing: they are not here.
            BlobCorrupt: the file has another size. Tell `quarantine`, as `prepare` does.
        """
        found = self.store.size(digest)
        if found is None:
            raise BlobMissing(digest)
        if found != size:
            raise BlobCorrupt(digest, f"{found} bytes lie there instead of {size}")
        return Extent(self.store.path(digest), 0, size)

    async def prepare(self, digest: Digest, size: int) -> Extent:
        """`locate`, and whatever else must happen before the bytes may be sent.

        After an unclean stop a blob of up to 1 MiB is hashed here at its first read; a larger one is hashed beside
        its first answer, which asks `check_of` and holds its last piece back. What is found wrong goes to quarantine.
        In the usual case nothing is waited for.

        Raises:
            BlobMissing, BlobCorrupt: as `locate`.
        """
        try:
            extent = self.locate(digest, size)
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
        data = b"".join(self.store.open(digest, 0, max_bytes + 1))
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
        return self._sweeper.sweep(self.holders, dry_run=dry_run, slices=slices)

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

    def _place(self, source: Path, fresh: tables.Fresh, descriptor: int) -> None:
        """Step 2. What lies at the name already is hashed where nobody has done so since an unclean stop."""
        if self._first_reads.is_wanted(fresh.digest) and self.store.size(fresh.digest) is not None:
            try:
                self._first_reads.verify(fresh.digest)
            except BlobCorrupt as error:
                self.quarantine_now(fresh.digest, error.reason)
            except BlobMissing:
                pass  # swept this moment
        try:
            self.store.keep(source, fresh.digest, fresh.size, descriptor=descriptor)
        except NotDurable as error:
            self._disk_failures += 1
            log.error("blobs.disk_failed", digest=fresh.digest, error=str(error), failures=self._disk_failures)
            raise

    def _admit(self, connection: Connection, fresh: tables.Fresh, reference: Reference[T]) -> T:
        """Step 3, in the committer's transaction.

        The look at the file must come after the row is taken: only a row in `gone` allows a sweep to unlink, and its
        row goes after the file. So with the row in our hands the file stays, or is already away.
        """
        now = self._clock.now()
        if not tables.add(connection, fresh, now) and not tables.take(connection, fresh.digest, now):
            raise _Gone
        if self.store.size(fresh.digest) != fresh.size:
            raise _Gone
        value = reference(connection, fresh.digest)
        self._first_reads.passed(fresh.digest)
        self._kept.inc()
        return value

    def _clear(self, digest: Digest) -> None:
        """Finish what the sweep that set the row to `gone` has begun, after it or, where it died, for it.

        Whoever unlinks holds the lock of `sweeping`, so no slow sweep can come later and unlink what we put there.
        """
        with locked(self.layout.sweeping, self._clock, self._limits.lock_seconds):
            state = self._database.read(lambda connection: tables.state_of(connection, digest))
            if state == tables.GONE:
                self.store.delete(digest)
                self._committer.write(lambda connection: tables.remove_gone(connection, [digest]))

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

    def _refuse_if_failed(self) -> None:
        if self._disk_failures >= FAILURES_UNTIL_READ_ONLY:
            raise ReadOnly(
                f"the disk under {self.layout.data} has failed {self._disk_failures} times while it was written;"
                " reading goes on. Check the disk and its log, then start the hub anew"
            )

    def _never_stays(self, digest: Digest) -> NotDurable:
        return NotDurable(
            f"the file of {digest} vanished {ATTEMPTS} times while it was kept: something else deletes files in"
            f" {self.layout.blobs}"
        )
