"""`creamery cart wheelhouse`, for a machine that reaches no index: uv says which files, pip is the judge."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients.machine import Machine
from tests.clients.programs import Pip
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed

CREAMERY = Path(sys.executable).parent / "creamery"


def test_pip_installs_from_a_wheelhouse_without_any_index(
    upstream: Upstream, hub: RunningHub, machine: Machine, pip: Pip
) -> None:
    (machine.home / "requirements.txt").write_text("app==1.0\nlib<2\n")
    made = machine.succeed(CREAMERY, "cart", "wheelhouse", "-r", "requirements.txt", "--json", CREAMERY_HUB=hub.base)
    uid = made.split('"')[3]
    machine.succeed(CREAMERY, "cart", "get", uid, "-o", "wheelhouse.tar", CREAMERY_HUB=hub.base)
    fetched = [seen.path.rpartition("/")[2] for seen in upstream.requests() if seen.path.endswith(".whl")]
    upstream.stop()

    machine.succeed("tar", "-xf", "wheelhouse.tar")
    environment = machine.environment()
    pip.succeed(
        *("install", "--no-index", "--find-links", "wheelhouse", "-r", "requirements.txt"), environment=environment
    )

    assert environment.installed() == {"app": "1.0", "lib": "1.5"}
    assert sorted(path.name for path in (machine.home / "wheelhouse").iterdir()) == sorted(fetched)
    again = machine.succeed(CREAMERY, "cart", "wheelhouse", "-r", "requirements.txt", "--json", CREAMERY_HUB=hub.base)
    assert hub.client.head(f"{hub.base}/{again.split(chr(34))[3]}").status_code == 204
