"""Every client installs through the hub, and again with the internet unplugged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.conftest import INSTALLED, hub_over
from tests.clients.programs import Client, install
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed


def test_a_client_installs_with_dependencies_and_each_file_comes_once(
    client: Client, hub: RunningHub, upstream: Upstream
) -> None:
    environment = install(client, f"{hub.base}/i/", "app")

    assert environment.installed() == INSTALLED
    files = [seen.path.rpartition("/")[2] for seen in upstream.requests("/") if not seen.path.startswith("/simple/")]
    assert sorted(files) == sorted(set(files))
    assert {name for name in files if name.endswith(".whl")} == {
        "app-1.1-py3-none-any.whl",
        "lib-1.5-py3-none-any.whl",
    }, "METADATA was read without the wheels"


def test_what_was_installed_installs_again_with_the_upstream_gone(
    client: Client, upstream: Upstream, tmp_path: Path
) -> None:
    with hub_over(upstream, tmp_path) as hub:
        install(client, f"{hub.base}/simple/", "app")
        upstream.stop()

        unplugged = install(client, f"{hub.base}/simple/", "app")

    with hub_over(upstream, tmp_path) as hub:
        restarted = install(client, f"{hub.base}/simple/", "app")

    assert unplugged.installed() == INSTALLED
    assert restarted.installed() == INSTALLED
