"""The shortest way: the pip beside the hub, through a hub, and again with its upstream gone."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.clients.conftest import hub_over
from tests.clients.machine import Machine
from tests.doubles.upstream import Upstream


def test_pip_installs_through_the_hub_and_again_with_the_upstream_gone(
    upstream: Upstream, machine: Machine, tmp_path: Path
) -> None:
    pip = (sys.executable, "-m", "pip", "--no-cache-dir", "--disable-pip-version-check", "install", "--no-compile")

    with hub_over(upstream, tmp_path) as hub:
        index = ("--index-url", f"{hub.base}/i/")
        machine.succeed(*pip, *index, "--target", machine.home / "first", "lib<2")
        upstream.stop()
        machine.succeed(*pip, *index, "--target", machine.home / "second", "lib")

    for target in ("first", "second"):
        assert (machine.home / target / "lib" / "__init__.py").read_text() == "__version__ = '1.5'\n"
