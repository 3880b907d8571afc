"""A hub over one upstream that does as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream


@contextmanager
def small_upstream() -> Iterator[Upstream]:
    """An index upstream with two releases of `demo`."""
    with Upstream() as started:
        started.add("demo", "1.0", requires=["dep>=1"])
        started.add("demo", "1.1", requires=["dep>=1"], requires_python=">=3.8")
        started.add("dep", "1.0")
        yield started


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """An upstream of one's own."""
    with small_upstream() as started:
        yield started


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    """The hub in its default: every page is revalidated."""
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as started:
        yield started


@pytest.fixture
def relaxed_hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub that takes pages as fresh for a minute."""
    with RunningHub(tmp_path, index={"upstreams": [upstream.url], "max_age": 60}) as started:
        yield started


@pytest.fixture(scope="module")
def shared_upstream() -> Iterator[Upstream]:
    """An upstream that nobody changes."""
    with small_upstream() as started:
        yield started


@pytest.fixture(scope="module")
def shared_hub(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub for tests that only read; it takes pages as fresh for ever."""
    settings = {"upstreams": [shared_upstream.url], "max_age": 1e6}
    with RunningHub(tmp_path_factory.mktemp("hub"), index=settings) as started:
        yield started
