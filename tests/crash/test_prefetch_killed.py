"""A hub that ends in the middle of a prefetch goes on with it when it is back, and fetches no file a second time."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.served import Served, creamery, fsck
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed

FILES, AT_ONCE, SIZE = 24, 2, 100_000
SETTINGS = {"limits_prefetch_files": str(AT_ONCE), "limits_job_lease_seconds": "1", "limits_drain_seconds": "10"}


class Asker:
    """An administrator, with a token."""

    def __init__(self, data: Path) -> None:
        creamery("user", "add", "root", "--admin", "--no-password", "--data", data)
        code, said = creamery(
            *("token", "create", "--user", "root", "--name", "a test's", "--scope", "index:manage", "--json"),
            *("--data", data),
        )
        assert code == 0, said
        self._headers = {"Authorization": f"Bearer {json.loads(said)['token']}"}

    def begin(self, hub: Served, project: str) -> int:
        """Ask for all files of a project; the prefetch's number."""
        url = f"{hub.base}/api/v1/index/prefetch"
        number: int = hub.client.post(url, json={"projects": [project]}, headers=self._headers).json()["id"]
        return number

    def wait(self, hub: Served, number: int, *, fetched: int = 0) -> Any:
        """Until so many files are there; else until it has ended."""
        until = time.monotonic() + 60
        while True:
            found = hub.client.get(f"{hub.base}/api/v1/index/prefetch/{number}", headers=self._headers).json()
            if found["state"] != "running" or 0 < fetched <= found["fetched"]:
                return found
            assert time.monotonic() < until, hub.output
            time.sleep(0.05)


def fetches(upstream: Upstream) -> Counter[str]:
    return Counter(seen.path for seen in upstream.requests("/packages/", "GET") if seen.path.endswith(".whl"))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_prefetch_goes_on_after_its_hub_has_ended_in_the_middle(tmp_path: Path, end: signal.Signals) -> None:
    data = tmp_path / "var"
    with Upstream() as upstream:
        for number in range(FILES):
            upstream.add("many", f"1.{number}", size=SIZE)
        with Served(data, upstream.url, **SETTINGS):
            pass  # it makes its database
        asker = Asker(data)
        with Served(data, upstream.url, **SETTINGS) as hub:
            hub.get("/simple/many/")
            upstream.rate = SIZE
            number = asker.begin(hub, "many")
            before = asker.wait(hub, number, fetched=4)
            hub.process.send_signal(end)
            hub.wait()
        by_then = fetches(upstream)

        upstream.rate = None
        with Served(data, upstream.url, **SETTINGS) as hub:
            found = asker.wait(hub, number)
        in_all = fetches(upstream)
        checked, report = fsck(data, "--read-data")

    assert before["state"] == "running"
    assert before["left"] > 0
    assert found["state"] == "done"
    assert (found["failed"], found["left"], found["here"] + found["fetched"]) == (0, 0, FILES)
    again = [path for path, times in in_all.items() if times > 1]
    assert len(again) <= AT_ONCE  # those that were under way, and nothing else
    assert len(in_all) == FILES
    assert len(by_then) < FILES
    assert checked == 0, report
