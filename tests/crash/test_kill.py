"""`kill -9` at each step that a write, a sweep or a quarantine consists of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.scene import IN_SEGMENTS, POINTS, SMALL_BYTES, Stage, complaints
from tests.doubles.cellar import make_tables


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "creamery.sqlite3"
    make_tables(f"sqlite:///{path}")
    return path


QUICK = {
    "blobs.created",
    "blobs.after_file_sync@1",
    "blobs.after_link@1",
    "blobs.after_link@3",
    "blobs.after_dir_sync@2",
    "database.before_commit@2",
    "database.after_commit@8",
    "quarantine.moved",
    "sweep.deleting",
    "sweep.gone",
    "sweep.unlinked",
}
QUICK_IN_SEGMENTS = {"segments.begun", "segments.mid_write@2", "segments.after_sync@3", "segments.emptied"}
"""What runs everywhere; CI runs all."""


@pytest.mark.parametrize(
    "point", [point if point in QUICK else pytest.param(point, marks=pytest.mark.installed) for point in POINTS]
)
def test_a_killed_process_keeps_what_it_promised(
    stage: Stage, empty_database: Path, tmp_path: Path, point: str
) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    data.mkdir()
    shutil.copyfile(empty_database, data / "creamery.sqlite3")
    url = f"sqlite:///{data}/creamery.sqlite3"

    ended = stage.order(data, url, log, f"{point}=kill", strike="kill")

    assert ended == "killed"
    assert complaints(data, url, log) == []


@pytest.mark.parametrize(
    "point",
    [
        point if point in QUICK_IN_SEGMENTS else pytest.param(point, marks=pytest.mark.installed)
        for point in IN_SEGMENTS
    ],
)
def test_a_killed_process_keeps_what_it_promised_in_segments(
    stage: Stage, empty_database: Path, tmp_path: Path, point: str
) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    data.mkdir()
    shutil.copyfile(empty_database, data / "creamery.sqlite3")
    url = f"sqlite:///{data}/creamery.sqlite3"

    ended = stage.order(data, url, log, f"{point}=kill", strike="kill", small_bytes=SMALL_BYTES)

    assert ended == "killed"
    assert complaints(data, url, log) == []


@pytest.mark.parametrize("small_bytes", [0, SMALL_BYTES])
def test_a_process_that_is_not_struck_ends_well(
    stage: Stage, empty_database: Path, tmp_path: Path, small_bytes: int
) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    data.mkdir()
    shutil.copyfile(empty_database, data / "creamery.sqlite3")
    url = f"sqlite:///{data}/creamery.sqlite3"

    ended = stage.order(data, url, log, "", strike="kill", small_bytes=small_bytes)

    assert ended == "exit 0"
    assert len(log.read_text().splitlines()) > 15
    assert complaints(data, url, log) == []
