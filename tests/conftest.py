"""What every test shares: the event loop, databases of all kinds, and the switch for what only CI prepares."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from creamery.clock import SystemClock
from creamery.database import Committer, Database, Generations
from creamery.limits import Limits
from creamery.telemetry import Telemetry
from tests.databases import KINDS, create_tables, empty_database, empty_tables

# Times say nothing on a machine that does other things too.
settings.register_profile("creamery", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("creamery")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The hub runs on asyncio; so do its tests."""
    return "asyncio"


@pytest.fixture(params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> str:
    """SQLite; PostgreSQL and MariaDB too where they are installed."""
    return str(request.param)


@pytest.fixture
def empty_database_url(database_kind: str, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    with empty_database(database_kind, tmp_path) as url:
        yield url


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path, _made_databases: _MadeDatabases) -> str:
    """A database with all tables and no rows."""
    return _made_databases.url(database_kind, tmp_path)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """That database, open."""
    opened = Database(database_url, Limits(), Telemetry())
    yield opened
    opened.close()


@pytest.fixture
def committer(database: Database) -> Iterator[Committer]:
    """The one writer of that database."""
    started = Committer(database, Generations(database), Limits(), SystemClock(), Telemetry())
    started.start()
    yield started
    started.close()


@pytest.fixture(scope="session")
def _made_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_MadeDatabases]:
    with ExitStack() as made:
        yield _MadeDatabases(made, tmp_path_factory.mktemp("databases"))


class _MadeDatabases:
    """Tables are made once for each kind; a test gets a copy of SQLite's file, or a server's tables emptied."""

    def __init__(self, made: ExitStack, folder: Path) -> None:
        self._made = made
        self._folder = folder
        self._urls: dict[str, str] = {}

    def url(self, kind: str, folder: Path) -> str:
        if kind not in self._urls:
            self._urls[kind] = self._made.enter_context(empty_database(kind, self._folder))
            create_tables(self._urls[kind])
        elif kind != "sqlite":
            empty_tables(self._urls[kind])
        if kind != "sqlite":
            return self._urls[kind]
        copy = folder / "creamery.sqlite3"
        shutil.copyfile(self._folder / "empty.sqlite3", copy)
        return f"sqlite:///{copy}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, visibly, what needs root, servers or clients, unless `.ci/run` has prepared them."""
    if os.environ.get("CREAMERY_TEST_INSTALLED") == "1":
        return
    skip = pytest.mark.skip(reason="needs what .ci/run installs; CREAMERY_TEST_INSTALLED=1 runs it")
    for item in items:
        if "installed" in item.keywords:
            item.add_marker(skip)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: half of the time these tests wait, for processes and for clocks."""
    return (os.cpu_count() or 1) + 1
