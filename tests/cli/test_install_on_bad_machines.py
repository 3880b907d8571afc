"""Machines that are full, closed or stopped: an installation ends as it would without us, and leaves nothing behind."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.accounts import Scope
from tests.doubles.counted import counted_sdist
from tests.doubles.laptops import Laptop, packages_of
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of
from tests.doubles.upstream import Upstream

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
