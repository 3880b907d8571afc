"""`creamery backup`: what it copies, what it leaves alone, how it ends."""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, false, select

from creamery import faults, hub, index
from creamery.blobs.tables import blob, blob_pause
from creamery.clock import Micros, SystemClock
from creamery.contract import digest_of
from creamery.database import Database
from creamery.limits import Limits
from tests.cli.conftest import run, shelve, tell, with_cellar

NAMES = ("one.whl", "two.whl", "three.whl")


@pytest.fixture(autouse=True)
def _no_faults() -> Iterator[None]:
    yield
    faults.disarm()


@pytest.fixture
def everything_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index's files count as somebody's only copies, as uploads will."""
    holder = index.tables.holder(SystemClock())
    keeper = replace(holder, kept=holder.cached, cached=lambda _: false(), forget=lambda *_: None)
    monkeypatch.setattr(hub, "offline_holders", lambda: (keeper,))


def stored(folder: Path) -> set[str]:
    return {path.name for path in (folder / "blobs").glob("*/*/*")}


def digests(*names: str) -> set[str]:
    return {digest_of(name.encode()) for name in names}


def complete(vault: Path) -> list[str]:
    return sorted(path.name for path in (vault / "backups").iterdir() if path.suffix != ".unfinished")


def test_the_first_one_copies_everything(hub_data: Path, tmp_path: Path) -> None:
    code, report = run("backup", tmp_path / "vault", "--data", hub_data)

    assert code == 0
    assert stored(tmp_path / "vault") == digests(*NAMES)
    assert (report["blobs"], report["copied_blobs"], report["bytes"]) == (3, 3, 23)
    assert report["lacks"] == []
    assert complete(tmp_path / "vault") == [report["backup"]]


def test_the_next_one_copies_what_is_new(hub_data: Path, vault: Path) -> None:
    with_cellar(hub_data, lambda cellar: shelve(cellar, "four.whl"))

    code, report = run("backup", vault, "--data", hub_data)

    assert code == 0
    assert (report["blobs"], report["copied_blobs"], report["copied_bytes"]) == (4, 1, 8)
    assert len(complete(vault)) == 2


def test_nothing_of_it_is_the_hubs_own_file(vault: Path) -> None:
    assert {path.stat().st_nlink for path in (vault / "blobs").glob("*/*/*")} == {1}


def test_nobody_else_may_look_into_it(hub_data: Path, tmp_path: Path) -> None:
    (hub_data / "secret").write_bytes(b"signs")
    _, report = run("backup", tmp_path / "vault", "--data", hub_data)

    secret = tmp_path / "vault" / "backups" / report["backup"] / "secret"
    assert secret.read_bytes() == b"signs"
    assert secret.stat().st_mode & 0o077 == 0
    assert (tmp_path / "vault").stat().st_mode & 0o077 == 0


def test_old_ones_go_and_so_do_blobs_that_only_they_had(hub_data: Path, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    _, first = run("backup", vault, "--data", hub_data)
    with_cellar(hub_data, lambda cellar: cellar.committer.write(cellar_forgets))
    _, second = run("backup", vault, "--data", hub_data)
    assert stored(vault) == digests(*NAMES)

    code, third = run("backup", vault, "--data", hub_data, "--keep", 2)

    assert code == 0
    assert third["removed"] == [first["backup"]]
    assert third["deleted_blobs"] == 1
    assert stored(vault) == digests("two.whl", "three.whl")
    assert complete(vault) == [second["backup"], third["backup"]]


def cellar_forgets(connection: Connection) -> None:
    """`one.whl` was evicted and swept."""
    one = digest_of(b"one.whl")
    index.tables.forget(connection, [one], Micros(1))
    connection.execute(delete(blob).where(blob.c.digest == one))


def test_what_can_be_fetched_again_may_be_left_out(hub_data: Path, tmp_path: Path) -> None:
    code, report = run("backup", tmp_path / "vault", "--data", hub_data, "--without-cache")

    assert (code, report["blobs"], report["lacks"]) == (0, 0, [])
    assert stored(tmp_path / "vault") == set()


@pytest.mark.usefixtures("everything_kept")
def test_what_somebody_kept_is_never_left_out(hub_data: Path, tmp_path: Path) -> None:
    _, report = run("backup", tmp_path / "vault", "--data", hub_data, "--without-cache")

    assert report["blobs"] == 3


def spoil(hub_data: Path, name: str, data: bytes | None) -> None:
    digest = digest_of(name.encode())
    path = hub_data / "blobs" / digest[:2] / digest[2:4] / digest
    path.chmod(0o600)
    path.unlink() if data is None else path.write_bytes(data)


@pytest.mark.parametrize(
    ("data", "kind"), [(None, "missing blob"), (b"rotten!", "corrupt blob"), (b"short", "wrong size")]
)
def test_what_cannot_be_copied_is_named_and_the_rest_is_copied(
    hub_data: Path, tmp_path: Path, data: bytes | None, kind: str
) -> None:
    spoil(hub_data, "one.whl", data)

    code, report = run("backup", tmp_path / "vault", "--data", hub_data)

    assert code == 0  # it can be fetched again
    assert [(lack["kind"], lack["digest"], lack["kept"]) for lack in report["lacks"]] == [
        (kind, digest_of(b"one.whl"), False)
    ]
    assert stored(tmp_path / "vault") == digests("two.whl", "three.whl")


@pytest.mark.usefixtures("everything_kept")
def test_what_somebody_kept_and_cannot_be_copied_ends_with_1(hub_data: Path, tmp_path: Path) -> None:
    spoil(hub_data, "one.whl", None)

    code, report = run("backup", tmp_path / "vault", "--data", hub_data)

    assert code == 1
    assert report["lacks"][0]["kept"] is True
    assert "somebody kept it" in tell("backup", tmp_path / "vault", "--data", hub_data)


@pytest.mark.parametrize("point", ["backup.snapshot_taken", "blobs.after_file_sync", "backup.before_manifest"])
def test_one_that_is_cut_short_leaves_the_former_and_is_taken_away_by_the_next(
    hub_data: Path, vault: Path, tmp_path: Path, point: str
) -> None:
    with_cellar(hub_data, lambda cellar: shelve(cellar, "four.whl"))

    code, report = run("backup", vault, "--data", hub_data, CREAMERY_FAULTS=f"{point}=EIO")
    faults.disarm()

    assert code == 2
    assert "the former ones are as they were" in report["error"]
    assert len(complete(vault)) == 1
    assert len(list((vault / "backups").glob("*.unfinished"))) == 1
    assert run("restore", vault, "--data", tmp_path / "restored")[0] == 0
    assert run("backup", vault, "--data", hub_data)[0] == 0
    assert list((vault / "backups").glob("*.unfinished")) == []
    assert list((vault / "incoming").iterdir()) == []


def test_a_full_disk_ends_with_2_and_the_remedy(hub_data: Path, tmp_path: Path) -> None:
    code, report = run("backup", tmp_path / "vault", "--data", hub_data, CREAMERY_FAULTS="blobs.before_link=ENOSPC")
    faults.disarm()

    assert code == 2
    assert "free some space" in report["error"]


@pytest.mark.parametrize("what", ["photos", "another hub"])
def test_a_directory_that_holds_something_else_stays_as_it_is(hub_data: Path, tmp_path: Path, what: str) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()
    (vault / ("photo.jpg" if what == "photos" else "vault.json")).write_text('{"instance": "another", "format": 1}')
    before = sorted(path.name for path in vault.iterdir())

    code, report = run("backup", vault, "--data", hub_data)

    assert code == 10
    assert "name a" in report["error"]
    assert sorted(path.name for path in vault.iterdir()) == before


def test_a_first_one_that_was_killed_at_once_stands_in_nobodys_way(hub_data: Path, tmp_path: Path) -> None:
    (tmp_path / "vault" / "backups").mkdir(parents=True)
    (tmp_path / "vault" / "lock").touch()

    assert run("backup", tmp_path / "vault", "--data", hub_data)[0] == 0


def test_two_at_once_do_not_write_into_one_directory(hub_data: Path, vault: Path) -> None:
    with (vault / "lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, report = run("backup", vault, "--data", hub_data)

    assert code == 11
    assert "another process" in report["error"]


def test_what_is_no_hub_ends_with_10(tmp_path: Path) -> None:
    (tmp_path / "nowhere").mkdir()

    assert run("backup", tmp_path / "vault", "--data", tmp_path / "nowhere")[0] == 10
    assert not (tmp_path / "vault").exists()


def test_a_former_backup_that_cannot_be_read_keeps_every_blob(hub_data: Path, vault: Path) -> None:
    [first] = complete(vault)
    (vault / "backups" / first / "blobs.jsonl.gz").write_bytes(b"?")
    with_cellar(hub_data, lambda cellar: cellar.committer.write(cellar_forgets))

    code, report = run("backup", vault, "--data", hub_data, "--keep", 5)

    assert code == 2
    assert "the backup is made" in report["error"]
    assert stored(vault) == digests(*NAMES)
    assert len(complete(vault)) == 2


def test_one_that_is_cut_short_holds_up_no_sweep(hub_data: Path, tmp_path: Path) -> None:
    run("backup", tmp_path / "vault", "--data", hub_data, CREAMERY_FAULTS="backup.before_manifest=EIO")
    faults.disarm()

    database = Database(f"sqlite:///{hub_data}/creamery.sqlite3", Limits())
    assert database.read(lambda connection: connection.execute(select(blob_pause)).all()) == []
    database.close()


def test_one_whose_pause_ended_too_early_is_none(hub_data: Path, tmp_path: Path) -> None:
    def take_the_pause_away() -> None:
        with contextlib.closing(sqlite3.connect(hub_data / "creamery.sqlite3", isolation_level=None)) as connection:
            until = time.monotonic() + 10
            while connection.execute("SELECT holder FROM blob_pause").fetchone() is None and time.monotonic() < until:
                time.sleep(0.01)
            connection.execute("DELETE FROM blob_pause")

    thief = threading.Thread(target=take_the_pause_away)
    thief.start()
    faults_armed = {"CREAMERY_FAULTS": "backup.snapshot_taken=sleep:0.4", "CREAMERY_LIMITS_PAUSE_SECONDS": "0.4"}
    code, report = run("backup", tmp_path / "vault", "--data", hub_data, **faults_armed)
    thief.join()

    assert code == 2
    assert "begin anew" in report["error"]
    assert complete(tmp_path / "vault") == []
