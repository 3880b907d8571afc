"""Whether rows, files and references agree, and what is mended when they don't."""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from creamery.blobs import Audit, Depth, Finding, Kind, NotAStore, Repair, audit, tables
from creamery.contract import Digest, digest_of
from tests.doubles.cellar import Cellar, make_tables
from tests.doubles.hand_clock import HandClock
from tests.doubles.obstacles import OBSTACLES, obstruct
from tests.doubles.shelf import SHELF, shelve


def audited(cellar: Cellar, depth: Depth = Depth.SIZES) -> list[Finding]:
    look = Audit(cellar.data, cellar.database, [SHELF], cellar.limits, cellar.clock)
    findings = list(look.run(depth, lambda size: None))
    assert look.summary.findings == Counter(finding.kind for finding in findings)
    return findings


def mended(cellar: Cellar, findings: list[Finding]) -> list[str | None]:
    repair = Repair(cellar.data, cellar.database, cellar.committer, [SHELF], cellar.clock)
    return [repair.mend(finding) for finding in findings]


def spoil(cellar: Cellar, digest: Digest, content: bytes) -> Path:
    path = cellar.blobs.store.path(digest)
    path.chmod(0o600)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("depth", list(Depth))
def test_what_is_whole_is_clean(cellar: Cellar, depth: Depth) -> None:
    for number in range(5):
        cellar.put(b"%d" % number, str(number), kept=number % 2 == 0)

    assert audited(cellar, depth) == []


def test_an_audit_counts_what_it_looked_at(cellar: Cellar) -> None:
    for number in range(3):
        cellar.put(bytes([number]) * 10, str(number))
    look = Audit(cellar.data, cellar.database, [SHELF], cellar.limits, cellar.clock)
    steps: list[int] = []

    list(look.run(Depth.QUICK, steps.append))

    assert (look.summary.blobs, look.summary.bytes, look.summary.references) == (3, 30, 3)
    assert sum(steps) == look.size()


@pytest.mark.parametrize("depth", list(Depth))
@pytest.mark.parametrize("kept", [True, False])
def test_a_missing_blob_is_found_with_its_names(cellar: Cellar, depth: Depth, kept: bool) -> None:
    digest = cellar.put(b"x", "a", kept=kept)
    cellar.put(b"x", "b", kept=kept)
    cellar.blobs.store.delete(digest)

    findings = audited(cellar, depth)

    assert findings == [Finding(Kind.MISSING, digest, "there is no file of 1 bytes", ("a", "b"), kept=kept)]


def test_sizes_are_compared_unless_it_must_be_quick(cellar: Cellar) -> None:
    digest = cellar.put(b"good", "a")
    spoil(cellar, digest, b"bad")

    assert audited(cellar, Depth.QUICK) == []
    assert [finding.kind for finding in audited(cellar, Depth.SIZES)] == [Kind.WRONG_SIZE]


def test_bytes_are_hashed_only_when_asked_for(cellar: Cellar) -> None:
    digest = cellar.put(b"good", "a")
    spoil(cellar, digest, b"evil")

    assert audited(cellar, Depth.SIZES) == []
    assert [(finding.kind, finding.subject) for finding in audited(cellar, Depth.DATA)] == [(Kind.CORRUPT, digest)]


def test_a_reference_without_a_row_is_found(cellar: Cellar) -> None:
    unknown = digest_of(b"never kept")
    cellar.committer.write(lambda connection: shelve("a")(connection, unknown))

    findings = audited(cellar)

    assert [(finding.kind, finding.subject, finding.names) for finding in findings] == [
        (Kind.DANGLING, unknown, ("a",))
    ]


def test_a_reference_that_went_meanwhile_does_not_dangle(cellar: Cellar, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = digest_of(b"never kept")
    monkeypatch.setattr(Audit, "_names", lambda *_: {unknown: ["a"]})

    assert audited(cellar) == []


def test_a_file_whose_row_came_meanwhile_is_no_orphan(
    cellar: Cellar, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cellar.put(b"just kept", "a")
    clock.advance(2 * 86_400 + 1)
    monkeypatch.setattr(Audit, "_rows", lambda _: iter(()))

    assert audited(cellar) == []


def test_old_leftovers_are_found_and_young_ones_left_to_sweep(cellar: Cellar, clock: HandClock) -> None:
    [orphan] = cellar.scatter([b"orphan"], rows=False)
    (cellar.blobs.layout.incoming / "left").write_bytes(b"half")
    look = Audit(cellar.data, cellar.database, [SHELF], cellar.limits, clock)

    young = list(look.run(Depth.SIZES, lambda size: None))
    clock.advance(2 * 86_400 + 1)
    old = audited(cellar)

    assert (young, look.summary.young) == ([], 2)
    assert {(finding.kind, finding.subject) for finding in old} == {
        (Kind.ORPHAN, orphan),
        (Kind.STALE_PART, "incoming/left"),
    }


def test_strangers_in_the_tree_are_found(cellar: Cellar) -> None:
    digest = cellar.put(b"x", "a")
    store = cellar.blobs.store
    (store.root / "README").write_text("hello")
    (store.path(digest).parent / digest.upper()).write_text("upper case")
    (store.root / "00").mkdir()
    (store.root / "00" / digest).write_bytes(b"x")

    strangers = audited(cellar)

    assert {finding.kind for finding in strangers} == {Kind.STRANGER}
    assert len(strangers) == 3


@pytest.mark.parametrize("depth", list(Depth))
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_a_blob_that_is_no_plain_file_is_found_once(cellar: Cellar, depth: Depth, obstacle: str) -> None:
    digest = cellar.put(b"x", "a")
    obstruct(cellar.blobs.store.path(digest), obstacle)

    findings = audited(cellar, depth)

    assert findings == [
        Finding(Kind.CORRUPT, digest, "what lies at its name is no plain file", names=("a",), kept=True)
    ]


def test_what_is_no_file_in_incoming_is_unknown_however_young(cellar: Cellar) -> None:
    (cellar.blobs.layout.incoming / "folder").mkdir()
    (cellar.blobs.layout.incoming / "link").symlink_to("nowhere")

    findings = audited(cellar)

    assert [(finding.kind, finding.subject) for finding in findings] == [
        (Kind.STRANGER, "incoming/folder"),
        (Kind.STRANGER, "incoming/link"),
    ]


def test_nothing_is_called_well_that_cannot_be_read(cellar: Cellar, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = cellar.put(b"x", "a")
    closed, scandir = str(cellar.blobs.store.path(digest).parent), os.scandir

    def refuse(path: str) -> object:
        if path == closed:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    with pytest.raises(PermissionError):
        audited(cellar)


def test_what_a_sweep_is_at_is_no_finding(cellar: Cellar) -> None:
    digest = cellar.put(b"x", "a")
    cellar.take_away("a")
    cellar.committer.write(lambda connection: connection.execute(tables.blob.update().values(state="gone")))

    with_file = audited(cellar)
    cellar.blobs.store.delete(digest)
    without_file = audited(cellar)

    assert (with_file, without_file) == ([], [])


def test_many_rows_and_files_are_matched_in_order(
    cellar: Cellar, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "BATCH", 20)
    both = cellar.scatter([b"both %d" % number for number in range(40)])
    rows = [tables.Fresh(digest_of(b"row %d" % number), 1, 0) for number in range(30)]
    cellar.committer.write(lambda connection: [tables.add(connection, one, clock.now()) for one in rows])
    files = cellar.scatter([b"file %d" % number for number in range(30)], rows=False)
    clock.advance(2 * 86_400 + 1)

    findings = audited(cellar)

    assert {finding.subject for finding in findings if finding.kind is Kind.MISSING} == {row.digest for row in rows}
    assert {finding.subject for finding in findings if finding.kind is Kind.ORPHAN} == set(files)
    assert len(findings) == 60
    assert not {finding.subject for finding in findings} & set(both)


def test_a_directory_that_is_no_store_is_told(cellar: Cellar, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path}/other.sqlite3"
    make_tables(other)
    elsewhere = Cellar(tmp_path, other, cellar.clock)

    with pytest.raises(NotAStore, match="no data directory"):
        Audit(tmp_path, cellar.database, [SHELF], cellar.limits, cellar.clock).check_owner()
    with pytest.raises(NotAStore, match="different hubs"):
        Audit(cellar.data, elsewhere.database, [SHELF], cellar.limits, cellar.clock).check_owner()
    Audit(cellar.data, cellar.database, [SHELF], cellar.limits, cellar.clock).check_owner()
    elsewhere.database.close()
    elsewhere.pools.close()


# Repairs


def test_what_can_be_fetched_again_is_forgotten(cellar: Cellar) -> None:
    missing, corrupt, short = (cellar.put(body, body.decode(), kept=False) for body in (b"one", b"two", b"three"))
    cellar.blobs.store.delete(missing)
    spoil(cellar, corrupt, b"TWO")
    spoil(cellar, short, b"thre")

    done = mended(cellar, audited(cellar, Depth.DATA))

    assert None not in done
    assert {here for _, here in cellar.names().values()} == {False}
    assert cellar.states() == {}
    assert {path.read_bytes() for path in cellar.blobs.layout.quarantine.iterdir()} == {b"TWO", b"thre"}
    assert audited(cellar, Depth.DATA) == []


def test_what_somebody_has_kept_stays_reported(cellar: Cellar) -> None:
    missing, corrupt = cellar.put(b"one", "one"), cellar.put(b"two", "two")
    cellar.put(b"two", "cached too", kept=False)
    cellar.blobs.store.delete(missing)
    spoil(cellar, corrupt, b"TWO")

    done = mended(cellar, audited(cellar, Depth.DATA))
    again = audited(cellar, Depth.DATA)

    assert done == [None, None]
    assert {(finding.kind, finding.subject, finding.kept) for finding in again} == {
        (Kind.MISSING, missing, True),
        (Kind.CORRUPT, corrupt, True),
    }
    assert [path.read_bytes() for path in cellar.blobs.layout.quarantine.iterdir()] == [b"TWO"]
    cellar.put(b"one", "from a backup")
    cellar.put(b"two", "from a backup too")
    assert audited(cellar, Depth.DATA) == []


def test_a_kept_reference_to_nothing_stays_reported_and_a_cached_one_is_forgotten(cellar: Cellar) -> None:
    kept, cached = digest_of(b"kept"), digest_of(b"cached")
    cellar.committer.write(lambda connection: shelve("kept")(connection, kept))
    cellar.committer.write(lambda connection: shelve("cached", kept=False)(connection, cached))

    found = audited(cellar)
    done = dict(zip((finding.subject for finding in found), mended(cellar, found), strict=True))

    assert done[kept] is None
    assert done[cached] is not None
    assert [finding.subject for finding in audited(cellar)] == [kept]


def test_unknown_files_move_to_quarantine_and_unfinished_ones_go(cellar: Cellar, clock: HandClock) -> None:
    cellar.scatter([b"orphan"], rows=False)
    (cellar.blobs.store.root / "README").write_bytes(b"stranger")
    (cellar.blobs.layout.incoming / "left").write_bytes(b"half")
    clock.advance(2 * 86_400 + 1)

    done = mended(cellar, audited(cellar))

    assert None not in done
    assert audited(cellar) == []
    moved = (cellar.blobs.layout.quarantine / "orphans").iterdir()
    assert {path.read_bytes() for path in moved} == {b"orphan", b"stranger"}
    assert list(cellar.blobs.layout.incoming.iterdir()) == []


def test_what_is_no_plain_file_is_mended_in_one_run(cellar: Cellar) -> None:
    store = cellar.blobs.store
    for obstacle in OBSTACLES:
        obstruct(store.path(cellar.put(obstacle.encode(), obstacle, kept=False)), obstacle)
        obstruct(store.path(digest_of(f"nobody knows {obstacle}".encode())), obstacle)
    (cellar.blobs.layout.incoming / "folder").mkdir()
    (cellar.blobs.layout.incoming / "folder" / "inside").write_bytes(b"not ours")
    store.path(cellar.put(b"under a file", "file", kept=False)).unlink()
    in_the_way = store.root / digest_of(b"under a file")[:2]
    in_the_way.rename(cellar.data / "blobs-before")
    in_the_way.write_bytes(b"not ours")

    done = mended(cellar, audited(cellar))

    assert None not in done
    assert len(done) == 2 * len(OBSTACLES) + 3
    assert audited(cellar, Depth.DATA) == []
    assert {path.read_bytes() for path in cellar.blobs.layout.quarantine.rglob("inside")} == {b"not ours"}


def test_a_kept_blob_that_is_no_plain_file_comes_back_under_its_name(cellar: Cellar) -> None:
    digest = cellar.put(b"x", "a")
    obstruct(cellar.blobs.store.path(digest), "loop")

    done = mended(cellar, audited(cellar))
    again = [(finding.kind, finding.kept) for finding in audited(cellar)]
    cellar.put(b"x", "from a backup")

    assert done == [None]
    assert again == [(Kind.CORRUPT, True)]
    assert audited(cellar, Depth.DATA) == []


def test_what_is_wrong_moves_to_quarantine_where_that_is_missing(cellar: Cellar) -> None:
    spoil(cellar, cellar.put(b"good", "a", kept=False), b"bad")
    cellar.blobs.layout.quarantine.rmdir()

    done = mended(cellar, audited(cellar))

    assert None not in done
    assert [path.read_bytes() for path in cellar.blobs.layout.quarantine.iterdir()] == [b"bad"]


def test_an_audit_beside_a_busy_hub_finds_nothing(open_cellar: Callable[..., Cellar], any_database_url: str) -> None:
    cellar = open_cellar(any_database_url, sweep_share=1.0, sweep_grace_seconds=0.001)
    ending = threading.Event()

    def work() -> None:
        number = 0
        while not ending.is_set():
            number += 1
            cellar.put(b"%d" % (number % 7), "a")
            cellar.take_away("a")
            cellar.blobs.sweep(slices=16)

    worker = threading.Thread(target=work)
    worker.start()
    findings = [finding for _ in range(20) for finding in audited(cellar, Depth.DATA)]
    ending.set()
    worker.join()

    # Orphans count as soon as they are old, and the grace here is a millisecond: a refused or running write may show.
    assert [finding for finding in findings if finding.kind is not Kind.ORPHAN] == []
