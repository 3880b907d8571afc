"""A hub killed at each step of a cart's making and staging: started again, the cart ends ready, and with every byte."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import tarfile
import time
import uuid
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from tests.doubles.carting import entry
from tests.doubles.served import Served, children_of, fsck

pytestmark = pytest.mark.installed

FILES = {f"{number}": random.Random(number).randbytes(100_000 if number % 5 == 0 else 1_000) for number in range(30)}
POINTS = [
    *(f"database.{moment}_commit@+{visit}" for moment in ("before", "after") for visit in (1, 3, 5, 8)),
    *("segments.begun", "segments.mid_write", "segments.before_sync", "segments.after_sync"),
    *("blobs.created@2", "blobs.after_file_sync@3", "blobs.after_link@2", "blobs.after_dir_sync@4"),
    *(f"jobs.{moment}@+{visit}" for moment in ("claimed", "done_not_recorded") for visit in (1, 2)),
]
SETTINGS = {"limits_job_lease_seconds": "1", "limits_drain_seconds": "5"}


def send(hub: Served, uid: str) -> int:
    body = json.dumps({"fileids": [entry(name, content=content) for name, content in FILES.items()]})
    try:
        return hub.client.post(f"{hub.base}/{uid}", content=body).status_code
    except httpx2.TransportError:
        return 0


def wait(hub: Served, uid: str) -> int:
    """Until it is ready or has failed; 0 where the hub has ended."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            status = hub.client.head(f"{hub.base}/{uid}").status_code
        except httpx2.TransportError:
            return 0
        if status != 202:
            return status
        time.sleep(0.05)
    raise AssertionError(hub.output)


@pytest.mark.parametrize("point", POINTS)
def test_a_hub_killed_at_any_step_of_a_cart_goes_on_with_it(tmp_path: Path, point: str) -> None:
    data, folder, uid = tmp_path / "var", tmp_path / "archive", str(uuid.uuid4())
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    settings = {**SETTINGS, "carts_archives": str(folder)}
    with Served(data, "", faults=f"{point}=kill", **settings) as hub:
        if send(hub, uid) == 201:
            wait(hub, uid)
        code = hub.wait()
    checked, report = fsck(data, "--read-data")

    with Served(data, "", **settings) as hub:
        status = wait(hub, uid)
        if status == 404:  # nobody had been told that it was made
            assert send(hub, uid) == 201
            status = wait(hub, uid)
        bundle = hub.client.get(f"{hub.base}/{uid}?filename=x.tar").content

    assert code == -signal.SIGKILL
    assert checked == 0, report
    assert status == 204
    assert members(bundle) == FILES


def child_of(hub: Served) -> int:
    """Its child, as soon as there is one."""
    until = time.monotonic() + 30
    while not (found := children_of(hub.process.pid)):
        assert time.monotonic() < until, hub.output
        time.sleep(0.02)
    return found[0]


def large_cart(folder: Path) -> dict[str, str]:
    """Files, and the settings of a hub to which they are many, and that takes its time over each."""
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    slow = "blobs.before_link@0=sleep:0.3,segments.before_sync@0=sleep:0.3"
    return {**SETTINGS, "carts_archives": str(folder), "limits_cart_child_files": "3", "faults": slow}


def test_a_child_killed_at_its_work_is_followed_by_another(tmp_path: Path) -> None:
    data, uid = tmp_path / "var", str(uuid.uuid4())
    settings = large_cart(tmp_path / "archive") | {"limits_job_retry_seconds": "0.1"}
    with Served(data, "", **settings) as hub:
        assert send(hub, uid) == 201
        for pause in (0.5, 1.0, 1.5):
            child = child_of(hub)
            time.sleep(pause)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status = wait(hub, uid)
        bundle = hub.client.get(f"{hub.base}/{uid}?filename=x.tar").content

    assert status == 204
    assert members(bundle) == FILES
    assert fsck(data, "--read-data")[0] == 0


def test_a_hub_killed_takes_its_child_with_it(tmp_path: Path) -> None:
    data, uid = tmp_path / "var", str(uuid.uuid4())
    settings = large_cart(tmp_path / "archive")
    with Served(data, "", **settings) as hub:
        assert send(hub, uid) == 201
        child = child_of(hub)
        hub.process.kill()
        hub.wait()
        until = time.monotonic() + 20
        while Path(f"/proc/{child}").exists() and time.monotonic() < until:
            time.sleep(0.02)
        gone = not Path(f"/proc/{child}").exists()

    with Served(data, "", **settings) as hub:
        status = wait(hub, uid)
        bundle = hub.client.get(f"{hub.base}/{uid}?filename=x.tar").content

    assert gone
    assert status == 204
    assert members(bundle) == FILES


def members(bundle: bytes) -> dict[str, bytes]:
    """The files of a tar whose root is `x`."""
    with tarfile.open(fileobj=io.BytesIO(bundle)) as tar:
        found = {member.name.removeprefix("x/"): tar.extractfile(member) for member in tar if member.isfile()}
        return {name: file.read() for name, file in found.items() if file}
