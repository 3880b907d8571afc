"""The whole hub, killed while it fetches, keeps and records: started again it serves right bytes from a whole store."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx2
import pytest

from tests.doubles.served import Served, fsck
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed

MIB = 1024 * 1024

POINTS = [
    "blobs.reserved",
    "blobs.created",
    "blobs.mid_body",
    "blobs.before_file_sync",
    "blobs.after_file_sync",
    "blobs.before_link",
    "blobs.after_link",
    "blobs.after_dir_sync",
    "database.before_commit@+2",
    "database.after_commit@+2",
]


@pytest.mark.parametrize("point", POINTS)
def test_a_hub_killed_while_it_keeps_a_file_serves_it_whole_afterwards(tmp_path: Path, point: str) -> None:
    data = tmp_path / "var"
    with Upstream() as upstream:
        made = upstream.add("big", "1.0", size=2 * MIB)
        with Served(data, upstream.url, faults=f"{point}=kill") as hub:
            try:
                hub.get("/simple/big/")
                hub.get(f"/i/big/{made.filename}")
                hub.get(f"/i/big/{made.filename}")
                hub.get("/simple/other/")
            except httpx2.TransportError:
                pass  # as it must be: the process is gone
            code = hub.wait()

        checked, report = fsck(data, "--read-data")
        with Served(data, upstream.url) as hub:
            first = hub.get(f"/i/big/{made.filename}")
            again = hub.get(f"/i/big/{made.filename}")

        assert code == -signal.SIGKILL
        assert checked == 0, report
        assert first.content == again.content == made.content
        assert fsck(data, "--read-data")[0] == 0


def test_sigterm_lets_a_running_download_finish(tmp_path: Path) -> None:
    with Upstream() as upstream:
        made = upstream.add("big", "1.0", size=2 * MIB)
        with Served(tmp_path / "var", upstream.url) as hub:
            hub.get("/simple/big/")
            upstream.rate = 2 * MIB
            with hub.client.stream("GET", f"{hub.base}/i/big/{made.filename}") as response:
                pieces = response.iter_raw(65536)
                content = next(pieces)
                hub.process.send_signal(signal.SIGTERM)
                content += b"".join(pieces)

            assert content == made.content
            assert hub.wait() == 0
