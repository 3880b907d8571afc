"""Garbage and eviction: the only code that unlinks blobs.

A blob goes in steps, each of which may be the last one before a crash:

1. `ok` -> `deleting`, with one UPDATE that asks every holder; or, when it is evicted, with its cached references;
2. the grace passes, in which whoever needs the blob sets it back;
3. `deleting` -> `gone`, asking every holder once more, in a transaction of its own;
4. the file is unlinked;
5. the row is deleted.

Steps 3 to 5 run under a lock that the system frees with the process, so that whoever finds a row in `gone` and gets
the lock knows that its sweep is dead, and finishes for it. A file without a row is garbage of a crash between link
and commit; it gets a row in `gone` first, because a writer may be about to give it one in `ok`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import ColumnElement, Connection

from creamery.blobs import pauses, tables
from creamery.blobs.holders import Holder, cached_by, held_by, kept_by
from creamery.blobs.incoming import abandoned
from creamery.blobs.local import LocalStore, is_plain
from creamery.blobs.means import Means
from creamery.blobs.ownership import Layout, locked
from creamery.blobs.pause import latest_end
from creamery.blobs.reservations import Reservations
from creamery.blobs.uses import Uses
from creamery.clock import SECOND, Clock, Micros
from creamery.contract import Digest
from creamery.faults import reach
from creamery.sections import Cache
from creamery.telemetry import log

P = ParamSpec("P")
T = TypeVar("T")

AHEAD_SHARE = 0.1
"""Of the cache, which gives way to files that nobody has asked for yet: so much, or as much as the reserve."""

BATCH = 200
BREAKER_BLOBS = 20
JUMP_SECONDS = 60.0
MOMENT_SECONDS = 10.0
SLICES = 16


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did, or would do.

    Attributes:
        marked: blobs that nobody holds and that will go after the grace.
        deleted: blobs that went.
        orphans: files that no row knew and that went.
        parts: part files that nobody wrote and that went.
        segments: segments without a blob that went.
        skipped: why nothing was swept; None where something could be.
    """

    marked: int = 0
    deleted: int = 0
    orphans: int = 0
    parts: int = 0
    segments: int = 0
    skipped: str | None = None


@dataclass(frozen=True, slots=True)
class Evicted:
    """What an eviction took, or would take."""

    blobs: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """How much has to go: bytes, and whatever was last used before a moment."""

    bytes: int
    before: Micros


class _Watch:
    """Notices that the wall clock was set, from one look to the next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen = (clock.now(), clock.monotonic())

    def has_jumped(self) -> bool:
        """Since the last look, by more than the monotonic clock says."""
        (wall, monotonic), self._seen = self._seen, (self._clock.now(), self._clock.monotonic())
        drift = (self._seen[0] - wall) / SECOND - (self._seen[1] - monotonic)
        return abs(drift) > JUMP_SECONDS


class Sweeper:
    """Sweeps and evicts, in any thread; several processes may do so at once."""

    def __init__(
        self, layout: Layout, store: LocalStore, reservations: Reservations, uses: Uses, cache: Cache, means: Means
    ) -> None:
        self._layout = layout
        self._store = store
        self._reservations = reservations
        self._uses = uses
        self._database = means.database
        self._committer = means.committer
        self._limits = means.limits
        self._cache = cache
        self._clock = means.clock
        self._sweep_watch = _Watch(means.clock)
        self._evict_watch = _Watch(means.clock)  # one of its own: each sees every jump since its own last look
        self._evicting = threading.Lock()
        self._slice = int(means.clock.now() // SECOND) % SLICES
        telemetry = means.telemetry
        self._swept = telemetry.counter("blobs_swept", "Blobs and orphans that were deleted.")
        self._evicted = telemetry.counter("blobs_evicted", "Blobs that were evicted.")
        self._evicted_bytes = telemetry.counter("blobs_evicted_bytes", "Bytes of the blobs that were evicted.")
        self._refused = telemetry.counter("sweeps_skipped", "Sweeps that did nothing because something looked wrong.")

    def sweep(self, holders: Sequence[Holder], *, dry_run: bool = False, slices: int = 1) -> Swept:
        """Delete what nobody holds, has held or has used for the grace; at most `limits.sweep_blobs` a run.

        Args:
            holders: everybody who may hold a blob.
            dry_run: count only.
            slices: how many sixteenths of the tree are searched for files without a row.

        Raises:
            DatabaseUnavailable: a holder's question failed; nothing was deleted for it.
            OSError: a folder cannot be read, or a file not deleted; the next sweep goes on in the next slice.
        """
        now = self._clock.now()
        if self._read(self._is_paused):
            return Swept(skipped="a backup is being made")
        wrong = self._what_is_wrong(holders, now)
        if wrong is not None:
            self._skip(wrong)
            return Swept(skipped=wrong)
        if dry_run:
            return Swept(
                marked=self._read(tables.count, self._garbage(holders, now)),
                deleted=self._read(tables.count, tables.is_due(now)),
                orphans=sum(1 for _ in self._orphans(now, slices)),
                parts=sum(1 for _ in self._stale_parts(now)),
            )
        self._write(tables.forget_the_future, now, self._after(now, self._limits.sweep_grace_seconds))
        done = Swept(
            deleted=self.delete_due(holders),
            marked=self._mark(holders, now),
            parts=self._delete_parts(now),
            orphans=self._delete_orphans(now, slices),
        )
        self._write(tables.set_swept, now)
        log.info("blobs.swept", marked=done.marked, deleted=done.deleted, orphans=done.orphans, parts=done.parts)
        return done

    def evict(self, holders: Sequence[Holder], *, dry_run: bool = False) -> Evicted:
        """Bring cached blobs below `cache.max_bytes` and `cache.max_age`, and the disk above its reserve.

        The least recently used go first; never one that a kept reference holds, never one that is leased. In the
        round that finds the clock set nothing goes; and where more than `limits.sweep_share` would go by age, none
        goes by age: after a jump of the clock while the hub was down, every file looks old.

        Raises:
            DatabaseUnavailable: a holder's question failed.
        """
        if not holders:
            return Evicted()
        with self._evicting:  # two at once would each bring the size down, by different blobs
            return self._evict_what_must_go(holders, dry_run=dry_run)

    def _evict_what_must_go(self, holders: Sequence[Holder], *, dry_run: bool) -> Evicted:
        self._uses.flush()
        if self._evict_watch.has_jumped():
            self._skip("the clock has jumped")
            return Evicted()
        if self._read(self._is_paused):
            log.debug("blobs.eviction_paused", reason="a backup is being made")
            return Evicted()
        self.delete_due(holders)
        cut = self._cut(holders)
        evicted = Evicted()
        passed_over = 0
        while evicted.blobs < self._limits.sweep_blobs:
            batch = self._candidates(holders, cut, evicted.bytes, passed_over)
            chosen = [used for used in batch if not self._uses.is_leased(used.digest)]
            if not batch:
                break
            taken = chosen if dry_run or not chosen else self._evict(holders, chosen)
            passed_over += len(batch) if dry_run else len(batch) - len(taken)
            evicted = Evicted(evicted.blobs + len(taken), evicted.bytes + sum(used.size for used in taken))
        if evicted.blobs and not dry_run:
            self._evicted.inc(evicted.blobs)
            self._evicted_bytes.inc(evicted.bytes)
            log.info("blobs.evicted", blobs=evicted.blobs, bytes=evicted.bytes)
        return evicted

    def leaving_bytes(self, holders: Sequence[Holder]) -> int:
        """What will be free without anybody's giving up anything that he keeps."""
        going = self._read(tables.total_bytes, tables.blob.c.state == tables.DELETING)
        return going + self._read(tables.total_bytes, self._evictable(holders))

    def delete_due(self, holders: Sequence[Holder]) -> int:
        """Steps 3 to 5 for whatever is due; first those that a crash left in `gone`. Returns how many went."""
        deleted = 0
        before: list[Digest] = []
        while deleted < self._limits.sweep_blobs:
            now = self._clock.now()
            due = self._read(tables.digests, tables.is_due(now), BATCH)
            if due == before:  # none; or none that can be deleted
                break
            deleted += self._delete(due, partial(_set_gone, holders=holders, due=due, now=now))
            before = due
        return deleted

    # What stands against it

    def _what_is_wrong(self, holders: Sequence[Holder], now: Micros) -> str | None:
        if not holders:
            return "nobody has said yet who holds blobs"
        if self._has_clock_jumped(now):
            return "the clock has jumped"
        garbage = self._read(tables.count, self._garbage(holders, now))
        total = self._read(tables.count)
        if self._share_is_too_large(garbage, total):
            return (
                f"{garbage} of {total} blobs would go, more than limits.sweep_share allows; if that is right, raise it"
                " for one sweep"
            )
        return None

    def _has_clock_jumped(self, now: Micros) -> bool:
        """In this process, or back behind the last sweep of any."""
        swept = self._read(tables.swept)
        is_behind = swept is not None and now < swept
        if is_behind:
            self._write(tables.set_swept, now)
        return self._sweep_watch.has_jumped() or is_behind

    def _skip(self, reason: str) -> None:
        self._refused.inc()
        log.error("blobs.sweep_skipped", reason=reason)

    def _share_is_too_large(self, going: int, total: int) -> bool:
        """The circuit breaker: so many at once are more likely to be a mistake than to be right."""
        return going > BREAKER_BLOBS and going > total * self._limits.sweep_share

    # Garbage

    def _garbage(self, holders: Sequence[Holder], now: Micros) -> ColumnElement[bool]:
        """Blobs in `ok` that nobody holds, and that nobody has taken or used for the grace."""
        return tables.is_idle(self._before(now)) & ~held_by(holders, tables.blob.c.digest)

    def _mark(self, holders: Sequence[Holder], now: Micros) -> int:
        """Step 1 for garbage."""
        marked = 0
        last = None
        due = self._after(now, self._limits.sweep_grace_seconds)
        while marked < self._limits.sweep_blobs:
            found = self._read(tables.digests, self._garbage(holders, now), BATCH, last)
            if not found:
                break
            last = found[-1]
            unleased = [digest for digest in found if not self._uses.is_leased(digest)]
            reach("sweep.marked")
            marked += self._write(tables.set_deleting, unleased, self._garbage(holders, now), now, due)
            reach("sweep.deleting")
        return marked

    def _delete(self, digests: Sequence[Digest], set_gone: Callable[[Connection], None]) -> int:
        """Steps 3 to 5."""
        with locked(self._layout.sweeping, self._clock, self._limits.lock_seconds):
            self._committer.write(lambda connection: self._unless_paused(connection, set_gone))  # 3
            gone = self._read(tables.those_gone, digests)
            reach("sweep.gone")
            unlinked = [digest for digest in gone if self._unlink(digest)]  # 4
            reach("sweep.unlinked")
            deleted = self._write(tables.remove_gone, unlinked)  # 5
        self._swept.inc(deleted)
        return deleted

    def _is_paused(self, connection: Connection) -> bool:
        now = self._clock.now()
        return pauses.is_paused(connection, now, latest_end(now, self._limits))

    def _unless_paused(self, connection: Connection, set_gone: Callable[[Connection], None]) -> None:
        """Asked in the writing transaction: what is not `gone` when a pause is committed stays as long as it lasts."""
        if not self._is_paused(connection):
            set_gone(connection)

    def _unlink(self, digest: Digest) -> bool:
        """One file that cannot be deleted keeps no other from it; its row stays `gone`, for the next round."""
        try:
            self._store.delete(digest)
        except OSError as error:
            log.error("blobs.not_deleted", digest=digest, reason=str(error))
            return False
        return True

    # Files without a row

    def _delete_orphans(self, now: Micros, slices: int) -> int:
        deleted = 0
        orphans = self._orphans(now, slices)
        try:
            while deleted < self._limits.sweep_blobs and (batch := list(islice(orphans, BATCH))):
                deleted += self._delete([fresh.digest for fresh in batch], partial(_add_gone, orphans=batch, now=now))
        finally:
            self._slice = (self._slice + slices) % SLICES
        return deleted

    def _orphans(self, now: Micros, slices: int) -> Iterator[tables.Fresh]:
        """Files older than the grace that no row knows, in some slices of the tree."""
        wanted = {(self._slice + step) % SLICES for step in range(slices)}
        old = (
            tables.Fresh(digest, size, 0)
            for digest, size in self._store.list("0123456789abcdef"[number] for number in sorted(wanted))
            if self._store.linked(digest) < self._before(now)
        )
        while batch := list(islice(old, BATCH)):
            digests = [fresh.digest for fresh in batch]
            known = set(self._read(tables.those_known, digests))
            yield from (fresh for fresh in batch if fresh.digest not in known)

    def delete_parts_of_the_dead(self) -> int:
        """At a start after an unclean stop: what nobody writes any more, half uploads for one; how many went.

        Who writes has a lock, but for the moment between making a file and locking it.
        """
        try:
            return self._delete_parts(self._clock.now(), older_than=MOMENT_SECONDS)
        except OSError as error:  # a sweep tries again, and says so where it fails as well
            log.warning("blobs.parts_left", reason=str(error))
            return 0

    def _stale_parts(self, now: Micros, older_than: float | None = None) -> Iterator[Path]:
        """Of what lies in `incoming` and is no plain file no hub knows what it is: it is left to fsck."""
        before = now // SECOND - (self._limits.part_seconds if older_than is None else older_than)
        old = (path for path, changed in abandoned(self._layout.incoming) if changed < before)
        return (path for path in old if is_plain(path))

    def _delete_parts(self, now: Micros, older_than: float | None = None) -> int:
        deleted = 0
        for path in self._stale_parts(now, older_than):
            path.unlink(missing_ok=True)
            deleted += 1
        return deleted

    # Eviction

    def _cut(self, holders: Sequence[Holder]) -> Cut:
        """What must go. The sum over all blobs is asked first: it is cheap and nearly always small enough."""
        now = self._clock.now()
        before = self._too_old_before(holders, now) if self._cache.max_age else Micros(0)
        over = 0
        if self._read(tables.total_bytes) > self._cache.max_bytes:
            over = self._read(tables.total_bytes, self._evictable(holders)) - self._cache.max_bytes
        return Cut(max(over, self._lacking(holders), 0), before)

    def _lacking(self, holders: Sequence[Holder]) -> int:
        """What the disk lacks: for its reserve, for what was refused a while ago, and for the next that may come.

        Nobody loses anything for what would not fit either; for what may come no more goes than a share of the cache.
        """
        free, reserve = self._reservations.free(), self._reservations.reserve_bytes()
        if free >= max(self._reservations.wanted(sys.maxsize), reserve):
            return 0
        going = self._read(tables.total_bytes, tables.blob.c.state == tables.DELETING)
        evictable = self._read(tables.total_bytes, self._evictable(holders))
        ahead = min(reserve, int(evictable * AHEAD_SHARE))
        return max(self._reservations.wanted(free + going + evictable), ahead) - free - going

    def _too_old_before(self, holders: Sequence[Holder], now: Micros) -> Micros:
        before = Micros(now - int(self._cache.max_age * SECOND))
        old = self._read(tables.count, self._evictable(holders) & (tables.blob.c.used < before))
        total = self._read(tables.count)
        if not self._share_is_too_large(old, total):
            return before
        self._skip(
            f"{old} of {total} blobs are older than cache.max_age, more than limits.sweep_share allows to go; if that"
            " is right, raise it once"
        )
        return Micros(0)

    def _evictable(self, holders: Sequence[Holder]) -> ColumnElement[bool]:
        digest = tables.blob.c.digest
        return (tables.blob.c.state == tables.OK) & ~kept_by(holders, digest) & cached_by(holders, digest)

    def _candidates(
        self, holders: Sequence[Holder], cut: Cut, evicted_bytes: int, passed_over: int
    ) -> list[tables.Used]:
        """The next ones to go: as many of the least recently used as bring the size down, or as are too old."""
        found = self._read(tables.least_recently_used, self._evictable(holders), BATCH, passed_over)
        chosen = []
        for used in found:
            if evicted_bytes >= cut.bytes and used.used >= cut.before:
                break
            chosen.append(used)
            evicted_bytes += used.size
        return chosen

    def _evict(self, holders: Sequence[Holder], chosen: Sequence[tables.Used]) -> list[tables.Used]:
        """Step 1 for eviction: the references become "known, not here" in the same transaction."""
        now = self._clock.now()
        due = self._after(now, self._limits.evict_grace_seconds)

        def forget(connection: Connection) -> set[Digest]:
            digests = tables.take_unused(connection, chosen, self._evictable(holders))
            for holder in holders:
                holder.forget(connection, digests)
            tables.set_deleting(connection, digests, tables.blob.c.state == tables.OK, now, due)
            return set(digests)

        taken = self._committer.write(forget)
        return [used for used in chosen if used.digest in taken]

    def _read(self, question: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self._database.read(lambda connection: question(connection, *args, **kwargs))

    def _write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self._committer.write(lambda connection: work(connection, *args, **kwargs))

    def _before(self, now: Micros) -> Micros:
        return Micros(now - int(self._limits.sweep_grace_seconds * SECOND))

    @staticmethod
    def _after(now: Micros, seconds: float) -> Micros:
        return Micros(now + int(seconds * SECOND))


def _set_gone(connection: Connection, holders: Sequence[Holder], due: Sequence[Digest], now: Micros) -> None:
    """Step 3. What somebody holds after all is `ok` again: its reference was made in the moment of step 1."""
    held = held_by(holders, tables.blob.c.digest)
    tables.set_gone(connection, due, tables.is_due(now) & ~held)
    restored = tables.set_ok(connection, due, tables.is_due(now) & held, now)
    if restored:
        log.warning("blobs.restored", blobs=restored)


def _add_gone(connection: Connection, orphans: Sequence[tables.Fresh], now: Micros) -> None:
    """A row in `gone` for each file that has none: from here on its writer, if there is one, waits and writes anew."""
    for fresh in orphans:
        tables.add(connection, fresh, now, tables.GONE)
