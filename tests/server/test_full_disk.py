"""A hub that is started where the disk has no byte left."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.database.ballast import BALLAST_BYTES
from tests.doubles.running import JSON
from tests.doubles.served import Served, fsck
from tests.doubles.upstream import Upstream
from tests.doubles.waiting import eventually

pytestmark = pytest.mark.installed


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Somebody else's program takes what is left, to the last byte."""
    with path.open("ab", buffering=0) as filler:
        for size in (1 << 20, 4_096, 1):
            with contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(size))


def test_it_starts_reads_and_recovers(disk: Path) -> None:
    data = disk / "var"
    with Upstream() as upstream:
        for version in ("1.0", "2.0"):
            upstream.add("demo", version)
        with Served(data, upstream.url) as hub:
            page = hub.client.get(f"{hub.base}/simple/demo/", headers={"Accept": JSON}).json()
            names = [file["filename"] for file in page["files"]]
            assert hub.get(f"/i/demo/{names[0]}").status_code == 200
            assert (data / "ballast").stat().st_blocks * 512 >= BALLAST_BYTES
        fill(disk / "filler")

        with Served(data, upstream.url) as hub:
            assert not (data / "ballast").exists()
            assert "database.disk_full" in hub.output
            assert hub.get(f"/i/demo/{names[0]}").status_code == 200
            fill(disk / "filler")
            assert hub.get(f"/i/demo/{names[1]}").status_code == 507
            assert hub.get(f"/i/demo/{names[0]}").status_code == 200

            (disk / "filler").unlink()
            assert hub.get(f"/i/demo/{names[1]}").status_code == 200
            eventually(lambda: hub.get("/readyz").status_code == 200)
            assert (data / "ballast").exists()
        assert fsck(data)[0] == 0


def test_without_anything_to_give_up_it_says_what_is_missing(disk: Path) -> None:
    data = disk / "var"
    with Upstream() as upstream:
        with Served(data, upstream.url):
            pass
        (data / "ballast").unlink()
        fill(disk / "filler")

        with pytest.raises(AssertionError, match="no room on its disk; free some space"), Served(data, upstream.url):
            pass
        assert "no room on its disk; free some space" in fsck(data)[1]
