"""A hub whose users keep files, and a hive's tables alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.dav import Dav
from tests.doubles.grove import Grove
from tests.doubles.running import RunningHub


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    """Started and empty."""
    with RunningHub(tmp_path, index={"upstreams": []}) as started:
        yield started


@pytest.fixture
def alice(hub: RunningHub) -> Dav:
    """At home."""
    return Dav(hub)


@pytest.fixture(scope="module")
def one_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """One for all tests of a module, each of which keeps to a folder of its own."""
    with RunningHub(tmp_path_factory.mktemp("files"), index={"upstreams": []}) as started:
        yield started


@pytest.fixture
def here(one_hub: RunningHub, request: pytest.FixtureRequest) -> Dav:
    """Alice at the hub of all tests, in a folder of this test's own."""
    dav = Dav(one_hub)
    folder = f"/{abs(hash(request.node.name)):x}"
    dav.folder(folder)
    dav.home += folder
    return dav


@pytest.fixture
def grove(database_url: str) -> Iterator[Grove]:
    """A hive without spaces."""
    made = Grove(database_url)
    yield made
    made.close()
