"""Machines that are full, closed or stopped: an installation ends as it would without us, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.accounts import Scope
from tests.doubles.counted import counted_sdist
from tests.doubles.laptops import Laptop, packages_of
from tests.doubles.meddler import Meddler
from tests.doubles.misbehaviour import hang
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of
from tests.doubles.upstream import Upstream

FORCED = ("--no-binary", ":all:", "beta")
SCOPES = [Scope("wheels:push"), Scope("wheels:read"), Scope("index:read")]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        started.add_file("beta", "1.0", counted_sdist("beta", is_static=False))
        started.add("plain", "1.0")
        yield started


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    with RunningHub(tmp_path / "data", index={"upstreams": [upstream.url]}) as started:
        yield started


@pytest.fixture
def laptop(hub: RunningHub, tmp_path: Path) -> Laptop:
    """It may share."""
    return Laptop(tmp_path / "laptop", hub, token_of(hub, "ann", SCOPES))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, with little room."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.installed
def test_a_log_that_finds_no_room_costs_the_log_alone(laptop: Laptop, small: Path) -> None:
    environment, said = laptop.install("-u", "beta", TMPDIR=str(small), BUILD_DOES="talk")

    assert packages_of(environment) == ["beta"], said
    assert laptop.built() == ["beta"]


@pytest.mark.installed
def test_a_full_temporary_folder_is_not_needed(laptop: Laptop, small: Path) -> None:
    with contextlib.suppress(OSError):
        (small / "filler").write_bytes(bytes(1_000_000))

    environment, _ = laptop.install("plain", TMPDIR=str(small))

    assert packages_of(environment) == ["plain"]


def test_a_temporary_folder_that_nobody_can_write_to_is_not_needed(laptop: Laptop) -> None:
    environment, _ = laptop.install("plain", TMPDIR="/proc")

    assert packages_of(environment) == ["plain"]


@pytest.mark.parametrize("theirs", [b"machine h\xe9 login a password b\n", b"machine a b c d\n", b"nonsense\n"])
def test_a_netrc_file_that_is_none_does_not_take_the_hubs_password_with_it(theirs: bytes, laptop: Laptop) -> None:
    path, token = laptop.folder / "netrc", laptop.variables()["CREAMERY_TOKEN"]
    path.write_bytes(theirs)

    ran = laptop.call("run", "--", "sh", "-c", 'cat "$NETRC"', NETRC=str(path))
    environment, _ = laptop.install("plain", NETRC=str(path))

    assert ran.stdout.endswith(f'machine 127.0.0.1\nlogin "__token__"\npassword "{token}"\n')
    assert ("is not written as a netrc file is" in ran.stderr) is (theirs != b"machine h\xe9 login a password b\n")
    assert packages_of(environment) == ["plain"]


STOPS: dict[str, tuple[signal.Signals, ...]] = {
    "SIGTERM": (signal.SIGTERM,),
    "SIGHUP": (signal.SIGHUP,),
    "Ctrl-C, three times": (signal.SIGINT,) * 3,
}


@pytest.mark.parametrize("stop", STOPS)
def test_whatever_stops_it_while_it_shares_leaves_no_password_and_waits_for_no_hub(
    stop: str, laptop: Laptop, hub: RunningHub
) -> None:
    environment = laptop.environment()
    with Meddler(hub.base) as between:
        laptop.base = between.base
        between.orders["/w/v1/entries"] = hang()
        between.orders["DELETE /w/v1/lease"] = hang()
        with laptop.start("install", "-u", "--python", environment / "bin" / "python", *FORCED) as started:
            laptop.wait_until(lambda: any(seen.path.startswith("/w/v1/entries") for seen in between.seen))
            laptop.wait_until(lambda: packages_of(environment) == ["beta"])
            time.sleep(0.5)  # uv has ended
            began = time.monotonic()
            for number in STOPS[stop]:
                os.kill(started.pid, number)
                time.sleep(0.3)
            _, said = started.communicate(timeout=60)

    assert started.returncode == 128 + STOPS[stop][0], said
    assert "Traceback" not in said
    assert laptop.left() == []
    assert time.monotonic() - began < 8


def test_what_a_killed_run_leaves_goes_with_the_next_and_no_run_that_lives(laptop: Laptop) -> None:
    """Its password lay in the temporary folder for as long as that was there."""
    started = [laptop.start("run", "--", "sleep", "60") for _ in range(2)]
    with started[0] as killed, started[1] as alive:
        laptop.wait_until(lambda: len(list((laptop.folder / "tmp").glob("creamery-*/netrc"))) == 2)
        killed.kill()
        killed.wait()
        for folder in (laptop.folder / "tmp").glob("creamery-*"):
            os.utime(folder, (0, 0))  # both are old by now
        laptop.install("plain")
        left = laptop.left()
        alive.terminate()

    assert len(left) == 1
    assert laptop.left() == []


def test_nohup_outlives_its_terminal(laptop: Laptop) -> None:
    environment = laptop.environment()
    words = ("install", "--python", environment / "bin" / "python", *FORCED)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which children inherit
    try:
        started = laptop.start(*words, BUILD_DOES="wait:1")
    finally:
        signal.signal(signal.SIGHUP, before)
    with started:
        laptop.wait_until(lambda: laptop.built() == ["beta"])
        os.kill(started.pid, signal.SIGHUP)
        _, said = started.communicate(timeout=60)

    assert started.returncode == 0, said
    assert packages_of(environment) == ["beta"]
