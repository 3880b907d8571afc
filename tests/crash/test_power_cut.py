"""The power is cut at each step of a durable write; afterwards everything that was acknowledged is hashed.

The harness itself is under test too: two mutants, one without the sync of files and one without that of directories,
must be caught. Their database lies on another disk than the blobs: on the same one, SQLite's own sync would carry the
blobs' along, which is luck and not a promise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.blobs import StoreMismatch
from tests.crash.disk import Cut, Disk
from tests.crash.scene import IN_SEGMENTS, POINTS, SMALL_BYTES, Stage, complaints
from tests.doubles.cellar import make_tables

pytestmark = pytest.mark.installed

EVENTS = [*POINTS, "database.after_commit@3", "database.after_commit@4", "blobs.created@2", "blobs.created@3"]
WHERE_MUTANTS_DIE = ["database.after_commit@1", "database.after_commit@2", "blobs.created@2"]
"""Between a commit and the next file's sync, which would carry the last directory along."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def disk(tmp_path: Path, stage: Stage) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    disk.mount()
    yield disk
    stage.kill_stopped()
    disk.remove()


def lose_power(
    stage: Stage,
    disk: Disk,
    place: Path,
    point: str,
    cut: Cut,
    *,
    same_disk: bool,
    mutant: str = "",
    small_bytes: int = 0,
) -> list[str]:
    """Stop the writer at a point, cut, kill, reboot, and look."""
    data, log = disk.folder / "data", place / "log"
    data.mkdir()
    url = f"sqlite:///{data if same_disk else place}/creamery.sqlite3"
    make_tables(url)
    ended = stage.order(data, url, log, f"{point}=EIO", strike="stop", mutant=mutant, small_bytes=small_bytes)
    assert ended == "stopped"
    disk.cut_power(cut)
    stage.kill_stopped()
    disk.unmount()
    disk.mount()
    return complaints(data, url, log)


@pytest.mark.parametrize("point", EVENTS)
def test_a_power_cut_takes_nothing_that_was_acknowledged(stage: Stage, disk: Disk, tmp_path: Path, point: str) -> None:
    cut = Cut.LOG_LOST if EVENTS.index(point) % 2 else Cut.LOG_FLUSHED

    assert lose_power(stage, disk, tmp_path, point, cut, same_disk=True) == []


@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("point", WHERE_MUTANTS_DIE)
def test_it_does_not_depend_on_the_databases_disk(
    stage: Stage, disk: Disk, tmp_path: Path, point: str, cut: Cut
) -> None:
    assert lose_power(stage, disk, tmp_path, point, cut, same_disk=False) == []


@pytest.mark.parametrize("mutant", ["no file sync", "no directory sync"])
@pytest.mark.parametrize("point", WHERE_MUTANTS_DIE)
def test_a_writer_that_does_not_sync_is_caught(
    stage: Stage, disk: Disk, tmp_path: Path, point: str, mutant: str
) -> None:
    found = lose_power(stage, disk, tmp_path, point, Cut.LOG_LOST, same_disk=False, mutant=mutant)

    assert any("bytes are lost" in complaint for complaint in found), found


@pytest.mark.parametrize("point", IN_SEGMENTS)
def test_nor_from_a_segment(stage: Stage, disk: Disk, tmp_path: Path, point: str) -> None:
    cut = Cut.LOG_LOST if IN_SEGMENTS.index(point) % 2 else Cut.LOG_FLUSHED

    assert lose_power(stage, disk, tmp_path, point, cut, same_disk=False, small_bytes=SMALL_BYTES) == []


@pytest.mark.parametrize("point", ["database.after_commit@2", "database.after_commit@3"])
def test_a_segment_that_is_not_synced_is_caught(stage: Stage, disk: Disk, tmp_path: Path, point: str) -> None:
    found = lose_power(
        stage, disk, tmp_path, point, Cut.LOG_LOST, same_disk=False, mutant="no segment sync", small_bytes=SMALL_BYTES
    )

    assert any("bytes are lost" in complaint for complaint in found), found


@pytest.mark.parametrize(
    ("mutant", "point"),
    [
        *(("synchronous=NORMAL", f"database.after_commit@{visit}") for visit in (2, 3, 4)),
        *(("answers before the commit", f"database.before_commit@{visit}") for visit in (2, 3)),
    ],
)
def test_a_committer_that_does_not_wait_for_the_disk_is_caught(
    stage: Stage, disk: Disk, tmp_path: Path, mutant: str, point: str
) -> None:
    """No check of the database's own finds it: it is whole, and lacks what was acknowledged."""
    try:
        found = lose_power(
            stage, disk, tmp_path, point, Cut.LOG_LOST, same_disk=True, mutant=mutant, small_bytes=SMALL_BYTES
        )
    except StoreMismatch as error:  # not even whose store it is has reached the disk
        found = [f"the store is not referred to: {error}"]

    assert any("not referred to" in complaint for complaint in found), found
