"""How bytes become a blob, and durable.

The order of the durable write, which no other code may shorten:

1. the bytes are hashed as they arrive, in a part file, or in memory while they are few (`incoming.py`);
2. the file is synced, linked to its name, its directory synced (`local.py`); what is small is written into a segment
   by the committer, and synced together with whatever else waits (`segments.py`);
3. one database write takes the blob's row and makes the reference (`_admit`);
4. only then is the part file dropped.

Steps 2 and 3 begin anew when a sweep has got hold of the blob in between.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from creamery.blobs import places, tables
from creamery.blobs.incoming import Incoming, Part, PartFile
from creamery.blobs.means import Means
from creamery.blobs.ownership import Layout, locked
from creamery.blobs.quarantine import Quarantine
from creamery.blobs.reader import Reader
from creamery.blobs.reservations import Reservations
from creamery.blobs.segments import Body, SegmentWriter
from creamery.blobs.store import BlobCorrupt, BlobMissing, NoSpace, NotDurable, ReadOnly
from creamery.blobs.verification import FirstReads
from creamery.contract import Digest, digest_of
from creamery.telemetry import log

T = TypeVar("T")

Reference = Callable[[Connection, Digest], T]
"""Makes a door's reference to a blob, in the transaction that makes the blob."""

FAILURES_UNTIL_READ_ONLY = 3
ATTEMPTS = 20


class _Gone(Exception):
    """The row is `gone`, or the file went between its linking and its row."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(digest)
        self.digest = digest


@dataclass(slots=True)
class _Coming:
    """Bytes that are to become a blob: a part's, or some in memory. `body` is for those that go into a segment."""

    digest: Digest
    size: int
    crc32: int
    source: Part | bytes
    body: Body | None = None

    def fresh(self) -> tables.Fresh:
        """What its row says, once the bytes are in their place."""
        return tables.Fresh(self.digest, self.size, self.crc32, None if self.body is None else self.body.place)


def _bodies(together: Sequence[_Coming]) -> list[Body]:
    """What is to be written into a segment, and is not yet."""
    return [coming.body for coming in together if coming.body is not None and coming.body.place is None]


class Keeper:
    """Makes blobs. Coroutines belong to the event loop, everything else may be called from any thread."""

    def __init__(
        self,
        layout: Layout,
        reader: Reader,
        incoming: Incoming,
        reservations: Reservations,
        first_reads: FirstReads,
        quarantine: Quarantine,
        means: Means,
    ) -> None:
        self._layout = layout
        self._reader = reader
        self._store = reader.files
        self._incoming = incoming
        self._reservations = reservations
        self._first_reads = first_reads
        self._quarantine = quarantine
        self._database = means.database
        self._committer = means.committer
        self._limits = means.limits
        self._clock = means.clock
        self._pools = means.pools
        self._segment = SegmentWriter(layout.segments, means.limits.segment_bytes)
        self._disk_failures = 0
        self._kept = means.telemetry.counter("blobs_kept", "Blobs that were made durable, those known before included.")
        means.committer.bring_bodies(self._append, self._segment.close)

    def begin(self, instance: str) -> None:
        """Before the first body comes: whose store it is."""
        self._segment.begin(instance)

    async def keep(
        self, part: Part, reference: Reference[T], *, beside: Sequence[bytes] = (), gathers: bool = False
    ) -> T:
        """As `Blobs.keep`."""
        self.refuse_if_failed()
        together = [_Coming(part.kept_digest(), part.written, part.crc32, part)]
        together += [_Coming(digest_of(data), len(data), zlib.crc32(data), data) for data in beside]
        with ExitStack() as promised:
            for coming in together:
                self._choose(coming, promised)
            for _ in range(ATTEMPTS):
                try:
                    if any(map(self._wants_the_disk, together)):
                        await self._pools.disk.run(self._place_all, together)
                    admit = partial(self._admit, together, reference)
                    value = await self._committer.commit(admit, _bodies(together), gathers=gathers)
                except (NotDurable, NoSpace) as error:
                    part.spoil(error)
                    raise
                except _Gone as error:
                    await self._pools.disk.run(self._clear, error.digest)
                else:
                    await part.drop_soon()
                    return value
        raise self._never_stays(together[0].digest)

    def keep_bytes(self, data: bytes, reference: Reference[T]) -> T:
        """As `Blobs.keep_bytes`."""
        self.refuse_if_failed()
        together = [_Coming(digest_of(data), len(data), zlib.crc32(data), data)]
        with ExitStack() as promised:
            self._choose(together[0], promised)
            for _ in range(ATTEMPTS):
                self._place_all(together)
                try:
                    return self._committer.write(partial(self._admit, together, reference), _bodies(together))
                except _Gone as error:
                    self._clear(error.digest)
        raise self._never_stays(together[0].digest)

    def keep_small(self, bodies: Sequence[Body], reference: Callable[[Connection], T]) -> T:
        """As `Blobs.keep_small`."""
        self.refuse_if_failed()
        if any(len(body.data) > self._limits.small_bytes for body in bodies):
            raise ValueError(f"bytes are kept as small that have more than {self._limits.small_bytes}")
        together = [_Coming(body.digest, len(body.data), body.crc32, body.data, body) for body in bodies]
        digests = [body.digest for body in bodies]

        def admit(connection: Connection) -> T:
            now = self._clock.now()
            for fresh in tables.add_all(connection, [coming.fresh() for coming in together], now):
                if not (tables.take(connection, fresh.digest, now) and self._is_whole(connection, fresh)):
                    raise _Gone(fresh.digest)
            return reference(connection)

        with ExitStack() as promised:
            total = sum(coming.size for coming in together)
            promised.callback(self._reservations.reserve(total, "small files").release)
            for _ in range(ATTEMPTS):
                if any(self._first_reads.is_wanted(digest) for digest in digests):
                    self._place_all(together)
                try:
                    value = self._committer.write(admit, _bodies(together))
                except _Gone as error:
                    self._clear(error.digest)
                else:
                    self._count_kept(digests)
                    return value
        raise self._never_stays(digests[0])

    def refuse_if_failed(self) -> None:
        """Does the disk still deserve to be written to?

        Raises:
            ReadOnly: it has failed several times.
        """
        if self._disk_failures >= FAILURES_UNTIL_READ_ONLY:
            raise ReadOnly(
                f"the disk under {self._layout.data} has failed {self._disk_failures} times while it was written;"
                " reading goes on. Check the disk and its log, then start the hub anew"
            )

    # Steps

    def _choose(self, coming: _Coming, promised: ExitStack) -> None:
        """Decide where it will lie, and have the space for it promised until it is there."""
        data = coming.source.held if isinstance(coming.source, Part) else coming.source
        if data is not None and coming.size <= self._limits.small_bytes > 0:
            coming.body = Body(data, coming.digest, coming.crc32)
        if not isinstance(coming.source, Part):  # which has its own
            promised.callback(self._reservations.reserve(coming.size, coming.digest).release)

    def _wants_the_disk(self, coming: _Coming) -> bool:
        return coming.body is None or self._first_reads.is_wanted(coming.digest)

    def _place_all(self, together: Sequence[_Coming]) -> None:
        """Step 2 for what comes into being together and is not small."""
        for coming in together:
            if self._first_reads.is_wanted(coming.digest):
                self._verify_present(coming.digest)
            if coming.body is not None:
                continue
            if isinstance(coming.source, Part):
                self._place(coming.source.path, coming, coming.source.descriptor)
            else:
                self._place_bytes(coming.source, coming)

    def _place_bytes(self, data: bytes, coming: _Coming) -> None:
        """Steps 1 and 2 for bytes that are in memory and not small."""
        file = PartFile(self._incoming.new_path(), self._reservations.reserve(0, coming.digest))
        try:
            file.append([data])
            self._place(file.path, coming, file.descriptor)
        finally:
            file.close()

    def _verify_present(self, digest: Digest) -> None:
        """What is here already and nobody has hashed since an unclean stop."""
        try:
            self._first_reads.verify(digest)
        except BlobCorrupt as error:
            self._quarantine.put(digest, error.reason)
        except BlobMissing:
            pass  # it is new, or swept this moment

    def _place(self, source: Path, coming: _Coming, descriptor: int) -> None:
        try:
            self._store.keep(source, coming.digest, coming.size, descriptor=descriptor)
        except NotDurable as error:
            self._count_failure(error)
            raise

    def _append(self, bodies: Sequence[Body]) -> None:
        """Step 2 for what is small, in the committer's thread."""
        try:
            self._segment.append(bodies)
        except NotDurable as error:
            self._count_failure(error)
            raise

    def _count_failure(self, error: NotDurable) -> None:
        self._disk_failures += 1
        log.error("blobs.disk_failed", error=str(error), failures=self._disk_failures)

    def _admit(self, together: Sequence[_Coming], reference: Reference[T], connection: Connection) -> T:
        """Step 3, in the committer's transaction.

        The look at the bytes must come after the row is taken: only a row in `gone` allows a sweep to unlink, and its
        row goes after the file. So with the row in our hands the file stays, or is already away.
        """
        now = self._clock.now()
        for coming in together:
            fresh = coming.fresh()
            if tables.add(connection, fresh, now):
                is_whole = fresh.place is not None or self._store.size(fresh.digest) == fresh.size
            else:
                is_whole = tables.take(connection, fresh.digest, now) and self._is_whole(connection, fresh)
            if not is_whole:
                raise _Gone(fresh.digest)
        value = reference(connection, together[0].digest)
        self._count_kept([coming.digest for coming in together])
        return value

    def _count_kept(self, digests: Sequence[Digest]) -> None:
        self._kept.inc(len(digests))
        for digest in digests:
            self._first_reads.passed(digest)

    def _is_whole(self, connection: Connection, fresh: tables.Fresh) -> bool:
        """Is it here, as its row says? Where it is not and comes into a segment, the row learns its new place."""
        if self._reader.is_whole(connection, fresh):
            return True
        if fresh.place is None:
            return False
        places.set_place(connection, fresh.digest, fresh.place)
        return True

    def _clear(self, digest: Digest) -> None:
        """Finish what the sweep that set the row to `gone` has begun, after it or, where it died, for it.

        Whoever unlinks holds the lock of `sweeping`, so no slow sweep can come later and unlink what we put there.
        """
        with locked(self._layout.sweeping, self._clock, self._limits.lock_seconds):
            state = self._database.read(lambda connection: tables.state_of(connection, digest))
            if state == tables.GONE:
                self._store.delete(digest)
                self._committer.write(lambda connection: tables.remove_gone(connection, [digest]))

    def _never_stays(self, digest: Digest) -> NotDurable:
        return NotDurable(
            f"the file of {digest} vanished {ATTEMPTS} times while it was kept: something else deletes files in"
            f" {self._layout.blobs}"
        )
