"""What `curd -u` says where it cannot send what came from an index."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from creamery.client.caches import Offer
from creamery.client.curdling import CurdLaunch
from creamery.client.from_index import Lacking, share


@pytest.mark.parametrize(("count", "end"), [(1, "refused."), (3, "refused. Nor are 2 others.")])
def test_one_line_tells_of_all_that_cannot_be_had(tmp_path: Path, count: int, end: str) -> None:
    """A full disk was told of once for each package."""
    said: list[str] = []
    launch = SimpleNamespace(folder=str(tmp_path), known_hosts=list, say=said.append, sharing=None)
    names = [f"plain-{number}-py3-none-any.whl" for number in range(count)]
    lacking = [
        Lacking(Offer(name, "0" * 64, None, f"http://127.0.0.1:9/{name}"), tmp_path / "RECORD") for name in names
    ]
    fetched: list[int] = []

    share(cast(CurdLaunch, launch), lacking, None, fetched.append)

    assert sum(fetched) == count
    assert [line.endswith(end) for line in said] == [True], said
