"""A hub's data for commands: some files that were fetched, listed in the index's own tables."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner
from sqlalchemy import Connection, insert

from creamery.cli import main
from creamery.clock import SystemClock
from creamery.contract import Digest
from creamery.database import Database
from creamery.database.schema import upgrade
from creamery.index.tables import index_file, index_project
from creamery.limits import Limits
from tests.doubles.cellar import Cellar


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once; each test works on a copy."""
    data = tmp_path_factory.mktemp("hub") / "data"
    database = Database(f"sqlite:///{data}/creamery.sqlite3", Limits())
    upgrade(database, Limits(), SystemClock())
    database.close()
    with_cellar(data, shelve_three)
    return data


@pytest.fixture
def hub_data(tmp_path: Path, _made: Path) -> Path:
    """A hub's directory with the files one.whl, two.whl and three.whl, whose bytes are their names."""
    return Path(shutil.copytree(_made, tmp_path / "data"))


@pytest.fixture(scope="session")
def _made_vault(tmp_path_factory: pytest.TempPathFactory, _made: Path) -> Path:
    folder = tmp_path_factory.mktemp("vaults") / "vault"
    assert run("backup", folder, "--data", _made)[0] == 0
    return folder


@pytest.fixture
def vault(tmp_path: Path, _made_vault: Path) -> Path:
    """A backup of that hub."""
    return Path(shutil.copytree(_made_vault, tmp_path / "vault"))


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command says where its process's log goes; here others share the process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def shelve_three(cellar: Cellar) -> None:
    """What `hub_data` has."""
    for name in ("one.whl", "two.whl", "three.whl"):
        shelve(cellar, name)


def with_cellar(data: Path, act: Callable[[Cellar], Any]) -> Any:
    """Act as a hub does."""
    cellar = Cellar(data, f"sqlite:///{data}/creamery.sqlite3", SystemClock()).open()
    try:
        return act(cellar)
    finally:
        cellar.close()


def shelve(cellar: Cellar, filename: str) -> None:
    """Keep a file of a project of the same name."""

    def refer(connection: Connection, digest: Digest) -> None:
        name = {"name": filename, "confusable": filename, "hosted": False, "merged": False}
        blank = {"status": "active", "listed": True, "serial": 1, "revision": 1, "here_revision": 1}
        moments = {"created": 1, "changed": 1}
        project = connection.execute(insert(index_project).values(**name, **blank, **moments)).inserted_primary_key
        assert project is not None
        flags = {"has_metadata": False, "pinned": False, "listed": True, "metadata_failed": False}
        origin = {"origin": "https://packages.example/simple/", "url": "https://files.example/", "born": 1}
        file = {"project_id": project[0], "filename": filename, "digest": digest, **origin, **flags, **moments}
        connection.execute(insert(index_file).values(**file))

    cellar.blobs.keep_bytes(filename.encode(), refer)


def run(*arguments: object, **environment: str) -> tuple[int, dict[str, Any]]:
    """A command with `--json`: its exit code, which the report must name too, and its report."""
    given = {"CREAMERY_DATABASE_URL": "", "DATABASE_URL": "", **environment}
    done = CliRunner().invoke(main, [*map(str, arguments), "--json"], env=given)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["code"] == done.exit_code
    return done.exit_code, report


def tell(*arguments: object) -> str:
    """A command as people run it: what it says."""
    done = CliRunner().invoke(main, [*map(str, arguments)], env={"CREAMERY_DATABASE_URL": "", "DATABASE_URL": ""})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output
