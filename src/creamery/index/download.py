"""Files that are not here: one transfer from upstream, followed by all who want the file.

A flight outlives the client that began it, resumes where its upstream broke off, and ends in the store; SHA-256 runs
alongside, and the part file holds its last piece back until the hash matched, so a wrong file completes nowhere and
is kept nowhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from sqlalchemy import Connection

from creamery.blobs import BlobError, Blobs, HashMismatch, LengthMismatch, Part
from creamery.clock import Clock
from creamery.contract import Digest, ProjectName
from creamery.database import DatabaseUnavailable, DiskFull, WritesBusy
from creamery.egress import Answer, BadAnswer, Egress, EgressError, TooSlow, Unreachable
from creamery.index.catalog import Catalog, StoredFile
from creamery.index.metadata import enqueue_metadata
from creamery.index.project import KeptFile, KnownProject
from creamery.index.tables import HashChanged, find_project, record_bytes
from creamery.index.upstream import UpstreamDown, Upstreams, public_reason
from creamery.limits import Limits
from creamery.telemetry import Telemetry, log

FAILED_SECONDS = 5.0
"""How long a failed file is not asked for again: its next askers get the same answer at once."""

PROGRESS_BYTES = 64 * 1024
RATE_WINDOW_SECONDS = 60.0
OTHER_ALGORITHMS = ("sha512", "sha384", "sha224", "sha1", "md5")  # the strongest first

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19}|\*)", re.ASCII)


class FileGone(Exception):
    """The upstream lists the file and has it no more."""


class WrongBytes(Exception):
    """The upstream sent other bytes than its page announces."""


@dataclass(slots=True)
class _Flight:
    part: asyncio.Future[Part]
    task: asyncio.Task[None] | None = None


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
        self._flights: dict[tuple[ProjectName, str], _Flight] = {}
        self._failed: dict[tuple[ProjectName, str], tuple[float, Exception]] = {}
        self._slots = asyncio.Semaphore(limits.upstream_flights)
        self._bytes = telemetry.counter("index_fetched_bytes", "Bytes of files fetched from upstreams.")
        files = telemetry.counter("index_files", "Files and METADATA that were asked for.", ["outcome"])
        self._files = {"hit": files.labels("hit"), "miss": files.labels("miss")}
        self._ended = telemetry.counter("index_flights", "Transfers of files from upstreams.", ["outcome"])

    async def follow(self, file: KeptFile) -> Part:
        """The part file of this file's flight, begun now where there is none; returns when its first answer is there.

        Raises:
            FileGone: the upstream answers 404.
            UpstreamDown: the upstream cannot be asked.
            WrongBytes: it sent something else a moment ago.
            NoSpace: the disk has no room for it.
        """
        key = (file.project, file.filename)
        flight = self._flights.get(key)
        if flight is None:
            self._raise_failure(key)
            flight = self._flights[key] = _Flight(asyncio.get_running_loop().create_future())
            flight.task = asyncio.get_running_loop().create_task(self._fly(key, file, flight))
        return await asyncio.shield(flight.part)

    def count(self, outcome: Literal["hit", "miss"]) -> None:
        """A file was asked for, and was here or was not."""
        self._files[outcome].inc()

    async def close(self) -> None:
        """End all flights; what they have is lost, and begun anew when somebody asks."""
        tasks = [flight.task for flight in self._flights.values() if flight.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _raise_failure(self, key: tuple[ProjectName, str]) -> None:
        failed = self._failed.get(key)
        if failed is None:
            return
        until, error = failed
        if self._clock.monotonic() < until:
            raise error.with_traceback(None)
        del self._failed[key]

    async def _fly(self, key: tuple[ProjectName, str], file: KeptFile, flight: _Flight) -> None:
        try:
            async with self._slots:
                await self._carry(file, flight)
            self._ended.labels("kept").inc()
        except asyncio.CancelledError:
            self._end(flight, UpstreamDown(file.listed_file.url, "is no longer asked: the hub is stopping"))
            raise
        except (FileGone, UpstreamDown, WrongBytes, BlobError) as error:
            self._ended.labels(type(error).__name__).inc()
            log.warning("index.fetch_failed", project=file.project, file=file.filename, reason=str(error))
            if not isinstance(error, BlobError):  # room may come back at any moment; an upstream is left in peace
                self._remember_failure(key, error)
            self._end(flight, error)
        except (DiskFull, WritesBusy, DatabaseUnavailable, HashChanged) as error:
            # Its clients have it whole; only the hub does not, and fetches it anew for the next.
            self._ended.labels("not kept").inc()
            log.error("index.not_kept", project=file.project, file=file.filename, reason=str(error))
        finally:
            self._flights.pop(key, None)

    def _end(self, flight: _Flight, error: Exception) -> None:
        if not flight.part.done():
            flight.part.set_exception(error)
            flight.part.exception()  # heard: all who waited may have gone
        elif flight.part.exception() is None:
            flight.part.result().abort(error)

    def _remember_failure(self, key: tuple[ProjectName, str], error: Exception) -> None:
        now = self._clock.monotonic()
        self._failed = {each: failed for each, failed in self._failed.items() if failed[0] > now}
        self._failed[key] = (now + FAILED_SECONDS, error)

    async def _carry(self, file: KeptFile, flight: _Flight) -> None:
        """Bring the file: transfer, verify, keep."""
        transfer = await self._transfer(file, flight)
        part = flight.part.result()
        if transfer.other_hash.differs():
            differs = f"{transfer.other_hash.algorithm} differs"
            raise WrongBytes(f"{file.listed_file.url} sent other bytes than its page announces: {differs}")
        try:
            await part.finish(file.expected)
        except (HashMismatch, LengthMismatch) as error:
            raise WrongBytes(f"{file.listed_file.url} sent other bytes than its page announces: {error}") from error
        project = await self._blobs.keep(part, lambda connection, digest: self._record(connection, file, digest, part))
        self._catalog.remember(project)
        assert part.digest is not None  # noqa: S101 - a finished part has one
        pinned = file.pinned or file.expected is None
        self._catalog.remember_file(file.project, file.filename, StoredFile(part.digest, part.written, pinned))
        if pinned:
            log.warning("index.unverified", project=file.project, file=file.filename, digest=part.digest)

    def _record(self, connection: Connection, file: KeptFile, digest: Digest, part: Part) -> KnownProject:
        now = self._clock.now()
        record_bytes(connection, file, digest, part.written, now)
        served_upstream = file.listed_file.has_metadata and not file.metadata_failed
        if file.filename.endswith(".whl") and not served_upstream and file.metadata_digest is None:
            enqueue_metadata(connection, file.project, now)
        project = find_project(connection, file.project)
        assert project is not None  # noqa: S101 - its file was updated a line above
        return project

    async def _transfer(self, file: KeptFile, flight: _Flight) -> _Transfer:
        """All bytes into the part file, over as many connections as it takes."""
        transfer = _Transfer(file, self._limits, self._clock)
        attempts = 0
        while True:
            before = transfer.received
            try:
                await self._one_connection(file, flight, transfer)
            except (Unreachable, TooSlow, BadAnswer) as error:
                attempts = 1 if transfer.received - before >= PROGRESS_BYTES else attempts + 1
                if attempts >= self._attempts(flight, error):
                    raise self._unavailable(file, error) from error
                log.warning("index.resumed", file=file.filename, at=transfer.received, reason=str(error))
                await self._clock.pause(min(0.1 * 2**attempts, 5.0))
            except EgressError as error:
                raise self._unavailable(file, error) from error
            else:
                return transfer

    def _attempts(self, flight: _Flight, error: EgressError) -> int:
        """How many tries a transfer has: once it has begun clients wait for it; before, they can be told at once.

        An upstream that stumbles over one request is asked a second time; one that is away is not.
        """
        if flight.part.done():
            return self._limits.upstream_attempts
        stumbled = isinstance(error, BadAnswer) or (isinstance(error, Unreachable) and error.stage == "broken off")
        return 2 if stumbled else 1

    def _unavailable(self, file: KeptFile, error: EgressError) -> Exception:
        url = file.listed_file.url
        if isinstance(error, (Unreachable, TooSlow)):
            breaker, origin = self._upstreams.breaker(url), self._upstreams.origin_for(file.upstream)
            return self._upstreams.failed(breaker, origin, url, error)
        log.warning("index.fetch_refused", url=url, reason=str(error))
        return UpstreamDown(url, public_reason(error))

    async def _one_connection(self, file: KeptFile, flight: _Flight, transfer: _Transfer) -> None:
        url = file.listed_file.url
        breaker = self._upstreams.breaker(url)
        if breaker.outage is not None and not flight.part.done():
            raise UpstreamDown(url, breaker.outage.reason)
        origin = self._upstreams.origin_for(file.upstream)
        started = self._clock.monotonic()
        async with self._egress.request("GET", url, origin=origin, headers=transfer.headers()) as answer:
            if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE} and not flight.part.done():
                raise FileGone(f"{url} answered {answer.status}")
            self._upstreams.heard(breaker, url, self._clock.monotonic() - started)
            transfer.begin(answer)
            if not flight.part.done():
                part = self._blobs.begin(transfer.size, f"{file.project}/{file.filename}")
                flight.part.set_result(part)
            part = flight.part.result()
            async for chunk in transfer.new_bytes(answer, part):
                self._bytes.inc(len(chunk))
                await part.write(chunk)


class _OtherHash:
    """What an old index names in place of SHA-256: the bytes must match it, though only SHA-256 vouches for them."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self.algorithm = next((name for name in OTHER_ALGORITHMS if name in hashes), None)
        self._expected = hashes[self.algorithm].lower() if self.algorithm else ""
        self._running = hashlib.new(self.algorithm, usedforsecurity=False) if self.algorithm else None

    def update(self, data: bytes | memoryview) -> None:
        if self._running is not None:
            self._running.update(data)

    def differs(self) -> bool:
        return self._running is not None and self._running.hexdigest() != self._expected


class _Transfer:
    """How far one file's bytes have come, over several connections."""

    def __init__(self, file: KeptFile, limits: Limits, clock: Clock) -> None:
        self.size = file.listed_file.size
        self.other_hash = _OtherHash({} if file.expected is not None else file.listed_file.hashes)
        self.received = 0
        self._etag: str | None = None
        self._skip = 0
        self._limits = limits
        self._clock = clock

    def headers(self) -> dict[str, str]:
        """What to ask the next connection for."""
        headers = {"Accept-Encoding": "identity"}
        if self.received:
            headers["Range"] = f"bytes={self.received}-"
            if self._etag is not None:
                headers["If-Range"] = self._etag
        return headers

    def begin(self, answer: Answer) -> None:
        """Understand what an answer brings.

        Raises:
            BadAnswer: an error, another part than the one asked for, or an encoding that was not.
        """
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise BadAnswer(answer.url, "sent a compressed file, which was not asked for")
        self._skip = 0
        if answer.status == HTTPStatus.PARTIAL_CONTENT and self.received:
            match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if match is None or int(match[1]) != self.received or match[2] not in {"*", str(self.size)}:
                raise BadAnswer(
                    answer.url, f"answered byte {self.received} with {answer.headers.get('Content-Range')!r}"
                )
        elif answer.status == HTTPStatus.OK:
            self._skip = self.received
            length = answer.headers.get("Content-Length", "")
            if self.size is None and length.isascii() and length.isdigit():
                self.size = int(length)
            etag = answer.headers.get("ETag", "")
            self._etag = etag if etag.startswith('"') else None
        else:
            raise BadAnswer(answer.url, f"answered {answer.status}")

    async def new_bytes(self, answer: Answer, part: Part) -> AsyncIterator[bytes]:
        """The bytes that are not in the part file yet.

        An upstream that cannot resume sends all from the start: what is there already must be the same again.

        Raises:
            BadAnswer: it is not.
            TooSlow: less than the minimum rate came over a minute.
        """
        again = hashlib.sha256()
        skip = self._skip
        if skip:
            await part.flush()
        window_start, window_bytes = self._clock.monotonic(), 0
        async for piece in answer.chunks():
            chunk = piece
            if skip:
                again.update(chunk[:skip])
                taken = min(skip, len(chunk))
                skip -= taken
                chunk = chunk[taken:]
                if not skip and again.hexdigest() != part.running_digest():
                    raise BadAnswer(answer.url, "sent other bytes than at the first time")
            if chunk:
                self.received += len(chunk)
                self.other_hash.update(chunk)
                yield chunk
            window_bytes += len(piece)
            elapsed = self._clock.monotonic() - window_start
            if elapsed > RATE_WINDOW_SECONDS:
                if window_bytes < self._limits.upstream_minimum_rate * elapsed:
                    raise TooSlow(answer.url, f"only {window_bytes} bytes came", elapsed)
                window_start, window_bytes = self._clock.monotonic(), 0
