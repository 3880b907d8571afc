"""Files that are not here: one transfer from upstream, followed by all who want the file.

A flight outlives the client that began it, resumes where its upstream broke off, and ends in the store; SHA-256 runs
alongside, and the part file holds its last piece back until the hash matched, so a wrong file completes nowhere and
is kept nowhere. Of the hub's processes one fetches a file, and the others' flights take it from that one's part file.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Literal

from sqlalchemy import Connection

from creamery.blobs import (
    BlobCorrupt,
    BlobError,
    BlobMissing,
    Blobs,
    Claim,
    HashMismatch,
    LengthMismatch,
    Lent,
    Part,
)
from creamery.clock import Clock
from creamery.contract import Digest, ProjectName
from creamery.database import DatabaseUnavailable, DiskFull, WritesBusy
from creamery.egress import BadAnswer, Egress, EgressError, TooSlow, Unreachable, public_reason
from creamery.index.catalog import Catalog
from creamery.index.metadata import enqueue_metadata
from creamery.index.project import KeptFile, KnownProject, StoredFile
from creamery.index.tables import HashChanged, find_project, record_bytes
from creamery.index.transfer import Transfer
from creamery.index.upstream import UpstreamDown, Upstreams
from creamery.limits import Limits
from creamery.sharing import another, forget_frames
from creamery.telemetry import Telemetry, log

FAILED_SECONDS = 5.0
"""How long a failed file is not asked for again: its next askers get the same answer at once."""

CLAIM_LOOK_SECONDS = 0.02
"""How often a process looks what another one has of a file that both want."""

BEAT_SECONDS = 1.0
CLAIM_SILENT_SECONDS = 5.0
"""How often who fetches a file for others shows that it lives, and how long they wait for that."""

KEEP_SECONDS = 600.0
KEEP_PAUSE_SECONDS = 2.0
"""How long, and how often, it is tried to store a file that has come whole while the database does not take its row."""

PROGRESS_BYTES = 64 * 1024

_Key = tuple[ProjectName, str]


class FileGone(Exception):
    """The upstream lists the file and has it no more."""


class WrongBytes(Exception):
    """The upstream sent other bytes than its page announces."""


class NotKept(Exception):
    """The file has come whole, and its row could not be written."""


class _Flight:
    """One file on its way.

    Attributes:
        came: what its askers wait for: the part file, once the first answer is there; or the stored file, where
            another process was quicker.
    """

    def __init__(self, file: KeptFile, claim: Claim, transfer: Transfer, blobs: Blobs) -> None:
        self.file = file
        self.url = file.listed_file.url
        self.claim = claim
        self.transfer = transfer
        self.came: asyncio.Future[Part | StoredFile] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None
        self._blobs = blobs

    @property
    def key(self) -> _Key:
        """What its askers ask for."""
        return self.file.project, self.file.filename

    @property
    def has_begun(self) -> bool:
        """Do its askers have what they waited for, and read on?"""
        return self.came.done()

    @property
    def is_complete(self) -> bool:
        """Are all bytes in the part file, as far as can be told?"""
        return self.has_begun and self.transfer.received == self.transfer.size

    def part(self) -> Part:
        """The part file, begun now where there is none.

        Raises:
            NoSpace, TooLong, ReadOnly: there is no room for it.
        """
        if not self.has_begun:
            self.came.set_result(self._blobs.begin(self.transfer.size, "/".join(self.key)))
        part = self.came.result()
        assert isinstance(part, Part)  # noqa: S101 - a flight that ended with a stored file is over
        return part

    async def take(self, chunk: bytes) -> None:
        """These bytes came next."""
        self.transfer.took(chunk)
        await self.part().write(chunk)

    async def take_lent(self, lent: Lent) -> bool:
        """These bytes came next, from another process. False: there is no room to begin a part file of our own.

        Raises:
            NoSpace: the room ended later.
        """
        if self.transfer.size is None:
            self.transfer.size = lent.size
        needed = self.transfer.size or len(lent.data)
        if not self.has_begun and self._blobs.free_bytes() < needed:  # not refused: the cache need not give way to it
            return False
        if lent.data:
            await self.take(lent.data)
        return True

    async def finish(self, expected: Digest | None) -> Digest:
        """All bytes are here: let the last piece go, if they are the right ones.

        Raises:
            WrongBytes: they are not.
        """
        other = self.transfer.other_hash
        if other.differs():
            raise WrongBytes(f"{self.url} sent other bytes than its page announces: {other.algorithm} differs")
        try:
            return await self.part().finish(expected)
        except (HashMismatch, LengthMismatch) as error:
            raise WrongBytes(f"{self.url} sent other bytes than its page announces: {error}") from error

    async def is_vouched_for(self) -> bool:
        """Nobody knew its length, and its answer broke off: is what came what the page announces all the same?"""
        if not self.has_begun or self.transfer.size is not None or self.file.expected is None:
            return False
        await self.part().flush()
        return self.part().running_digest() == self.file.expected

    def fail(self, error: Exception) -> None:
        """Tell all who wait and all who follow. The error forgets its frames, which would keep the part file open."""
        forget_frames(error)
        if not self.has_begun:
            self.came.set_exception(error)
            self.came.exception()  # heard: all who waited may have gone
        elif self.came.exception() is None and isinstance(part := self.came.result(), Part):
            part.abort(error)


class Downloads:
    """Flights by file. Used on the event loop only."""

    def __init__(
        self,
        catalog: Catalog,
        upstreams: Upstreams,
        egress: Egress,
        blobs: Blobs,
        clock: Clock,
        limits: Limits,
        telemetry: Telemetry,
    ) -> None:
        self._catalog = catalog
        self._upstreams = upstreams
        self._egress = egress
        self._blobs = blobs
        self._clock = clock
        self._limits = limits
        self._flights: dict[_Key, _Flight] = {}
        self._failed: dict[_Key, tuple[float, Exception]] = {}
        self._slots = asyncio.Semaphore(limits.upstream_flights)
        self._bytes = telemetry.counter("index_fetched_bytes", "Bytes of files fetched from upstreams.")
        files = telemetry.counter("index_files", "Files and METADATA that were asked for.", ["outcome"])
        self._files = {"hit": files.labels("hit"), "miss": files.labels("miss")}
        self._ended = telemetry.counter("index_flights", "Transfers of files from upstreams.", ["outcome"])

    def refuse_unasked(self, file: KeptFile) -> None:
        """Before anything is said of a file that is not here.

        Raises:
            UpstreamDown: its origin is not asked for it.
        """
        self._upstreams.refuse_unasked(file)

    async def follow(self, file: KeptFile) -> Part | StoredFile:
        """The part file of this file's flight, begun now where there is none; returns when its first answer is there.

        The stored file in its place, where another process has just ended its own flight.

        Raises:
            FileGone: the upstream answers 404.
            UpstreamDown: the upstream cannot be asked.
            WrongBytes: it sent something else a moment ago.
            NoSpace: the disk has no room for it.
        """
        key = (file.project, file.filename)
        flight = self._flights.get(key)
        if flight is None:
            self._upstreams.refuse_unasked(file)
            self._raise_failure(key)
            transfer = Transfer(file, self._limits, self._clock)
            flight = self._flights[key] = _Flight(file, self._blobs.claim("/".join(key)), transfer, self._blobs)
            flight.task = asyncio.get_running_loop().create_task(self._fly(flight))
        try:
            return await asyncio.shield(flight.came)
        finally:
            del flight  # the error that it may have ended with knows this frame

    async def bring(self, file: KeptFile) -> StoredFile:
        """Have the file here: returns when its flight has ended and its row says so.

        Raises:
            FileGone, UpstreamDown, WrongBytes, NoSpace: as `follow`; or whatever else ended its flight.
            NotKept: its bytes have come, and its row could not be written.
        """
        came = await self.follow(file)
        if isinstance(came, StoredFile):
            return came
        flight = self._flights.get((file.project, file.filename))
        if flight is not None and flight.task is not None:
            await asyncio.wait([flight.task])
        if came.failure is not None:
            raise another(came.failure)
        known = await self._catalog.file(file.project, file.filename)
        if known is None or known.stored is None:
            raise NotKept(f"{file.filename} has come, and could not be kept")
        return known.stored

    def count(self, outcome: Literal["hit", "miss"]) -> None:
        """A file was asked for, and was here or was not."""
        self._files[outcome].inc()

    async def close(self) -> None:
        """End all flights; what they have is lost, and begun anew when somebody asks."""
        tasks = [flight.task for flight in self._flights.values() if flight.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _raise_failure(self, key: _Key) -> None:
        failed = self._failed.get(key)
        if failed is None:
            return
        until, error = failed
        if self._clock.monotonic() < until:
            raise another(error)
        del self._failed[key]

    def _remember_failure(self, key: _Key, error: Exception) -> None:
        now = self._clock.monotonic()
        self._failed = {each: failed for each, failed in self._failed.items() if failed[0] > now}
        self._failed[key] = (now + FAILED_SECONDS, error)

    async def _fly(self, flight: _Flight) -> None:
        file = flight.file
        try:
            outcome = await self._carry(flight)
            self._ended.labels(outcome).inc()
        except asyncio.CancelledError:
            flight.fail(UpstreamDown(flight.url, "is no longer asked: the hub is stopping"))
            raise
        except (FileGone, UpstreamDown, WrongBytes, BlobError) as error:
            self._ended.labels(type(error).__name__).inc()
            log.warning("index.fetch_failed", project=file.project, file=file.filename, reason=str(error))
            if not isinstance(error, BlobError):  # room may come back at any moment; an upstream is left in peace
                self._remember_failure(flight.key, error)
            flight.fail(error)
        except (DiskFull, WritesBusy, DatabaseUnavailable, HashChanged) as error:
            # Its clients have it whole; only the hub does not, and fetches it anew for the next.
            self._ended.labels("not kept").inc()
            log.error("index.not_kept", project=file.project, file=file.filename, reason=str(error))
            flight.fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            self._ended.labels("failed").inc()
            log.error("index.flight_failed", project=file.project, file=file.filename, exc_info=error)
            flight.fail(error)
        finally:
            flight.claim.release()
            self._flights.pop(flight.key, None)

    async def _carry(self, flight: _Flight) -> Literal["kept", "shared"]:
        """Bring the file: transfer, verify, keep; or have it from the process that does."""
        await self._borrow(flight)
        beating = asyncio.get_running_loop().create_task(self._beat(flight.claim))
        try:
            if await self._is_stored(flight):
                return "shared"
            async with self._slots:
                await self._transfer(flight)
                digest = await flight.finish(flight.file.expected)
            await self._keep(flight, digest)
            return "kept"
        finally:
            beating.cancel()

    # From another process

    async def _borrow(self, flight: _Flight) -> None:
        """Until the claim is ours, take what the process that has it writes; should that one die, we go on.

        Where there is no room for the same bytes twice, who asks here waits until the other one has stored them.
        """
        if await flight.claim.take():
            return  # nobody had it: nobody lends
        heard, beat = self._clock.monotonic(), 0
        has_room = True
        while not await flight.claim.take():
            lent = await flight.claim.lent(flight.transfer.received)
            if (lent.data and has_room) or lent.beat != beat:
                heard, beat = self._clock.monotonic(), lent.beat
                has_room = has_room and await flight.take_lent(lent)
            elif self._clock.monotonic() - heard > CLAIM_SILENT_SECONDS:
                log.warning("index.claim_silent", project=flight.file.project, file=flight.file.filename)
                flight.claim.release()
                flight.claim = flight.claim.next_one()
                heard = self._clock.monotonic()
            else:
                await self._clock.pause(CLAIM_LOOK_SECONDS)
        while has_room and (lent := await flight.claim.lent(flight.transfer.received)).data:
            has_room = await flight.take_lent(lent)

    async def _beat(self, claim: Claim) -> None:
        while True:
            await self._clock.pause(BEAT_SECONDS)
            await claim.beat()

    async def _is_stored(self, flight: _Flight) -> bool:
        """Has another process stored it meanwhile? Then whoever waits here has it too."""
        file = await self._catalog.file(*flight.key)
        stored = None if file is None else file.stored
        if stored is None or (flight.has_begun and flight.transfer.received != stored.size):
            return False
        try:
            await self._blobs.find(stored.digest, stored.size)
        except (BlobMissing, BlobCorrupt):  # its row does not know yet: it comes anew
            return False
        if flight.has_begun:
            await flight.finish(stored.digest)
        else:
            flight.came.set_result(stored)
        return True

    # From upstream

    async def _transfer(self, flight: _Flight) -> None:
        """All bytes into the part file, over as many connections as it takes."""
        if flight.is_complete:  # lent by a process that could not keep it
            return
        if flight.has_begun:
            await flight.claim.announce(flight.part())
        attempts = 0
        while True:
            before = flight.transfer.received
            try:
                await self._one_connection(flight)
            except (Unreachable, TooSlow, BadAnswer) as error:
                if await flight.is_vouched_for():
                    return
                attempts = 1 if flight.transfer.received - before >= PROGRESS_BYTES else attempts + 1
                if attempts >= self._attempts(flight, error):
                    raise self._unavailable(flight, error) from error
                at = flight.transfer.received
                log.warning("index.resumed", file=flight.file.filename, at=at, reason=str(error))
                await self._clock.pause(min(0.1 * 2**attempts, 5.0))
            except EgressError as error:
                raise self._unavailable(flight, error) from error
            else:
                return

    def _attempts(self, flight: _Flight, error: EgressError) -> int:
        """How many tries a transfer has: once it has begun clients wait for it; before, they can be told at once.

        An upstream that stumbles over one request is asked a second time; one that is away is not.
        """
        if flight.has_begun:
            return self._limits.upstream_attempts
        stumbled = isinstance(error, BadAnswer) or (isinstance(error, Unreachable) and error.stage == "broken off")
        return 2 if stumbled else 1

    def _unavailable(self, flight: _Flight, error: EgressError) -> Exception:
        url = flight.url
        if isinstance(error, (Unreachable, TooSlow)):
            breaker, origin = self._upstreams.breaker(url), self._upstreams.origin_for(flight.file.origin)
            return self._upstreams.failed(breaker, origin, url, error)
        log.warning("index.fetch_refused", url=url, reason=str(error))
        return UpstreamDown(url, public_reason(error))

    async def _one_connection(self, flight: _Flight) -> None:
        url, transfer = flight.url, flight.transfer
        breaker = self._upstreams.breaker(url)
        if not flight.has_begun:
            self._upstreams.refuse_if_down(breaker, url)
        await self._upstreams.refuse_private(flight.file.project)
        origin = self._upstreams.origin_for(flight.file.origin)
        started = self._clock.monotonic()
        async with self._egress.request("GET", url, origin=origin, headers=transfer.headers()) as answer:
            if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE} and not flight.has_begun:
                raise FileGone(f"{url} answered {answer.status}")
            self._upstreams.heard(breaker, url, self._clock.monotonic() - started)
            if not transfer.begin(answer):
                return
            if not flight.has_begun:
                await flight.claim.announce(flight.part())
            async for chunk in transfer.new_bytes(answer, flight.part()):
                self._bytes.inc(len(chunk))
                await flight.take(chunk)

    async def _keep(self, flight: _Flight, digest: Digest) -> None:
        file, part, epoch = flight.file, flight.part(), self._catalog.epoch
        project = await self._store(flight)
        self._catalog.remember(project, epoch)
        pinned = file.pinned or file.expected is None
        self._catalog.remember_file(file.project, file.filename, StoredFile(digest, part.written, pinned), epoch)
        if pinned:
            log.warning("index.unverified", project=file.project, file=file.filename, digest=digest)

    async def _store(self, flight: _Flight) -> KnownProject:
        """Its clients have it whole, and whoever else comes has it from its part file until it is stored."""
        file, part, began = flight.file, flight.part(), self._clock.monotonic()
        while True:
            try:
                return await self._blobs.keep(
                    part, lambda connection, digest: self._record(connection, file, digest, part)
                )
            except (DiskFull, WritesBusy, DatabaseUnavailable) as error:
                if self._clock.monotonic() - began > KEEP_SECONDS:
                    raise
                log.warning("index.kept_later", project=file.project, file=file.filename, reason=str(error))
            await self._clock.pause(KEEP_PAUSE_SECONDS)

    def _record(self, connection: Connection, file: KeptFile, digest: Digest, part: Part) -> KnownProject:
        now = self._clock.now()
        record_bytes(connection, file, digest, part.written, now)
        served_upstream = file.listed_file.has_metadata and not file.metadata_failed
        if file.filename.endswith(".whl") and not served_upstream and file.metadata_digest is None:
            enqueue_metadata(connection, file.project, now)
        project = find_project(connection, file.project)
        assert project is not None  # noqa: S101 - its file was updated a line above
        return project
