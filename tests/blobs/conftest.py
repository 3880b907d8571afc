"""A cellar of blobs on each database, and faults that are armed for one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from creamery import faults
from tests.databases import KINDS, empty_database
from tests.doubles.cellar import Cellar, make_tables
from tests.doubles.hand_clock import HandClock


@pytest.fixture(params=KINDS)
def any_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database of each kind, with the tables of blobs."""
    with empty_database(request.param, tmp_path) as url:
        make_tables(url)
        yield url


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The same, for what does not depend on the kind: SQLite."""
    url = f"sqlite:///{tmp_path}/creamery.sqlite3"
    make_tables(url)
    return url


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def open_cellar(tmp_path: Path, clock: HandClock) -> Iterator[Callable[..., Cellar]]:
    """Opens cellars over one data directory; all are closed at the end."""
    opened: list[Cellar] = []

    def open_one(url: str, **options: Any) -> Cellar:
        cellar = Cellar(tmp_path / "data", url, clock, **options).open()
        opened.append(cellar)
        return cellar

    yield open_one
    for cellar in reversed(opened):
        cellar.close()


@pytest.fixture
def cellar(open_cellar: Callable[..., Cellar], database_url: str) -> Cellar:
    return open_cellar(database_url)


@pytest.fixture(autouse=True)
def _no_faults() -> Iterator[None]:
    yield
    faults.disarm()
