"""Small blobs share files: how they get there, how they are found, and what becomes of a segment."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from creamery import faults
from creamery.blobs import (
    Audit,
    BlobCorrupt,
    BlobMissing,
    Depth,
    NoSpace,
    NotDurable,
    ReadOnly,
    Repair,
    local,
    places,
    segments,
    tables,
)
from creamery.blobs.segments import HEADER_BYTES, RECORD_BYTES, Body, Place, SegmentFiles, SegmentWriter, number_of
from creamery.contract import Digest, digest_of
from tests.doubles.cellar import Cellar
from tests.doubles.shelf import SHELF, shelve
from tests.doubles.waiting import eventually

pytestmark = pytest.mark.anyio

SMALL = 1_000
OpenCellar = Callable[..., Cellar]
INSTANCE = "6f1c1b1e-7c3f-4d53-9a0e-1c2f3a4b5c6d"


@pytest.fixture
def cellar(open_cellar: OpenCellar, database_url: str) -> Cellar:
    return open_cellar(database_url, small_bytes=SMALL, segment_bytes=4_000)


def place_of(cellar: Cellar, digest: Digest) -> Place:
    place = cellar.database.read(lambda connection: places.place_of(connection, digest))
    assert place is not None
    return place


def files(cellar: Cellar) -> list[Path]:
    return sorted((cellar.data / "segments").iterdir())


def damage(cellar: Cellar, digest: Digest, data: bytes, *, before: int = 0) -> None:
    place = place_of(cellar, digest)
    path = cellar.blobs.reader.segments.path(place.segment)
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(place.offset - before)
        file.write(data)


def grow_old(cellar: Cellar) -> None:
    """All segments were last changed long ago, by the cellar's own clock."""
    for path in files(cellar):
        os.utime(path, (0, 0))


def audit(cellar: Cellar) -> list[str]:
    look = Audit(cellar.data, cellar.database, [SHELF], cellar.limits, cellar.clock)
    return [f"{finding.kind}: {finding.detail}" for finding in look.run(Depth.DATA, lambda size: None)]


# Writing


def test_what_is_small_lies_with_others_and_what_is_not_alone(any_database_url: str, open_cellar: OpenCellar) -> None:
    cellar = open_cellar(any_database_url, small_bytes=SMALL)
    bodies = [b"", b"a", b"b" * SMALL, b"c" * (SMALL + 1)]
    digests = [cellar.put(body, f"{len(body)}") for body in bodies]

    assert [cellar.blobs.read(digest, 10_000) for digest in digests] == bodies
    assert {digest for digest, _ in cellar.blobs.store.list()} == {digests[3]}
    assert len(files(cellar)) == 1
    assert len({place_of(cellar, digest).segment for digest in digests[:3]}) == 1
    assert cellar.stored() == set(digests)


def test_none_is_small_where_none_shall_be(open_cellar: OpenCellar, database_url: str) -> None:
    cellar = open_cellar(database_url, small_bytes=0)
    digests = {cellar.put(b"", "empty"), cellar.put(b"a", "a")}

    assert {digest for digest, _ in cellar.blobs.store.list()} == digests
    assert files(cellar) == []


def test_another_process_finds_them(cellar: Cellar, open_cellar: OpenCellar, database_url: str) -> None:
    digest = cellar.put(b"found", "name")
    other = open_cellar(database_url, small_bytes=SMALL)

    assert b"".join(other.blobs.reader.open(digest, 1, 3)) == b"ou"
    extent = other.blobs.locate(digest, 5)
    assert extent.path.read_bytes()[extent.offset : extent.offset + extent.length] == b"found"
    with pytest.raises(BlobCorrupt):
        other.blobs.locate(digest, 6)
    with pytest.raises(BlobMissing):
        other.blobs.locate(digest_of(b"elsewhere"), 5)


async def test_a_known_place_costs_no_statement(cellar: Cellar, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = cellar.put(b"found", "name")
    first = await cellar.blobs.prepare(digest, 5)

    def ask(*_: object) -> None:
        raise AssertionError("the database is asked")

    monkeypatch.setattr(cellar.database, "read", ask)

    assert await cellar.blobs.prepare(digest, 5) == first


def test_many_at_once_are_synced_together(cellar: Cellar, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []

    def sync(descriptor: int) -> None:
        syncs.append(descriptor)
        local.sync_data(descriptor)

    monkeypatch.setattr(segments, "sync_data", sync)
    bodies = [b"%d" % number for number in range(200)]

    is_held, others_wait = threading.Event(), threading.Event()

    def hold(_: Connection) -> bool:
        """A first write holds the committer up until the others wait."""
        is_held.set()
        return others_wait.wait(10)

    first = cellar.committer.submit(hold)
    assert is_held.wait(10)
    with ThreadPoolExecutor(16) as pool:
        putting = [pool.submit(cellar.put, body, body.decode()) for body in bodies]
        eventually(lambda: len(cellar.committer._waiting) == 16)
        others_wait.set()
        digests = [each.result() for each in putting]
    assert first.result()

    assert len(syncs) < 100
    assert [cellar.blobs.read(digest, 10) for digest in digests] == bodies
    assert list(audit(cellar)) == []


async def test_a_small_part_never_touches_the_disk_before_it_is_kept(cellar: Cellar) -> None:
    part = cellar.blobs.begin(None, "test")
    await part.write(b"one ")
    await part.write(b"two")
    assert list((cellar.data / "incoming").iterdir()) == []
    digest = await part.finish(digest_of(b"one two"))
    assert part.held == b"one two"
    with part.open() as file:
        assert file.read() == b"one two"
    assert await part.read(4, 10) == b"two"

    await cellar.blobs.keep(part, shelve("name"), beside=[b"beside it"])

    assert list((cellar.data / "incoming").iterdir()) == []
    assert cellar.stored() == {digest, digest_of(b"beside it")}
    assert cellar.blobs.read(digest, 100) == b"one two"
    assert cellar.blobs.reserved_bytes() == 0


async def test_a_part_that_grows_goes_to_the_disk_whole(cellar: Cellar) -> None:
    part = cellar.blobs.begin(None, "test")
    pieces = [b"%03d" % number * 30 for number in range(40)]
    for piece in pieces:
        await part.write(piece)
    await part.flush()
    assert len(list((cellar.data / "incoming").iterdir())) == 1
    digest = await part.finish(digest_of(b"".join(pieces)))
    assert await part.read(0, 180) == b"".join(pieces)[:180]
    await cellar.blobs.keep(part, shelve("name"))

    assert cellar.blobs.read(digest, 100_000) == b"".join(pieces)
    assert {digest for digest, _ in cellar.blobs.store.list()} == {digest}


def test_a_refused_reference_leaves_nothing_but_waste(cellar: Cellar) -> None:
    def refuse(connection: Connection, digest: Digest) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        cellar.blobs.keep_bytes(b"refused", refuse)

    assert cellar.stored() == set()
    assert audit(cellar) == []
    assert cellar.blobs.reserved_bytes() == 0


def test_a_full_segment_is_followed_by_another(cellar: Cellar) -> None:
    digests = [cellar.put(b"%d" % number * 500, f"{number}") for number in range(10)]

    assert len(files(cellar)) == 2
    assert [oct(path.stat().st_mode & 0o777) for path in files(cellar)].count("0o444") == 1
    assert [cellar.blobs.read(digest, SMALL) for digest in digests] == [b"%d" % number * 500 for number in range(10)]


@pytest.mark.parametrize("step", ["segments.begun", "segments.mid_write", "segments.before_sync"])
def test_a_segment_that_failed_is_never_written_to_again(cellar: Cellar, step: str) -> None:
    first = cellar.put(b"before", "before")
    if step == "segments.begun":
        cellar.blobs._keeper._segment.close()
    faults.arm(f"{step}=EIO")
    with pytest.raises(NotDurable):
        cellar.put(b"lost", "lost")
    faults.disarm()
    second = cellar.put(b"after", "after")

    assert place_of(cellar, first).segment != place_of(cellar, second).segment
    assert [cellar.blobs.read(digest, 10) for digest in (first, second)] == [b"before", b"after"]
    assert cellar.names().keys() == {"before", "after"}
    assert audit(cellar) == []


def test_a_disk_that_fails_often_is_written_no_more(cellar: Cellar) -> None:
    for _ in range(3):
        faults.arm("segments.before_sync=EIO")
        with pytest.raises(NotDurable):
            cellar.put(b"lost", "lost")
    faults.disarm()

    with pytest.raises(ReadOnly):
        cellar.put(b"after", "after")


def test_a_full_disk_is_no_failure_of_the_disk(cellar: Cellar) -> None:
    for _ in range(5):
        faults.arm("segments.mid_write=ENOSPC")
        with pytest.raises(NoSpace):
            cellar.put(b"too much", "lost")
    faults.disarm()

    assert cellar.blobs.read(cellar.put(b"after", "after"), 10) == b"after"
    assert cellar.blobs.reserved_bytes() == 0


def test_only_those_who_brought_bodies_hear_that_they_are_lost(cellar: Cellar) -> None:
    """One batch: a row alone, and a body that the disk refuses."""
    faults.arm("segments.before_sync=EIO")
    hold = cellar.committer.submit(lambda connection: cellar.clock.now())
    alone = cellar.committer.submit(lambda connection: 42)
    with pytest.raises(NotDurable):
        cellar.put(b"lost", "lost")

    assert alone.result(10) == 42
    hold.result(10)


def test_the_same_bytes_twice_are_one_blob(cellar: Cellar) -> None:
    first = cellar.put(b"same", "one")
    before = place_of(cellar, first)
    second = cellar.put(b"same", "two")

    assert first == second
    assert place_of(cellar, first) == before
    assert cellar.names().keys() == {"one", "two"}


async def test_the_same_bytes_together_are_one_blob(cellar: Cellar) -> None:
    async def keep(name: str) -> None:
        part = cellar.blobs.begin(None, "test")
        await part.write(b"same")
        await part.finish(None)
        await cellar.blobs.keep(part, shelve(name), beside=[b"same"])

    await asyncio.gather(*(keep(f"{number}") for number in range(10)))

    assert cellar.stored() == {digest_of(b"same")}
    assert audit(cellar) == []


def test_a_writer_that_leaves_twice_does_no_harm(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, 1_000)
    writer.begin(INSTANCE)
    body = Body(b"bytes")
    writer.append([body])
    assert body.place is not None
    assert SegmentFiles(tmp_path).is_open(body.place.segment)
    writer.close()
    writer.close()

    assert not SegmentFiles(tmp_path).is_open(body.place.segment)
    assert body.place.offset == HEADER_BYTES + RECORD_BYTES
    assert [number_of(path.name) for path in tmp_path.iterdir()] == [body.place.segment]


def test_a_large_batch_lies_where_it_is_said(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, 100_000_000)
    writer.begin(INSTANCE)
    bodies = [Body(os.urandom(size)) for size in (1, 65_536, 7, 0, 8, *[65_536] * 40, 3)]
    writer.append(bodies[:3])
    writer.append(bodies[3:])
    writer.close()
    reading = SegmentFiles(tmp_path)

    for body in bodies:
        assert body.place is not None
        assert b"".join(reading.open(body.place)) == body.data
        assert reading.record(body.place) == segments.Record(len(body.data), body.digest)


@pytest.mark.parametrize("name", ["0.seg", "000000000000000G.seg", "0000000000000001", "ABCDEF0123456789.seg"])
def test_other_names_are_no_segments(name: str) -> None:
    assert number_of(name) is None


# Wrong bytes


def test_wrong_bytes_go_to_quarantine_and_right_ones_come_back(cellar: Cellar) -> None:
    digest = cellar.put(b"right", "name")
    damage(cellar, digest, b"wrong")

    with pytest.raises(BlobCorrupt):
        cellar.blobs.read(digest, 100)

    assert cellar.states() == {digest: "corrupt"}
    assert [path.read_bytes() for path in (cellar.data / "quarantine").iterdir()] == [b"wrong"]
    with pytest.raises(BlobMissing):
        cellar.blobs.read(digest, 100)
    assert cellar.put(b"right", "again") == digest
    assert cellar.blobs.read(digest, 100) == b"right"
    assert cellar.states() == {digest: "ok"}
    assert audit(cellar) == []


def test_every_process_hears_of_it(cellar: Cellar, open_cellar: OpenCellar, database_url: str) -> None:
    digest = cellar.put(b"right", "name")
    other = open_cellar(database_url, small_bytes=SMALL)
    other.generations.on_change("blobs", other.blobs.forget_places)
    other.generations.look()
    assert other.blobs.read(digest, 100) == b"right"
    cellar.blobs.quarantine_now(digest, "the test says so")

    other.generations.look()

    with pytest.raises(BlobMissing):
        other.blobs.locate(digest, 5)


async def test_after_an_unclean_stop_the_first_read_hashes(
    cellar: Cellar, open_cellar: OpenCellar, database_url: str
) -> None:
    digest = cellar.put(b"right", "name")
    damage(cellar, digest, b"wrong")
    cellar.close()
    (cellar.data / "running" / "of-a-killed-process").touch()
    after = open_cellar(database_url, small_bytes=SMALL)

    with pytest.raises(BlobCorrupt):
        await after.blobs.prepare(digest, 5)

    assert after.states() == {digest: "corrupt"}


def test_what_was_kept_before_the_power_failed_is_verified_when_it_comes_again(
    cellar: Cellar, open_cellar: OpenCellar, database_url: str
) -> None:
    digest = cellar.put(b"right", "name")
    damage(cellar, digest, b"wrong")
    cellar.close()
    (cellar.data / "running" / "of-a-killed-process").touch()
    after = open_cellar(database_url, small_bytes=SMALL)

    after.put(b"right", "again")

    assert after.blobs.read(digest, 100) == b"right"
    assert len(list((after.data / "quarantine").iterdir())) == 1


def test_scrub_finds_what_rots(cellar: Cellar) -> None:
    digest = cellar.put(b"right", "name")
    cellar.put(b"other", "other")
    damage(cellar, digest, b"wrong")

    found = cellar.blobs.scrub(1e9)

    assert [finding.subject for finding in found] == [digest]
    assert cellar.states()[digest] == "corrupt"


# Compaction


def test_a_segment_that_is_mostly_waste_is_emptied_and_goes(cellar: Cellar) -> None:
    digests = [cellar.put(b"%d" % number * 500, f"{number}") for number in range(10)]
    full = place_of(cellar, digests[0]).segment
    for number in range(6):
        cellar.take_away(f"{number}")

    cellar.sweep_all()
    grow_old(cellar)
    cellar.sweep_all()

    assert [cellar.blobs.read(digest, SMALL) for digest in digests[6:]] == [b"%d" % n * 500 for n in range(6, 10)]
    assert full not in list(cellar.blobs.reader.segments.numbers())
    assert cellar.stored() == set(digests[6:])
    assert audit(cellar) == []


def test_a_segment_that_is_mostly_alive_stays(cellar: Cellar) -> None:
    digests = [cellar.put(b"%d" % number * 500, f"{number}") for number in range(10)]
    before = [place_of(cellar, digest) for digest in digests[1:]]
    cellar.take_away("0")

    grow_old(cellar)
    cellar.sweep_all()

    assert [place_of(cellar, digest) for digest in digests[1:]] == before


def test_whoever_was_told_the_old_place_finds_the_new_one(
    cellar: Cellar, open_cellar: OpenCellar, database_url: str
) -> None:
    digests = [cellar.put(b"%d" % number * 500, f"{number}") for number in range(10)]
    other = open_cellar(database_url, small_bytes=SMALL)
    assert other.blobs.read(digests[6], SMALL) == b"6" * 500
    for number in range(6):
        cellar.take_away(f"{number}")
    cellar.sweep_all()
    grow_old(cellar)
    cellar.sweep_all()

    assert other.blobs.read(digests[6], SMALL) == b"6" * 500
    extent = other.blobs.locate(digests[6], 500)
    assert extent.path.read_bytes()[extent.offset : extent.offset + 500] == b"6" * 500


def test_what_is_moved_is_hashed(cellar: Cellar) -> None:
    digests = [cellar.put(b"%d" % number * 500, f"{number}") for number in range(10)]
    damage(cellar, digests[6], b"x")
    for number in range(6):
        cellar.take_away(f"{number}")

    cellar.sweep_all()

    assert cellar.states()[digests[6]] == "corrupt"
    assert cellar.blobs.read(digests[7], SMALL) == b"7" * 500


def test_what_starts_leave_behind_is_put_together(open_cellar: OpenCellar, database_url: str) -> None:
    digests = []
    for number in range(9):
        cellar = open_cellar(database_url, small_bytes=SMALL)
        digests.append(cellar.put(b"%d" % number, f"{number}"))
        cellar.close()
    last = open_cellar(database_url, small_bytes=SMALL)
    assert len(files(last)) == 9

    last.blobs.sweep()
    grow_old(last)
    last.blobs.sweep()

    assert len({place_of(last, digest).segment for digest in digests}) == 1
    assert [last.blobs.read(digest, 10) for digest in digests] == [b"%d" % number for number in range(9)]


def test_a_segment_that_somebody_writes_to_stays(cellar: Cellar, open_cellar: OpenCellar, database_url: str) -> None:
    cellar.put(b"mine", "mine")
    cellar.take_away("mine")
    other = open_cellar(database_url, small_bytes=SMALL)

    other.sweep_all()
    grow_old(other)
    other.sweep_all()

    assert len(files(cellar)) == 1


def test_a_move_that_comes_too_late_changes_nothing(cellar: Cellar) -> None:
    digest = cellar.put(b"bytes", "name")
    place = place_of(cellar, digest)
    elsewhere = Place(1, 2, 5)

    moved = cellar.committer.write(lambda c: places.move(c, digest, Place(7, place.offset, 5), elsewhere))
    cellar.committer.write(lambda c: tables.set_gone(c, [digest], tables.blob.c.digest == digest))
    moved_gone = cellar.committer.write(lambda c: places.move(c, digest, place, elsewhere))

    assert (moved, moved_gone) == (False, False)


# fsck and repair


def test_fsck_names_what_is_wrong_in_segments(cellar: Cellar) -> None:
    digests = {name: cellar.put(name.encode() * 10, name) for name in ("rots", "record", "fine")}
    damage(cellar, digests["rots"], b"ROT")
    damage(cellar, digests["record"], b"x", before=RECORD_BYTES)
    (cellar.data / "segments" / "stranger").write_bytes(b"?")

    found = audit(cellar)

    assert len(found) == 3
    assert any("corrupt" in text and "SHA-256" in text for text in found)
    assert any("is not its record" in text for text in found)
    assert any("unknown file" in text for text in found)


def test_fsck_names_what_is_missing(cellar: Cellar) -> None:
    digests = [cellar.put(b"%d" % number * 500, f"{number}") for number in range(10)]
    cut, away = place_of(cellar, digests[0]).segment, place_of(cellar, digests[9]).segment
    cellar.blobs.reader.segments.path(away).unlink()
    path = cellar.blobs.reader.segments.path(cut)
    path.chmod(0o600)
    os.truncate(path, place_of(cellar, digests[1]).offset + 10)

    found = audit(cellar)

    assert len(found) == 9
    assert all(text.startswith("missing blob") for text in found)


def test_fsck_names_rows_that_lie_upon_each_other(cellar: Cellar) -> None:
    first, second = cellar.put(b"first", "first"), cellar.put(b"second", "second")
    place = place_of(cellar, first)
    wrong = Place(place.segment, place.offset + 1, 6)
    cellar.committer.write(partial(places.set_place, digest=second, place=wrong))

    found = audit(cellar)

    assert len(found) == 1
    assert f"where {first} lies" in found[0]


def test_an_empty_segment_is_a_finding_only_when_no_sweep_took_it(cellar: Cellar) -> None:
    cellar.put(b"bytes", "name")
    cellar.blobs._keeper._segment.close()
    cellar.take_away("name")
    cellar.sweep_all()
    young = audit(cellar)
    cellar.clock.advance(1)  # type: ignore[attr-defined]  # a HandClock
    writer = SegmentWriter(cellar.data / "segments", 1)
    writer.begin(INSTANCE)
    writer.append([Body(b"nobody's")])
    writer.close()
    grow_old(cellar)

    assert young == []
    assert [text for text in audit(cellar) if "no blob lies in it" in text] != []


def test_repair_puts_away_what_rots_and_forgets_what_can_be_fetched(cellar: Cellar) -> None:
    kept = cellar.put(b"kept", "kept")
    cached = cellar.put(b"cached", "cached", kept=False)
    damage(cellar, kept, b"KEPT")
    damage(cellar, cached, b"CACHED")
    look = Audit(cellar.data, cellar.database, [SHELF], cellar.limits, cellar.clock)
    mender = Repair(cellar.data, cellar.database, cellar.committer, [SHELF], cellar.clock)

    done = {finding.subject: mender.mend(finding) for finding in look.run(Depth.DATA, lambda size: None)}

    assert done[kept] is None
    assert done[cached] is not None
    assert cellar.states() == {kept: "corrupt"}
    assert sorted(path.read_bytes() for path in (cellar.data / "quarantine").iterdir()) == [b"CACHED", b"KEPT"]


def test_the_errors_of_a_disk_are_told_apart() -> None:
    assert isinstance(local.explain(OSError(errno.ENOSPC, "full"), "now"), NoSpace)
    assert isinstance(local.explain(OSError(errno.EIO, "broken"), "now"), NotDurable)
