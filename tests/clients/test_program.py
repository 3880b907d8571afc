"""From the start of the real program to its end: what a newcomer does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.conftest import INSTALLED
from tests.clients.machine import Machine
from tests.clients.program import Program
from tests.clients.programs import Pip, Uv, install
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed


@pytest.mark.parametrize("pip", ["pip"], indirect=True)
def test_the_line_that_serve_prints_installs_and_again_without_the_internet(
    pip: Pip, uv: Uv, upstream: Upstream, machine: Machine, tmp_path: Path
) -> None:
    variables = machine.variables(CREAMERY_INDEX_UPSTREAMS=upstream.url)

    with Program(tmp_path / "var", variables) as program:
        first = install(pip, program.index, "app")
    upstream.stop()
    with Program(tmp_path / "var", variables) as program:
        offline = [install(client, program.index, "app") for client in (pip, uv)]
        said = program.said

    assert first.installed() == INSTALLED
    assert [environment.installed() for environment in offline] == [INSTALLED, INSTALLED]
    assert str((tmp_path / "var").resolve()) in said
