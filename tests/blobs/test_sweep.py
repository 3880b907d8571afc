"""What goes, when it goes, and what stops it from going."""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import ColumnElement, text

from creamery.blobs import NoSpace, Swept, tables
from creamery.blobs.local import LocalStore
from creamery.clock import Micros
from creamery.contract import Digest
from creamery.database import DatabaseUnavailable
from creamery.sections import Cache
from tests.doubles.cellar import Cellar
from tests.doubles.hand_clock import HandClock
from tests.doubles.obstacles import obstruct
from tests.doubles.shelf import SHELF, shelve

DAY = 86_401


def garbage(cellar: Cellar, body: bytes = b"garbage") -> Digest:
    """A blob that nobody holds any more, older than the grace."""
    digest = cellar.put(body, "garbage")
    cellar.take_away("garbage")
    cellar.clock.advance(DAY)  # type: ignore[attr-defined]  # a HandClock
    return digest


def test_what_nobody_holds_goes_after_two_graces(cellar: Cellar, clock: HandClock) -> None:
    held = cellar.put(b"held", "a")
    digest = garbage(cellar)

    first = cellar.blobs.sweep()
    between = cellar.stored(), cellar.states()[digest]
    too_early = cellar.blobs.sweep()
    clock.advance(DAY)
    second = cellar.blobs.sweep()

    assert (first.marked, first.deleted) == (1, 0)
    assert between == ({held, digest}, "deleting")
    assert (too_early.marked, too_early.deleted) == (0, 0)
    assert (second.marked, second.deleted) == (0, 1)
    assert cellar.stored() == {held}
    assert cellar.states() == {held: "ok"}


def test_what_is_young_stays(cellar: Cellar, clock: HandClock) -> None:
    digest = cellar.put(b"young", "a")
    cellar.take_away("a")
    clock.advance(DAY - 2)

    swept = cellar.blobs.sweep()

    assert swept.marked == 0
    assert cellar.states() == {digest: "ok"}


@pytest.mark.parametrize("kept", [True, False])
def test_any_reference_holds(cellar: Cellar, kept: bool) -> None:
    digest = cellar.put(b"held", "a", kept=kept)

    cellar.sweep_all()

    assert cellar.stored() == {digest}


def test_who_needs_a_blob_that_is_marked_has_it_back(cellar: Cellar) -> None:
    digest = garbage(cellar)
    cellar.blobs.sweep()

    cellar.put(b"garbage", "a")
    cellar.sweep_all()

    assert cellar.stored() == {digest}
    assert cellar.states() == {digest: "ok"}


def test_a_reference_that_slipped_in_while_it_was_marked_restores_it(cellar: Cellar, clock: HandClock) -> None:
    # PostgreSQL: the UPDATE's snapshot of the holders' tables may be older than a reference that did not touch the row.
    digest = cellar.put(b"held", "a")
    due = Micros(clock.now() + 1)
    cellar.committer.write(
        lambda connection: tables.set_deleting(connection, [digest], tables.blob.c.state == "ok", clock.now(), due)
    )
    clock.advance(1)

    swept = cellar.blobs.sweep()

    assert swept.deleted == 0
    assert cellar.states() == {digest: "ok"}
    assert cellar.stored() == {digest}


def test_a_sweep_ends_what_a_killed_one_began(cellar: Cellar) -> None:
    digests = [cellar.put(bytes([number]), str(number)) for number in range(2)]
    for number in range(2):
        cellar.take_away(str(number))
    cellar.committer.write(lambda connection: connection.execute(tables.blob.update().values(state="gone")))
    cellar.blobs.store.delete(digests[0])  # unlinked, its row not yet deleted

    swept = cellar.blobs.sweep()

    assert swept.deleted == 2
    assert (cellar.stored(), cellar.states()) == (set(), {})


def test_a_writer_that_meets_gone_finishes_for_a_killed_sweep(cellar: Cellar) -> None:
    digest = cellar.put(b"needed", "a")
    cellar.take_away("a")
    cellar.committer.write(lambda connection: connection.execute(tables.blob.update().values(state="gone")))

    cellar.put(b"needed", "b")

    assert cellar.states() == {digest: "ok"}
    assert cellar.blobs.read(digest, 10) == b"needed"


def test_a_leased_blob_is_not_swept(cellar: Cellar) -> None:
    digest = garbage(cellar)

    with cellar.blobs.lease(digest):
        leased = cellar.blobs.sweep()
    free = cellar.blobs.sweep()

    assert (leased.marked, free.marked) == (0, 1)


def test_a_used_blob_is_not_swept(cellar: Cellar) -> None:
    digest = garbage(cellar)
    cellar.blobs.used(digest)
    cellar.blobs.flush_uses()

    swept = cellar.blobs.sweep()

    assert swept.marked == 0


def test_a_dry_run_counts_and_touches_nothing(cellar: Cellar) -> None:
    digest = garbage(cellar)

    would = cellar.blobs.sweep(dry_run=True, slices=16)

    assert would.marked == 1
    assert cellar.states() == {digest: "ok"}


def test_a_run_is_bounded(open_cellar: Callable[..., Cellar], database_url: str, clock: HandClock) -> None:
    cellar = open_cellar(database_url, sweep_blobs=200)
    cellar.scatter([b"%d" % number for number in range(300)])
    clock.advance(DAY)

    runs = [cellar.blobs.sweep().skipped, _without_breaker(cellar).marked, _without_breaker(cellar).marked]

    assert runs[0] is not None
    assert runs[1:] == [200, 100]


def _without_breaker(cellar: Cellar) -> Swept:
    cellar.blobs._sweeper._limits = cellar.limits.model_copy(update={"sweep_share": 1.0})
    return cellar.blobs.sweep()


# What stops it


@pytest.mark.parametrize(("garbage_blobs", "held_blobs", "stops"), [(20, 0, False), (21, 20, True), (21, 21, False)])
def test_too_much_garbage_stops_a_sweep(
    cellar: Cellar, clock: HandClock, garbage_blobs: int, held_blobs: int, stops: bool
) -> None:
    cellar.scatter([b"garbage %d" % number for number in range(garbage_blobs)])
    held = cellar.scatter([b"held %d" % number for number in range(held_blobs)])
    cellar.committer.write(lambda connection: [shelve(digest[:8])(connection, digest) for digest in held])
    clock.advance(DAY)

    swept = cellar.blobs.sweep()

    assert (swept.skipped is not None) is stops
    assert swept.marked == (0 if stops else garbage_blobs)


@pytest.mark.parametrize("seconds", [3_600.0, -3_600.0])
def test_a_clock_that_jumped_stops_one_sweep(cellar: Cellar, clock: HandClock, seconds: float) -> None:
    garbage(cellar)
    cellar.blobs.sweep(dry_run=True)

    clock.jump(seconds)
    jumped, later = cellar.blobs.sweep(), cellar.blobs.sweep()

    assert jumped.skipped == "the clock has jumped"
    assert later.skipped is None


def test_a_clock_behind_the_last_sweep_stops_one_sweep_of_a_new_process(
    open_cellar: Callable[..., Cellar], database_url: str, clock: HandClock
) -> None:
    open_cellar(database_url).blobs.sweep()
    clock.jump(-3_600)
    cellar = open_cellar(database_url)

    behind, later = cellar.blobs.sweep(), cellar.blobs.sweep()

    assert behind.skipped == "the clock has jumped"
    assert later.skipped is None


def test_an_eviction_between_does_not_hide_a_jump_from_the_sweep(cellar: Cellar, clock: HandClock) -> None:
    cellar.blobs.sweep()
    clock.jump(3_600)

    cellar.blobs.evict()

    assert cellar.blobs.sweep().skipped == "the clock has jumped"


def test_what_a_clock_of_the_future_wrote_goes_all_the_same(cellar: Cellar, clock: HandClock) -> None:
    clock.jump(400 * DAY)
    digest = cellar.put(b"garbage", "garbage")
    cellar.take_away("garbage")
    cellar.blobs.sweep()
    clock.jump(-400 * DAY)
    cellar.blobs.sweep()

    states = []
    for _ in range(3):
        cellar.blobs.sweep()
        states.append(cellar.states().get(digest))
        clock.advance(DAY)

    assert states == ["ok", "deleting", None]


def test_without_holders_nothing_is_garbage(cellar: Cellar) -> None:
    digest = garbage(cellar)
    cellar.blobs.hold([])

    swept, evicted = cellar.blobs.sweep(), cellar.blobs.evict()

    assert swept.skipped is not None
    assert evicted.blobs == 0
    assert cellar.states() == {digest: "ok"}


def test_a_holder_that_fails_stops_a_sweep(cellar: Cellar) -> None:
    digest = garbage(cellar)

    def broken(column: ColumnElement[Digest]) -> ColumnElement[bool]:
        return text("no_such_column = 1")  # type: ignore[return-value]

    cellar.blobs.hold([SHELF, replace(SHELF, name="broken", kept=broken)])

    with pytest.raises(DatabaseUnavailable):
        cellar.blobs.sweep()

    assert cellar.states() == {digest: "ok"}


# Files that nobody knows


def test_a_file_without_a_row_goes_when_it_is_old(cellar: Cellar, clock: HandClock) -> None:
    held = cellar.put(b"held", "a")
    orphan = cellar.put(b"orphan", "b")
    cellar.committer.write(lambda c: c.execute(tables.blob.delete().where(tables.blob.c.digest == orphan)))
    cellar.take_away("b")

    young = cellar.blobs.sweep(slices=16)
    clock.advance(DAY)
    old = cellar.blobs.sweep(slices=16)

    assert (young.orphans, old.orphans) == (0, 1)
    assert cellar.stored() == {held}
    assert cellar.states() == {held: "ok"}


def test_sixteen_sweeps_see_the_whole_tree(cellar: Cellar, clock: HandClock) -> None:
    cellar.scatter([b"%d" % number for number in range(64)], rows=False)
    clock.advance(DAY)

    runs = [cellar.blobs.sweep().orphans for _ in range(16)]

    assert sum(runs) == 64
    assert max(runs) < 32


def test_what_a_killed_process_was_writing_goes_after_a_while(
    open_cellar: Callable[..., Cellar], database_url: str, clock: HandClock
) -> None:
    cellar = open_cellar(database_url, part_seconds=1_000)
    left = cellar.blobs.layout.incoming / "left"
    left.write_bytes(b"half a file")

    clock.advance(998)
    young = cellar.blobs.sweep()
    clock.advance(4)
    old = cellar.blobs.sweep()

    assert (young.parts, old.parts) == (0, 1)
    assert not left.exists()


def test_what_is_no_part_file_is_left_to_fsck_and_stops_nothing(cellar: Cellar, clock: HandClock) -> None:
    incoming = cellar.blobs.layout.incoming
    (incoming / "folder").mkdir()
    (incoming / "link").symlink_to("nowhere")
    (incoming / "part").write_bytes(b"half a file")
    clock.advance(DAY)

    would, done = cellar.blobs.sweep(dry_run=True), cellar.blobs.sweep()

    assert (would.parts, done.parts) == (1, 1)
    assert {path.name for path in incoming.iterdir()} == {"folder", "link"}


def test_garbage_that_is_a_folder_by_now_stops_nothing(cellar: Cellar) -> None:
    garbage(cellar)
    obstruct(cellar.blobs.store.path(garbage(cellar, b"more")), "full folder")

    cellar.sweep_all()

    assert (cellar.stored(), cellar.states()) == (set(), {})
    assert len(list(cellar.blobs.layout.quarantine.rglob("inside"))) == 1


def test_a_folder_that_cannot_be_read_stops_its_own_slices_alone(
    cellar: Cellar, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cellar.scatter([b"%d" % number for number in range(16)], rows=False)
    (cellar.blobs.store.root / "00").mkdir(exist_ok=True)
    clock.advance(DAY)
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "00":
            raise PermissionError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    failures = 0
    for _ in range(3):
        try:
            cellar.blobs.sweep(slices=8)
        except PermissionError:
            failures += 1
    monkeypatch.undo()

    assert failures in {1, 2}
    assert 0 < len(cellar.stored()) < 16


# Eviction


def fill(cellar: Cellar, count: int) -> list[Digest]:
    """Cached blobs of 1000 bytes, the first one used longest ago."""
    digests = []
    for number in range(count):
        digests.append(cellar.put(bytes([number]) * 1000, f"cached {number}", kept=False))
        cellar.clock.advance(10)  # type: ignore[attr-defined]  # a HandClock
    return digests


def test_the_least_recently_used_go_first(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    cellar = open_cellar(database_url, cache=Cache(max_bytes=3_000))
    digests = fill(cellar, 5)
    kept = cellar.put(b"x" * 5_000, "kept")
    cellar.blobs.used(digests[0])

    evicted = cellar.blobs.evict()

    gone = {digest for digest, here in cellar.names().values() if not here}
    assert gone == {digests[1], digests[2]}
    assert (evicted.blobs, evicted.bytes) == (2, 2_000)
    assert cellar.states()[kept] == "ok"


def test_in_the_round_that_finds_the_clock_set_nothing_is_evicted(
    open_cellar: Callable[..., Cellar], database_url: str, clock: HandClock
) -> None:
    cellar = open_cellar(database_url, cache=Cache(max_bytes=1_000, max_age=DAY))
    fill(cellar, 3)
    clock.jump(2 * DAY)

    jumped, later = cellar.blobs.evict(), cellar.blobs.evict()

    assert (jumped.blobs, later.blobs) == (0, 3)


def test_a_clock_that_was_set_while_the_hub_was_down_does_not_empty_the_cache(
    open_cellar: Callable[..., Cellar], database_url: str, clock: HandClock
) -> None:
    fill(open_cellar(database_url), 21)
    clock.jump(400 * DAY)
    cellar = open_cellar(database_url, cache=Cache(max_age=DAY))
    allowing = open_cellar(database_url, cache=Cache(max_age=DAY), sweep_share=1)

    assert cellar.blobs.evict().blobs == 0
    assert allowing.blobs.evict().blobs == 21


def test_evicted_bytes_go_after_the_short_grace(
    open_cellar: Callable[..., Cellar], database_url: str, clock: HandClock
) -> None:
    cellar = open_cellar(database_url, cache=Cache(max_bytes=0))
    fill(cellar, 1)

    cellar.blobs.evict()
    before = len(cellar.stored())
    clock.advance(61)
    cellar.blobs.evict()

    assert (before, len(cellar.stored())) == (1, 0)
    assert cellar.states() == {}


def test_what_is_fetched_again_within_the_grace_is_back(
    open_cellar: Callable[..., Cellar], database_url: str, clock: HandClock
) -> None:
    cellar = open_cellar(database_url, cache=Cache(max_bytes=500))
    digests = fill(cellar, 1)
    cellar.blobs.evict()

    cellar.put(bytes(1000), "again")
    clock.advance(61)
    cellar.blobs.evict()

    assert cellar.states() == {digests[0]: "ok"}


def test_bytes_at_the_limit_stay_and_one_more_goes(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    cellar = open_cellar(database_url, cache=Cache(max_bytes=2_000))
    fill(cellar, 2)

    at_limit = cellar.blobs.evict()
    cellar.put(b"1", "one more", kept=False)
    beyond = cellar.blobs.evict()

    assert (at_limit.blobs, beyond.blobs) == (0, 1)


def test_kept_bytes_do_not_count_against_the_cache(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    cellar = open_cellar(database_url, cache=Cache(max_bytes=2_000))
    fill(cellar, 2)
    cellar.put(b"x" * 100_000, "kept")
    cellar.put(bytes([1]) * 1000, "one of the cached ones, now kept")

    evicted = cellar.blobs.evict()

    assert evicted.blobs == 0


def test_a_leased_blob_is_passed_over(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    cellar = open_cellar(database_url, cache=Cache(max_bytes=1_000))
    digests = fill(cellar, 3)

    with cellar.blobs.lease(digests[0]), cellar.blobs.lease(digests[0]):
        evicted = cellar.blobs.evict()

    assert evicted.blobs == 2
    assert cellar.states() == {digests[0]: "ok", digests[1]: "deleting", digests[2]: "deleting"}


def test_what_was_not_used_for_long_goes(
    open_cellar: Callable[..., Cellar], database_url: str, clock: HandClock
) -> None:
    cellar = open_cellar(database_url, cache=Cache(max_age=1_000))
    digests = fill(cellar, 3)
    clock.advance(985)

    cellar.blobs.evict()

    assert cellar.states() == {digests[0]: "deleting", digests[1]: "deleting", digests[2]: "ok"}


def test_a_disk_below_its_reserve_evicts_what_is_lacking_once(
    open_cellar: Callable[..., Cellar], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cellar = open_cellar(database_url, reserve_bytes=10_000, reserve_share=0.9)
    fill(cellar, 5)
    disk = SimpleNamespace(f_frsize=1, f_blocks=100_000, f_bavail=8_500)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)

    first, second = cellar.blobs.evict(), cellar.blobs.evict()

    assert (first.blobs, second.blobs) == (2, 0)


@pytest.mark.parametrize(("free", "goes"), [(15_000, 0), (11_500, 1), (10_100, 2)])
def test_there_is_room_before_somebody_needs_it(
    open_cellar: Callable[..., Cellar], database_url: str, monkeypatch: pytest.MonkeyPatch, free: int, goes: int
) -> None:
    """As much as the reserve above it, where a tenth of the cache is as much."""
    cellar = open_cellar(database_url, reserve_bytes=10_000, reserve_share=0.9)
    fill(cellar, 19)
    disk = SimpleNamespace(f_frsize=1, f_blocks=100_000, f_bavail=free)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)

    assert cellar.blobs.evict().blobs == goes


def test_room_is_made_for_all_that_did_not_fit(
    open_cellar: Callable[..., Cellar], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cellar = open_cellar(database_url, reserve_bytes=0)
    fill(cellar, 9)
    disk = SimpleNamespace(f_frsize=1, f_blocks=100_000, f_bavail=100)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)

    for owner in ("one", "two", "three"):
        with pytest.raises(NoSpace):
            cellar.blobs.begin(1_500, owner)
    cellar.blobs.evict()

    assert Counter(cellar.states().values())["deleting"] == 5


@pytest.mark.parametrize(("wanted", "goes"), [(2_500, 2), (50_000, 0)])
def test_the_cache_gives_way_to_what_did_not_fit_if_that_helps(
    open_cellar: Callable[..., Cellar], database_url: str, monkeypatch: pytest.MonkeyPatch, wanted: int, goes: int
) -> None:
    cellar = open_cellar(database_url, reserve_bytes=0)
    fill(cellar, 5)
    disk = SimpleNamespace(f_frsize=1, f_blocks=100_000, f_bavail=1_000)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)

    for count in (50_000, wanted):  # what can never fit takes nothing from what can
        with pytest.raises(NoSpace):
            cellar.blobs.begin(count, f"what does not fit, {count}")
    cellar.blobs.evict()  # as a thread of its own does just now

    assert Counter(cellar.states().values())["deleting"] == goes


def test_one_file_that_cannot_be_deleted_keeps_no_other_from_it(
    open_cellar: Callable[..., Cellar], database_url: str, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cellar = open_cellar(database_url, cache=Cache(max_bytes=0))
    fill(cellar, 3)
    cellar.blobs.evict()
    clock.advance(61)
    stuck, delete = min(cellar.stored()), LocalStore.delete

    def refuse(self: LocalStore, digest: Digest) -> None:
        if digest == stuck:
            raise PermissionError(errno.EPERM, "immutable")
        delete(self, digest)

    with monkeypatch.context() as refusing:
        refusing.setattr(LocalStore, "delete", refuse)
        cellar.blobs.evict()
        left = cellar.stored()
    cellar.blobs.evict()

    assert left == {stuck}
    assert cellar.stored() == set()
    assert cellar.states() == {}


def test_a_dry_eviction_counts_and_touches_nothing(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    cellar = open_cellar(database_url, cache=Cache(max_bytes=1_000))
    fill(cellar, 3)

    would = cellar.blobs.evict(dry_run=True)

    assert (would.blobs, would.bytes) == (2, 2_000)
    assert set(cellar.states().values()) == {"ok"}


def test_garbage_is_not_evicted_but_swept(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    cellar = open_cellar(database_url, cache=Cache(max_bytes=0))
    garbage(cellar)

    assert cellar.blobs.evict().blobs == 0
    assert cellar.blobs.sweep().marked == 1


def test_uses_are_written_down_by_themselves(
    open_cellar: Callable[..., Cellar], database_url: str, clock: HandClock, tmp_path: Path
) -> None:
    cellar = open_cellar(database_url, uses_seconds=0.01)
    digest = cellar.put(b"x", "a")
    clock.advance(100)
    before = clock.now()

    cellar.blobs.used(digest)
    deadline = time.monotonic() + 5
    while not cellar.database.read(lambda c: tables.count(c, tables.blob.c.used >= before)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
