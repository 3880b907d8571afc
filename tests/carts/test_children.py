"""Large carts, which a child process plans and stages: a real one, of a hub in this process."""

from __future__ import annotations

import io
import os
import random
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.carting import carting_hub, entry, post, ready, wait_for
from tests.doubles.running import RunningHub
from tests.doubles.served import children_of

SMALL = {f"{number}.txt": f"{number}".encode() * 100 for number in range(40)}
LARGE = {f"{number}.bin": random.Random(number).randbytes(100_000) for number in range(6)}


def hub_over(tmp_path: Path, files: dict[str, bytes], **limits: Any) -> RunningHub:
    """A hub to which half of these files are many."""
    folder = tmp_path / "files"
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    faults = limits.pop("faults", "")
    given = {"cart_child_files": len(files) // 2, "job_retry_seconds": 0.05, **limits}
    return carting_hub(tmp_path / "data", folder, limits=given, faults=faults)


def counted(hub: RunningHub, metric: str, **labels: str) -> float:
    """What a counter says."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    for line in hub.client.get(f"{hub.base}/metrics").text.splitlines():
        if line.startswith(f"creamery_{metric}_total{{") and all(each in line for each in wanted):
            return float(line.rpartition(" ")[2])
    return 0.0


def members(hub: RunningHub, uid: str) -> dict[str, bytes]:
    bundle = io.BytesIO(hub.client.get(f"{hub.base}/{uid}?filename=x.tar").content)
    with tarfile.open(fileobj=bundle) as tar:
        return {name.removeprefix("x/"): tar.extractfile(name).read() for name in tar.getnames() if name != "x"}  # type: ignore[union-attr]


def test_a_large_cart_is_a_childs_work_and_what_it_finds_missing_is_named(tmp_path: Path) -> None:
    with hub_over(tmp_path, SMALL) as hub:
        entries = [entry(name, content=content) for name, content in SMALL.items()]
        answer = wait_for(hub, uid := post(hub, [*entries, entry("lost.txt")]))

        assert answer.status_code == 500
        assert answer.headers["X-Pacifica-Message"].startswith("lost.txt: ")
        assert hub.client.get(f"{hub.base}/carts/{uid}/files/7.txt").content == SMALL["7.txt"]
        assert counted(hub, "job_children", kind="carts.plan", result="done") == 1
        until = time.monotonic() + 20  # the cart is ready before the child has ended
        while not counted(hub, "job_children", kind="carts.stage", result="done"):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert counted(hub, "carts_staged", outcome="here") == len(SMALL)  # by the child, told by this process


def test_a_small_one_is_not(tmp_path: Path) -> None:
    with hub_over(tmp_path, SMALL) as hub:
        ready(hub, [entry(name) for name in list(SMALL)[:5]])

        assert counted(hub, "job_children", kind="carts.plan", result="done") == 0
        assert counted(hub, "carts_staged", outcome="here") == 5


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux tells of processes there")
def test_one_child_does_what_comes_within_a_few_seconds_and_ends_with_its_hub(tmp_path: Path) -> None:
    """To begin takes it a second, and each large cart is planned and staged."""
    children: set[int] = set()
    with hub_over(tmp_path, SMALL) as hub:
        for number in range(1, 4):
            ready(hub, [entry(name, f"{number}/{name}") for name in SMALL])
            wait_until_planned(hub, number)
            children |= set(children_of(os.getpid()))
        (child,) = children
    assert not Path(f"/proc/{child}").exists()
    assert list((tmp_path / "data" / "running").iterdir()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux tells of processes there")
def test_a_child_with_nothing_to_do_ends_by_itself_and_the_next_job_has_another(
    tmp_path: Path,
) -> None:
    with hub_over(tmp_path, SMALL) as hub:
        ready(hub, [entry(name) for name in SMALL])
        hub.wait_until(lambda: not running(), 15)

        ready(hub, [entry(name, f"again/{name}") for name in SMALL])
        wait_until_planned(hub, 2)


def wait_until_planned(hub: RunningHub, carts: int) -> None:
    """A cart may be ready before its child has ended its part."""
    hub.wait_until(lambda: counted(hub, "job_children", kind="carts.plan", result="done") == carts)


def running() -> list[int]:
    """Children that have not ended; who begun them has perhaps not looked yet."""
    return [pid for pid in children_of(os.getpid()) if "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux tells of processes there")
def test_a_hub_that_ends_ends_its_child_first(tmp_path: Path) -> None:
    entries = [entry(name, content=content) for name, content in LARGE.items()]
    with hub_over(tmp_path, LARGE, faults="blobs.before_link=sleep:0.5") as hub:
        uid = post(hub, entries)
        until = time.monotonic() + 20
        while not children_of(os.getpid()):
            assert time.monotonic() < until
            time.sleep(0.02)
    assert children_of(os.getpid()) == []
    assert list((tmp_path / "data" / "running").iterdir()) == []  # it ended well

    with hub_over(tmp_path, LARGE) as hub:
        assert wait_for(hub, uid).status_code == 204
        assert members(hub, uid) == LARGE
