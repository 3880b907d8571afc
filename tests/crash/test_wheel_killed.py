"""Hubs that are killed while a built wheel is pushed or checked, and disks that are full: whole, or not at all."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.crash.test_disk_full import small_disk, small_disk_free
from tests.doubles.building import build_of, key_of, put_entry
from tests.doubles.compiled import NEW, compiled, compiled_wheel
from tests.doubles.distributions import Distribution, wheel
from tests.doubles.served import Served, fsck

__all__ = ["small_disk"]
pytestmark = pytest.mark.installed

POINTS = [
    "blobs.after_file_sync",
    "segments.before_sync@2",
    *(f"database.{moment}_commit@+{visit}" for moment in ("before", "after") for visit in (1, 2, 3)),
]
BUILDS = [build_of(f"{number}" * 64) for number in range(2)]
SECONDS = 30


def native(folder: Path, size: int) -> Distribution:
    """Compiled code whose tags are to be corrected."""
    members = {"acme/ext.so": compiled(folder, NEW), "acme/payload": bytes(range(256)) * (size // 256)}
    made = compiled_wheel(folder, members)
    return Distribution(made.name, made.read_bytes(), b"")


def put(hub: Served, made: Distribution, build: dict[str, Any]) -> int:
    """The status of the answer; 0 where none came."""
    try:
        return put_entry(hub, made, None, build, log="cc ...\n").status_code
    except httpx2.TransportError:
        return 0


def states(hub: Served) -> dict[str, str]:
    """What became of each key that is here."""
    return {each["key"]: each["state"] for each in hub.get("/api/v1/wheels").json()["items"]}


def wait_until_checked(hub: Served) -> None:
    until = time.monotonic() + SECONDS
    while "checking" in states(hub).values():
        assert time.monotonic() < until, hub.output
        time.sleep(0.05)


@pytest.mark.parametrize("point", POINTS)
def test_a_hub_killed_at_any_step_has_a_wheel_whole_and_checks_it_at_its_next_start(tmp_path: Path, point: str) -> None:
    data = tmp_path / "var"
    made = [native(tmp_path, size) for size in (1_024, 512_000)]
    with Served(data, "", faults=f"{point}=kill", wheels_push="anyone") as hub:
        answers = [put(hub, *each) for each in zip(made, BUILDS, strict=True)]
        hub.process.wait(SECONDS) if 0 in answers else wait_or_die(hub)
    assert fsck(data, "--read-data")[0] == 0

    with Served(data, "", wheels_push="anyone") as hub:
        before = states(hub)
        again = [put(hub, *each) for each in zip(made, BUILDS, strict=True)]
        wait_until_checked(hub)
        after = states(hub)
        found = [hub.get(f"/w/v1/entries/{key_of(build)}").json() for build in BUILDS]
        fetched = [hub.client.get(each["url"]).content for each in found]
        logs = [hub.client.get(each["log"]).text for each in found]

    acknowledged = {key_of(build) for build, answer in zip(BUILDS, answers, strict=True) if answer in {200, 201}}
    assert acknowledged <= before.keys()
    assert set(again) <= {200, 201}
    assert after == {key_of(build): "listed" for build in BUILDS}
    assert fetched == [each.content for each in made]
    assert logs == ["cc ...\n"] * 2
    assert {each["listing"]["filename"] for each in found} == {"acme-1.0-cp311-cp311-manylinux_2_34_x86_64.whl"}
    assert fsck(data, "--read-data")[0] == 0


def wait_or_die(hub: Served) -> None:
    """The check may come to the point, or the hub to its end without it."""
    until = time.monotonic() + 3
    while hub.process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    if hub.process.poll() is None:
        hub.process.send_signal(signal.SIGKILL)
        hub.process.wait(SECONDS)


def test_a_full_disk_refuses_a_wheel_by_its_name_and_lists_nothing(small_disk: Path) -> None:
    large = wheel("acme", "1.0", size=6 * 1024 * 1024)
    ballast = small_disk / "ballast"
    with Served(small_disk / "var", "", wheels_push="anyone") as hub:
        ballast.write_bytes(b"x" * (small_disk_free(small_disk) - 64 * 1024))
        refused = put_entry(hub, large, None)
        listed = hub.get("/w/api/").json()
        ballast.unlink()
        taken = put_entry(hub, large, None)

        assert refused.status_code == 507
        assert listed == []
        assert taken.status_code == 201
    assert fsck(small_disk / "var", "--read-data")[0] == 0
