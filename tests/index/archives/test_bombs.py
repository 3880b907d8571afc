"""Archives that are small and cost much: each is refused in 64 MiB of memory. In how long, `make bench` says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.limits import MIB
from tests.index.archives.bombs import BOMBS, Refuse, refusals

MOST_MEMORY = 64 * MIB


@pytest.fixture(name="refuse", scope="module")
def _refuse() -> Iterator[Refuse]:
    with refusals() as refuse:
        yield refuse


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much memory a process has had")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_for_little(refuse: Refuse, tmp_path: Path, name: str) -> None:
    make, filename, reason = BOMBS[name]
    path = tmp_path / "upload"
    path.write_bytes(make())

    _, grown, said = refuse(path, filename)

    assert reason in said
    assert grown < MOST_MEMORY
