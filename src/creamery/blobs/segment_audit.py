"""Whether the small blobs lie where their rows say, for `creamery fsck`: a part of the audit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from creamery.blobs import places, tables
from creamery.blobs.findings import PATIENCE, Depth, Finding, Kind
from creamery.blobs.ownership import Layout
from creamery.blobs.places import Placed
from creamery.blobs.segments import RECORD_BYTES, Place, Record, SegmentFiles, number_of
from creamery.clock import SECOND, Clock
from creamery.contract import digest_of
from creamery.database import Database
from creamery.limits import Limits

BATCH = 500


class SegmentAudit:
    """Only reads, beside a hub: what has moved meanwhile is no finding."""

    def __init__(self, layout: Layout, database: Database, limits: Limits, clock: Clock) -> None:
        self._data = layout.data
        self._segments = SegmentFiles(layout.segments)
        self._database = database
        self._limits = limits
        self._clock = clock
        self._before: Placed | None = None

    def placed(self) -> Iterator[Placed]:
        """Every blob that lies in a segment, in the order of their places."""
        last: Place | None = None
        while batch := self._database.read(partial(places.in_segments, limit=BATCH, after=last)):
            yield from batch
            last = batch[-1].place

    def judge(self, placed: Placed, depth: Depth) -> Iterator[Finding]:
        """What is wrong with it, if anything; call it for each in order."""
        before, self._before = self._before, placed
        if placed.state == tables.GONE:
            return
        wrong = self._overlap(before, placed) or self._wrong(placed, depth)
        if wrong is not None and self._lies_there_still(placed):
            yield Finding(wrong[0], placed.digest, wrong[1])

    def strangers(self) -> Iterator[Finding]:
        """What lies beside the segments, and segments that a sweep should have taken."""
        latest = self._clock.now() - PATIENCE * int(self._limits.sweep_grace_seconds * SECOND)
        for path in self._segments.files():
            number = number_of(path.name)
            if number is None or path.is_symlink() or not path.is_file():
                yield Finding(Kind.STRANGER, self._name(path), "it is no segment")
            elif self._is_forgotten(number, latest):
                yield Finding(Kind.STRANGER, self._name(path), "no blob lies in it, and no sweep has taken it")

    def _wrong(self, placed: Placed, depth: Depth) -> tuple[Kind, str] | None:
        place = placed.place
        name = self._name(self._segments.path(place.segment))
        if not self._segments.holds(place):
            return Kind.MISSING, f"{name} is away, or ends before its {place.length} bytes at {place.offset}"
        if self._segments.record(place) != Record(place.length, placed.digest):
            return Kind.CORRUPT, f"what stands before its bytes in {name} at {place.offset} is not its record"
        if depth is Depth.DATA:
            found = digest_of(b"".join(self._segments.open(place)))
            if found != placed.digest:
                return Kind.CORRUPT, f"the SHA-256 of its bytes in {name} at {place.offset} is {found}"
        return None

    @staticmethod
    def _overlap(before: Placed | None, placed: Placed) -> tuple[Kind, str] | None:
        if before is None or before.place.segment != placed.place.segment:
            return None
        end = before.place.offset + before.place.length
        if end <= placed.place.offset - RECORD_BYTES:
            return None
        return Kind.CORRUPT, f"its row says that it lies at {placed.place.offset}, where {before.digest} lies"

    def _lies_there_still(self, placed: Placed) -> bool:
        place = self._database.read(lambda connection: places.place_of(connection, placed.digest))
        return place == placed.place

    def _is_forgotten(self, number: int, latest: int) -> bool:
        try:
            changed = self._segments.path(number).lstat().st_mtime_ns // 1000
            if changed > latest or self._segments.is_open(number):
                return False
        except FileNotFoundError:
            return False
        return self._database.read(lambda connection: places.live_bytes(connection, number)) is None

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._data))
