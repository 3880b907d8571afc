"""A hub that people push built wheels to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.accounts import Scope
from tests.doubles.running import RunningHub
from tests.doubles.uploading import Auth, token_of


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    """Anyone reads, users push."""
    with RunningHub(tmp_path, index={"upstreams": []}) as started:
        yield started


@pytest.fixture(scope="module")
def one_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """The same, for all refusals of a module: nothing of them may be left."""
    with RunningHub(tmp_path_factory.mktemp("refusing"), index={"upstreams": []}) as started:
        yield started


@pytest.fixture
def alice(hub: RunningHub) -> Auth:
    """A token that pushes."""
    return token_of(hub, "alice", [Scope("wheels:push")])
