"""Scrub: reads every blob again and again, slowly, so that what rots is found while there still is another copy.

A pass reads whatever was not hashed since it began; a blob's row says when that was, so a pass goes on where it was
left, by whoever comes next, and a blob that came meanwhile is not read. Digests are random, and each run begins at a
random one and goes round: that is a random order at the cost of a walk through an index. Wrong bytes go to quarantine,
as at a read; a file that is missing or cannot be read is named and stays.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection

from creamery.blobs import tables
from creamery.blobs.findings import Finding, Kind
from creamery.blobs.holders import Holder, kept_by
from creamery.blobs.ownership import Layout
from creamery.blobs.quarantine import Quarantine
from creamery.blobs.reader import Reader
from creamery.blobs.store import BlobMissing
from creamery.clock import SECOND, Clock, Micros
from creamery.contract import Digest
from creamery.database import Committer, Database
from creamery.limits import MIB, Limits
from creamery.telemetry import Telemetry, log

BATCH = 200
REMEMBERED_BYTES = 256 * MIB
"""After so much at the latest it is written down what was read: a crash costs its reading."""
_LAST = "f" * 64


@dataclass(frozen=True, slots=True)
class Left:
    """What the present pass has before it.

    Attributes:
        began: when the pass began; None where there was none yet.
        blobs, bytes: not read in it yet.
    """

    began: Micros | None
    blobs: int = 0
    bytes: int = 0


class Scrub:
    """Reads, in any thread, beside a hub or in it. `blobs` and `bytes` count what was read."""

    def __init__(
        self, data: Path, database: Database, committer: Committer, limits: Limits, clock: Clock, telemetry: Telemetry
    ) -> None:
        self.blobs = 0
        self.bytes = 0
        self._reader = Reader(Layout(data), database)
        self._quarantine = Quarantine(self._reader, database, committer, clock, telemetry)
        self._database = database
        self._committer = committer
        self._limits = limits
        self._clock = clock
        self._read_blobs = telemetry.counter("scrubbed", "Blobs that a scrub has read.")
        self._read_bytes = telemetry.counter("scrubbed_bytes", "Bytes that a scrub has read.")
        self._found = telemetry.counter("scrub_findings", "Blobs that a scrub found wrong.", ["kind"])
        self._left_bytes = telemetry.gauge("scrub_left_bytes", "Bytes that the present pass has yet to read.")
        self._began = telemetry.gauge("scrub_began_seconds", "When the present pass began, in seconds since 1970.")

    def left(self) -> Left:
        """What the present pass has yet to read; a walk through the table."""
        left = self._database.read(self._left)
        self._left_bytes.set(left.bytes)
        self._began.set((left.began or 0) / SECOND)
        return left

    def begin_pass(self) -> Left:
        """Everything is to be read anew."""
        self._committer.write(lambda connection: tables.begin_scrubbing(connection, self._clock.now()))
        return self.left()

    def run(
        self,
        holders: Sequence[Holder],
        seconds: float | None,
        most_bytes: int | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Iterator[Finding]:
        """Go on with the present pass until it is done, or until so much time or so many bytes are over.

        Ends with a whole file, however large that is. Nothing happens where no pass was ever begun.

        Raises:
            DatabaseUnavailable, DiskFull, WritesBusy: what was read since the last batch is read once more.
        """
        began = self._database.read(tables.scrubbing)
        if began is None:
            return
        started, first_bytes = self._clock.monotonic(), self.bytes
        seen: list[Digest] = []
        seen_bytes = 0
        for row in self._walk(began):
            is_over = seconds is not None and self._clock.monotonic() - started >= seconds
            if is_over or (most_bytes is not None and self.bytes - first_bytes >= most_bytes):
                break
            finding = self._look(row, started, first_bytes)
            progress(row.size)
            if finding is not None:
                self._found.labels(finding.kind).inc()
                log.error("blobs.scrub_found", kind=finding.kind, digest=row.digest, detail=finding.detail)
                yield replace(finding, kept=self._is_kept(holders, row.digest))
            seen.append(row.digest)
            seen_bytes += row.size
            if len(seen) >= BATCH or seen_bytes >= REMEMBERED_BYTES:
                self._remember(seen)
                seen, seen_bytes = [], 0
        self._remember(seen)
        self.left()

    def run_slice(self, holders: Sequence[Holder], every_seconds: float) -> list[Finding]:
        """The hub's own share of a pass, where it comes every so many seconds: a pass takes `scrub_pass_seconds`.

        Raises:
            DatabaseUnavailable, DiskFull, WritesBusy: as `run`.
        """
        left, now = self.left(), self._clock.now()
        span = self._limits.scrub_pass_seconds * SECOND
        if left.began is None or left.began > now or (not left.blobs and left.began + span <= now):
            left = self.begin_pass()
        if not left.blobs:
            return []
        assert left.began is not None  # noqa: S101 - it has begun
        times_left = max(1, int((left.began + span - now) / (every_seconds * SECOND)))
        return list(self.run(holders, self._limits.scrub_seconds, left.bytes // times_left + 1))

    def _left(self, connection: Connection) -> Left:
        began = tables.scrubbing(connection)
        if began is None:
            return Left(None)
        waiting = tables.is_unverified(began)
        return Left(began, tables.count(connection, waiting), tables.total_bytes(connection, waiting))

    def _walk(self, began: Micros) -> Iterator[tables.Row]:
        """Once round, from a random digest."""
        first = Digest(secrets.token_hex(32))
        for start, end in ((first, _LAST), (None, first)):
            last: Digest | None = start
            while batch := self._unverified(began, last):
                yield from (row for row in batch if row.digest <= end)
                last = batch[-1].digest
                if last > end:
                    break

    def _unverified(self, began: Micros, after: Digest | None) -> list[tables.Row]:
        return self._database.read(lambda connection: tables.unverified(connection, began, BATCH, after))

    def _look(self, row: tables.Row, started: float, first_bytes: int) -> Finding | None:
        """Hash one blob, no faster than the limit allows."""
        hashed, size = hashlib.sha256(), 0
        try:
            for piece in self._reader.open(row.digest):
                hashed.update(piece)
                size += len(piece)
                self.bytes += len(piece)
                self._read_bytes.inc(len(piece))
                due = started + (self.bytes - first_bytes) / self._limits.scrub_bytes
                self._clock.sleep(max(0.0, due - self._clock.monotonic()))
        except BlobMissing:
            return self._judge_missing(row)
        except OSError as error:
            return Finding(Kind.UNREADABLE, row.digest, f"it cannot be read ({error.strerror}): look at the disk")
        self.blobs += 1
        self._read_blobs.inc()
        if hashed.hexdigest() == row.digest:
            return None
        kind = Kind.CORRUPT if size == row.size else Kind.WRONG_SIZE
        return self._put_away(row, kind, f"the SHA-256 of its {size} bytes is {hashed.hexdigest()}")

    def _judge_missing(self, row: tables.Row) -> Finding | None:
        if self._database.read(lambda connection: tables.state_of(connection, row.digest)) != tables.OK:
            return None  # swept, evicted or found wrong this moment
        if self._reader.files.is_obstructed(row.digest):
            return self._put_away(row, Kind.CORRUPT, "what lies at its name is no plain file")
        return Finding(Kind.MISSING, row.digest, f"there is no file of {row.size} bytes")

    def _put_away(self, row: tables.Row, kind: Kind, reason: str) -> Finding:
        self._quarantine.put(row.digest, reason)
        return Finding(kind, row.digest, f"{reason}; it was moved to quarantine")

    def _is_kept(self, holders: Sequence[Holder], digest: Digest) -> bool:
        return self._database.read(lambda c: tables.holds(c, kept_by(holders, tables.this(digest))))

    def _remember(self, seen: list[Digest]) -> None:
        if seen:
            self._committer.write(lambda connection: tables.set_verified(connection, seen, self._clock.now()))
