"""A file that comes slowly, or never: whoever waits for others of the same archive does not wait for it."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.archives import FileServer
from tests.doubles.carting import carting_hub, entry, head, post, wait_for
from tests.doubles.loopback import Exchange

NAMES = ("stalled", "other", "0", "1", "2")
FILES = {name: random.Random(name).randbytes(100_000) for name in NAMES}


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(FILES) as server:
        yield server


def test_a_file_that_stalls_keeps_no_other_cart_waiting(tmp_path: Path, server: FileServer) -> None:
    """All carts of an archive waited until the last file of the batch before them had come, or was given up."""
    is_asked, may_come = threading.Event(), threading.Event()

    async def stall(exchange: Exchange) -> None:
        is_asked.set()
        await asyncio.to_thread(may_come.wait, 60)
        await exchange.send()

    server.misbehave("/data/stalled", stall, method="GET", once=True)
    with carting_hub(tmp_path / "data", {"name": "files", "kind": "web", "url": server.url}) as hub:
        slow = post(hub, [entry("stalled", content=FILES["stalled"])])
        assert is_asked.wait(20)

        quick = wait_for(hub, post(hub, [entry("other", content=FILES["other"])]), seconds=15)
        meanwhile = head(hub, slow)
        may_come.set()
        end = wait_for(hub, slow)

    assert quick.status_code == 204
    assert meanwhile.status_code == 202
    assert end.status_code == 204


def test_archives_that_stall_keep_no_other_archive_and_no_other_job_waiting(tmp_path: Path, server: FileServer) -> None:
    """Each had one of the two threads that all jobs of the hub had: no cart was planned any more, no notice sent."""
    asked, may_come = threading.Semaphore(0), threading.Event()

    async def stall(exchange: Exchange) -> None:
        asked.release()
        await asyncio.to_thread(may_come.wait, 60)
        await exchange.send()

    for number in range(3):
        server.misbehave(f"/data/{number}", stall, method="GET", once=True)
    archives = [{"name": f"files{number}", "kind": "web", "url": server.url} for number in range(4)]
    with carting_hub(tmp_path / "data", *archives) as hub:
        for number in range(3):
            post(hub, [entry(f"{number}") | {"archive": f"files{number}"}])
        all_asked = [asked.acquire(timeout=15) for _ in range(3)]

        quick = wait_for(hub, post(hub, [entry("other") | {"archive": "files3"}]), seconds=15)
        may_come.set()

    assert all(all_asked)
    assert quick.status_code == 204
