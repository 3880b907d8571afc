"""Giving back what segments hold and no row names. Part of each sweep, beside a hub that runs.

A full segment of which less than half is alive is emptied: its blobs are copied to the open segment, and each row is
moved with its copy in one transaction. Many small ones, which starts leave behind, are put together in the same way.
A segment that no row names any more is unlinked after a grace, so that whoever was just told that bytes lie there
finds them; whoever finds nothing asks once more (`reader.py`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from creamery.blobs import places, tables
from creamery.blobs.local import look
from creamery.blobs.means import Means
from creamery.blobs.quarantine import Quarantine
from creamery.blobs.reader import Reader
from creamery.blobs.segments import HEADER_BYTES, Body, Place
from creamery.clock import SECOND
from creamery.contract import digest_of
from creamery.database import bump
from creamery.faults import reach
from creamery.telemetry import log

BATCH = 200
BATCH_BYTES = 4 * 1024 * 1024
SMALL_SHARE = 16
"""A sixteenth of a full segment is a small one ..."""
SMALL_ONES = 8
"""... and so many of them are put together."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did.

    Attributes:
        emptied: segments whose blobs were moved.
        removed: segments that went.
        bytes: length of those that went.
    """

    emptied: int = 0
    removed: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Segment:
    number: int
    size: int
    live: int | None


class Compactor:
    """Compacts, in any thread; several processes may do so at once."""

    def __init__(self, reader: Reader, quarantine: Quarantine, means: Means) -> None:
        self._reader = reader
        self._segments = reader.segments
        self._quarantine = quarantine
        self._database = means.database
        self._committer = means.committer
        self._limits = means.limits
        self._clock = means.clock
        self._moved = means.telemetry.counter("blobs_compacted", "Small blobs that were moved to another segment.")

    def run(self) -> Compacted:
        """Empty what is worth it, and remove what is empty.

        Raises:
            DatabaseUnavailable, DiskFull, WritesBusy, NoSpace, NotDurable: every blob is where its row says.
            OSError: the folder cannot be read, or a file not deleted.
        """
        full = list(self._full())
        removed = [segment for segment in full if segment.live is None and self._remove(segment)]
        emptied = self._worth_it([segment for segment in full if segment.live is not None])
        for segment in emptied:
            self._empty(segment)
        done = Compacted(len(emptied), len(removed), sum(segment.size for segment in removed))
        if done.emptied or done.removed:
            log.info("blobs.compacted", emptied=done.emptied, removed=done.removed, bytes=done.bytes)
        return done

    def _full(self) -> Iterator[_Segment]:
        """Those that nobody writes to."""
        for number in self._segments.numbers():
            try:
                if self._segments.is_open(number):
                    continue
                size = self._segments.size(number)
            except FileNotFoundError:  # removed this moment
                continue
            yield _Segment(number, size, self._database.read(partial(places.live_bytes, segment=number)))

    def _worth_it(self, full: list[_Segment]) -> list[_Segment]:
        wasted = [each for each in full if (each.live or 0) * 2 < each.size - HEADER_BYTES]
        small = [each for each in full if each.size * SMALL_SHARE < self._limits.segment_bytes and each not in wasted]
        return wasted + small if len(small) >= SMALL_ONES else wasted

    def _empty(self, segment: _Segment) -> None:
        last: Place | None = None
        while batch := self._next(segment, last):
            last = batch[-1].place
            self._move([placed for placed in batch if placed.state != tables.GONE])
        reach("segments.emptied")
        now = self._clock.now() * 1_000
        os.utime(self._segments.path(segment.number), ns=(now, now))  # from now on it is kept for a grace

    def _next(self, segment: _Segment, after: Place | None) -> list[places.Placed]:
        found = self._database.read(lambda c: places.in_segments(c, BATCH, after, segment.number))
        size, taken = 0, 0
        for placed in found:
            size += placed.place.length
            if size > BATCH_BYTES and taken:
                break
            taken += 1
        return found[:taken]

    def _move(self, batch: list[places.Placed]) -> None:
        """Copies are hashed: a wrong one is put away, never carried on."""
        bodies, moving = [], []
        for placed in batch:
            data = b"".join(self._segments.open(placed.place))
            if digest_of(data) != placed.digest:
                self._quarantine.put(placed.digest, "its bytes in the segment are others")
                continue
            bodies.append(Body(data, placed.digest, placed.crc32))
            moving.append(placed)
        if bodies:
            moved = self._committer.write(partial(self._write_down, list(zip(moving, bodies, strict=True))), bodies)
            self._moved.inc(moved)
            for placed in moving:
                self._reader.forget(placed.digest)

    @staticmethod
    def _write_down(pairs: list[tuple[places.Placed, Body]], connection: Connection) -> int:
        moved = 0
        for placed, body in pairs:
            assert body.place is not None  # noqa: S101 - the committer has brought it
            moved += places.move(connection, placed.digest, placed.place, body.place)
        bump(connection, "blobs")
        return moved

    def _remove(self, segment: _Segment) -> bool:
        path = self._segments.path(segment.number)
        found = look(path)
        before = self._clock.now() - int(self._limits.sweep_grace_seconds * SECOND)
        if found is None or not stat.S_ISREG(found.st_mode) or found.st_mtime_ns // 1000 > before:
            return False
        path.unlink(missing_ok=True)
        reach("segments.removed")
        return True
