"""A hub over a socket, an upstream behind it, and clients with nothing set up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.clients.machine import Machine
from tests.clients.prepare import NAMES
from tests.clients.programs import Client, Pip, Poetry, Uv, client_called
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream

PAYLOAD = 300_000
ELSEWHERE = "windows-only; sys_platform == 'win32'"
"""uv's projects and poetry resolve it too, and never fetch it."""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Two releases of `app`, of which the newer needs an older `lib`, and something more on Windows."""
    with Upstream() as started:
        fill(started)
        yield started


def fill(upstream: Upstream) -> None:
    """Offer what these tests install."""
    upstream.add("app", "1.0", requires=["lib>=1"])
    upstream.add("app", "1.1", requires=["lib<2", "plug-in", ELSEWHERE], size=PAYLOAD)
    for version in ("1.0", "1.5", "2.0"):
        upstream.add("lib", version)
    upstream.add("plug-in", "0.3", "sdist")
    upstream.add("windows-only", "1.0")


INSTALLED = {"app": "1.1", "lib": "1.5", "plug-in": "0.3"}
"""What `install app` ends with."""


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub as it comes, over that upstream."""
    with hub_over(upstream, tmp_path) as started:
        yield started


def hub_over(upstream: Upstream, folder: Path, *, files: Sequence[str] = (), **settings: Any) -> RunningHub:
    """A hub whose data lies in a folder; the next one over the same folder goes on with it."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    return RunningHub(data, index={"upstreams": [{"url": upstream.url, "files": tuple(files)}]}, **settings)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A user's machine."""
    return Machine(tmp_path)


@pytest.fixture(params=NAMES)
def client(request: pytest.FixtureRequest, machine: Machine) -> Client:
    """Each client in turn."""
    return client_called(request.param, machine)


@pytest.fixture(params=["pip", "pip-2023"])
def pip(request: pytest.FixtureRequest, machine: Machine) -> Pip:
    """pip, the newest and one three years old."""
    made = client_called(request.param, machine)
    assert isinstance(made, Pip)
    return made


@pytest.fixture
def uv(machine: Machine) -> Uv:
    made = client_called("uv", machine)
    assert isinstance(made, Uv)
    return made


@pytest.fixture
def poetry(machine: Machine) -> Poetry:
    made = client_called("poetry", machine)
    assert isinstance(made, Poetry)
    return made
