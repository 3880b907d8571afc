"""`creamery fsck`: what it says, and how it ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from creamery import hub
from creamery.cli import main
from creamery.clock import SystemClock
from creamery.contract import Digest, digest_of
from creamery.database import Database
from creamery.database.schema import upgrade
from creamery.limits import Limits
from tests.doubles import shelf
from tests.doubles.cellar import Cellar
from tests.doubles.hand_clock import HandClock
from tests.doubles.obstacles import OBSTACLES, obstruct


@pytest.fixture(scope="module")
def upgraded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upgraded") / "creamery.sqlite3"
    database = Database(f"sqlite:///{path}", Limits())
    upgrade(database, Limits(), SystemClock())
    shelf.metadata.create_all(database.write)
    database.close()
    return path


@pytest.fixture
def data(tmp_path: Path, upgraded_file: Path) -> Path:
    """A hub's data directory, with one blob that was fetched and one that somebody has kept."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copyfile(upgraded_file, data / "creamery.sqlite3")
    with_cellar(data, lambda cellar: (cellar.put(b"fetched", "numpy.whl", kept=False), cellar.put(b"kept", "ours.whl")))
    return data


@pytest.fixture(autouse=True)
def _holders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "offline_holders", lambda: (shelf.SHELF,))


def with_cellar(data: Path, act: Callable[[Cellar], Any]) -> None:
    cellar = Cellar(data, f"sqlite:///{data}/creamery.sqlite3", HandClock()).open()
    act(cellar)
    cellar.close()


def fsck(data: Path, *arguments: str) -> Result:
    environment = {"CREAMERY_DATABASE_URL": "", "DATABASE_URL": ""}
    return CliRunner().invoke(main, ["fsck", "--data", str(data), *arguments], env=environment)


def blob_file(data: Path, body: bytes) -> Path:
    digest = digest_of(body)
    path = data / "blobs" / digest[:2] / digest[2:4] / digest
    path.chmod(0o600)
    return path


@pytest.fixture
def read_lock(data: Path) -> Iterator[None]:
    """A hub runs."""
    with (data / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@pytest.mark.parametrize("depth", [[], ["--quick"], ["--read-data"]])
def test_what_is_whole_ends_with_0(data: Path, depth: list[str]) -> None:
    done = fsck(data, *depth)

    assert done.exit_code == 0
    assert "2 blobs of 11 bytes and 2 references" in done.output
    assert "All is well." in done.output


def test_what_is_not_ends_with_1_and_names_what_and_whose(data: Path) -> None:
    blob_file(data, b"kept").unlink()

    done = fsck(data)

    assert done.exit_code == 1
    assert "missing" in done.output
    assert "ours.whl" in done.output


def test_rotten_bytes_are_found_when_they_are_read(data: Path) -> None:
    blob_file(data, b"fetched").write_bytes(b"FETCHED")

    assert fsck(data).exit_code == 0
    assert fsck(data, "--read-data").exit_code == 1


def test_programs_get_one_json_object(data: Path) -> None:
    blob_file(data, b"fetched").write_bytes(b"short")

    done = fsck(data, "--json")

    report = json.loads(done.output)
    assert done.exit_code == report["code"] == 1
    assert report["blobs"] == 2
    assert report["findings"] == [
        {
            "kind": "wrong size",
            "subject": digest_of(b"fetched"),
            "detail": "the file has 5 bytes instead of 7",
            "names": ["numpy.whl"],
            "kept": False,
            "repaired": None,
            "failure": None,
        }
    ]


def test_everything_repaired_ends_with_3_and_then_0(data: Path) -> None:
    blob_file(data, b"fetched").write_bytes(b"short")

    assert fsck(data, "--repair", "--yes").exit_code == 3
    assert fsck(data, "--read-data").exit_code == 0
    assert [path.read_bytes() for path in (data / "quarantine").iterdir()] == [b"short"]


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_is_no_plain_file_is_repaired_in_one_run(data: Path, obstacle: str) -> None:
    obstruct(blob_file(data, b"fetched"), obstacle)
    (data / "incoming" / "folder").mkdir()

    assert fsck(data, "--repair", "--yes").exit_code == 3
    assert fsck(data, "--read-data").exit_code == 0


def test_a_name_that_is_no_text_can_be_said(data: Path) -> None:
    Path(os.fsdecode(bytes(data / "blobs") + b"/\xff")).touch()

    done, in_json = fsck(data), fsck(data, "--json")

    assert (done.exit_code, in_json.exit_code) == (1, 1)
    assert r"\udcff" in done.output


def test_what_the_disk_refuses_keeps_nothing_else_from_being_repaired(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "refused", "third"):
        (data / "blobs" / name).touch()
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == "refused":
            raise OSError(errno.EBUSY, "Device or resource busy", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)

    done = fsck(data, "--repair", "--yes", "--json")

    assert done.exit_code == 1
    findings = {finding["subject"]: finding for finding in json.loads(done.output)["findings"]}
    assert {subject for subject, finding in findings.items() if finding["repaired"]} == {"blobs/first", "blobs/third"}
    assert "busy" in findings["blobs/refused"]["failure"]
    assert "busy" in fsck(data, "--repair", "--yes").output


def test_what_cannot_be_repaired_ends_with_1(data: Path) -> None:
    blob_file(data, b"fetched").unlink()
    blob_file(data, b"kept").unlink()

    done = fsck(data, "--repair", "--yes", "--json")

    assert done.exit_code == 1
    repaired: dict[Digest, str | None] = {
        finding["subject"]: finding["repaired"] for finding in json.loads(done.output)["findings"]
    }
    assert repaired[digest_of(b"kept")] is None
    assert repaired[digest_of(b"fetched")] is not None


def test_a_repair_wants_a_yes(data: Path) -> None:
    blob_file(data, b"fetched").unlink()

    done = fsck(data, "--repair")

    assert done.exit_code == 2
    assert "--yes" in done.output
    assert fsck(data).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--repair"], "--yes"),
        (["--quick", "--read-data"], "exclude"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_programs_get_a_json_object_for_a_wrong_option_too(data: Path, arguments: list[str], said: str) -> None:
    done = fsck(data, "--json", *arguments)

    report = json.loads(done.output)
    assert done.exit_code == report["code"] == 2
    assert said in report["error"]


@pytest.mark.usefixtures("read_lock")
def test_a_running_hub_is_checked_and_not_repaired(data: Path) -> None:
    assert fsck(data).exit_code == 0

    done = fsck(data, "--repair", "--yes")

    assert done.exit_code == 11
    assert "stop it" in done.output


@pytest.mark.parametrize("arguments", [[], ["--repair", "--yes"]])
def test_another_directory_ends_with_10_and_stays_as_it_is(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "photos").mkdir()

    done, nowhere = fsck(tmp_path / "photos", *arguments), fsck(tmp_path / "nowhere", *arguments)

    assert (done.exit_code, nowhere.exit_code) == (10, 10)
    assert list((tmp_path / "photos").iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


def test_another_hubs_database_ends_with_10(data: Path) -> None:
    (data / "store.json").write_text('{"instance": "another", "format": 1}')

    done = fsck(data, "--json")

    assert done.exit_code == 10
    assert "different hubs" in json.loads(done.output)["error"]


def test_a_database_that_cannot_be_read_ends_with_2(data: Path) -> None:
    (data / "creamery.sqlite3").write_bytes(b"no database" * 100)

    done = fsck(data)

    assert done.exit_code == 2
    assert "could not be checked" in done.output
    assert "restore it from a backup" in done.output


def damage(data: Path) -> None:
    with (data / "creamery.sqlite3").open("r+b") as file:
        file.seek(4 * 4096)
        file.write(bytes(range(256)) * 16)


@pytest.mark.parametrize("arguments", [[], ["--read-data"], ["--repair", "--yes"]])
def test_a_database_with_a_damaged_page_ends_with_2_and_the_remedy(data: Path, arguments: list[str]) -> None:
    damage(data)

    done = fsck(data, *arguments)

    assert done.exit_code == 2
    assert "damaged" in done.output
    assert "restore it from a backup" in done.output


def test_after_an_unclean_stop_the_database_is_looked_through_however_quick_it_must_be(data: Path) -> None:
    damage(data)

    with contextlib.closing(sqlite3.connect(data / "creamery.sqlite3", isolation_level=None)) as killed:
        killed.execute("PRAGMA user_version=1")
        done = fsck(data, "--quick")

    assert done.exit_code == 2
    assert "damaged" in done.output


def test_a_database_of_another_form_ends_with_2(data: Path) -> None:
    (data / "creamery.sqlite3").unlink()
    empty = Database(f"sqlite:///{data}/creamery.sqlite3", Limits())
    empty.check()
    empty.close()

    done = fsck(data)

    assert done.exit_code == 2
    assert "creamery db upgrade" in done.output


def test_quick_and_read_data_exclude_each_other(data: Path) -> None:
    assert fsck(data, "--quick", "--read-data").exit_code == 2
