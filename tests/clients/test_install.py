"""Every client installs through the hub, and again with the internet unplugged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.conftest import INSTALLED, hub_over
from tests.clients.programs import Client, install
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed


def test_a_client_installs_with_dependencies_and_again_without_the_internet(
    client: Client, upstream: Upstream, tmp_path: Path
) -> None:
    with hub_over(upstream, tmp_path) as hub:
        online = install(client, f"{hub.base}/simple/", "app")
    files = files_sent(upstream)
    upstream.stop()

    with hub_over(upstream, tmp_path) as hub:
        unplugged = install(client, f"{hub.base}/simple/", "app")

    assert online.installed() == INSTALLED
    assert unplugged.installed() == INSTALLED
    assert sorted(files) == sorted(set(files)), "each file came once"
    assert {name for name in files if name.endswith(".whl")} == {
        "app-1.1-py3-none-any.whl",
        "lib-1.5-py3-none-any.whl",
    }, "METADATA was read without the wheels"


def files_sent(upstream: Upstream) -> list[str]:
    """The names of the files that it was asked for."""
    return [seen.path.rpartition("/")[2] for seen in upstream.requests() if not seen.path.startswith("/simple/")]
