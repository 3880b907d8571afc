"""A disk that fills up under the whole hub: 507 for what would be written, reading goes on, room heals it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.served import Served, fsck
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("sizes", [True, False], ids=["length known", "length unknown until it comes"])
def test_a_full_disk_refuses_what_is_new_serves_what_is_here_and_recovers(small_disk: Path, sizes: bool) -> None:
    with Upstream(sizes=sizes) as upstream:
        small = upstream.add("small", "1.0", size=100_000)
        big = upstream.add("big", "1.0", size=14 * MIB)
        ballast = small_disk / "ballast"
        with Served(small_disk / "var", upstream.url) as hub:
            here = hub.get(f"/i/small/{small.filename}")
            hub.get("/simple/big/")
            ballast.write_bytes(b"x" * (small_disk_free(small_disk) - 64 * 1024))

            refused = hub.get(f"/i/big/{big.filename}")
            pages = [hub.get(path).status_code for path in ("/simple/small/", "/simple/big/", "/simple/small/")]
            still = hub.get(f"/i/small/{small.filename}")
            ballast.unlink()
            healed = hub.get(f"/i/big/{big.filename}") if sizes else hub.get("/simple/small/")

            assert here.content == still.content == small.content
            assert refused.status_code == 507
            assert pages == [200, 200, 200]
            assert healed.status_code == 200

        assert fsck(small_disk / "var", "--read-data")[0] == 0


def test_a_database_without_room_serves_what_is_known_and_refuses_what_is_new(small_disk: Path) -> None:
    with Upstream() as upstream:
        upstream.add("small", "1.0", size=1000)
        upstream.add_many("huge", files=4_000)
        ballast = small_disk / "ballast"
        with Served(small_disk / "var", upstream.url) as hub:
            hub.get("/simple/small/")
            ballast.write_bytes(b"x" * (small_disk_free(small_disk) - 16 * 1024))
            upstream.add("small", "2.0")

            refused = hub.get("/simple/huge/")
            stale = hub.get("/simple/small/")
            ballast.unlink()
            healed = hub.get("/simple/huge/")
            fresh = hub.get("/simple/small/")

            assert refused.status_code == 507
            assert stale.status_code == 200
            assert healed.status_code == 200
            assert "small-2.0" in fresh.text


def small_disk_free(disk: Path) -> int:
    """Bytes that can still be written."""
    figures = subprocess.run(["df", "-B1", "--output=avail", str(disk)], check=True, capture_output=True, text=True)
    return int(figures.stdout.split()[-1])
