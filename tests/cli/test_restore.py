"""`creamery restore`: a hub that is what it was, in another place; or a refusal that changes nothing."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, select, update

from creamery import faults
from creamery.accounts import add_user, open_session
from creamery.blobs import StoreMismatch
from creamery.blobs.tables import blob, store
from creamery.cli import main
from creamery.clock import SystemClock
from creamery.contract import digest_of
from creamery.database import Database, metadata
from creamery.index.tables import index_file
from creamery.jobs import enqueue
from creamery.jobs.tables import job
from creamery.journal import By
from creamery.limits import Limits
from tests.cli.conftest import run, tell, with_cellar
from tests.cli.test_backup import NAMES, digests, spoil, stored
from tests.cli.test_backup import everything_kept as everything_kept  # noqa: PLC0414 - a fixture


def ask(data: Path, question: Any) -> Any:
    database = Database(f"sqlite:///{data}/creamery.sqlite3", Limits())
    try:
        return database.read(lambda connection: connection.execute(question).all())
    finally:
        database.close()


def test_everything_is_there_again(vault: Path, hub_data: Path, tmp_path: Path) -> None:
    (hub_data / "secret").write_bytes(b"signs")
    run("backup", vault, "--data", hub_data)

    code, report = run("restore", vault, "--data", tmp_path / "new")

    assert code == 0
    assert report["blobs"] == 3
    assert report["findings"] == report["lacks"] == []
    assert stored(tmp_path / "new") == digests(*NAMES)
    assert ask(tmp_path / "new", select(index_file)) == ask(hub_data, select(index_file))
    assert run("fsck", "--read-data", "--data", tmp_path / "new")[0] == 0
    assert (tmp_path / "new" / "secret").read_bytes() == b"signs"
    assert (tmp_path / "new" / "secret").stat().st_mode & 0o077 == 0


def test_an_older_one_can_be_named(vault: Path, hub_data: Path, tmp_path: Path) -> None:
    first = next((vault / "backups").iterdir()).name
    (hub_data / "secret").write_bytes(b"came later")
    run("backup", vault, "--data", hub_data)

    code, report = run("restore", vault, "--data", tmp_path / "new", "--backup", first)

    assert (code, report["backup"]) == (0, first)
    assert not (tmp_path / "new" / "secret").exists()


def test_serials_are_counted_under_another_name_and_all_that_is_kept_in_memory_is_dropped(
    vault: Path, hub_data: Path, tmp_path: Path
) -> None:
    run("restore", vault, "--data", tmp_path / "new")

    [(before, instance)] = ask(hub_data, select(store.c.epoch, store.c.instance))
    [(after, restored)] = ask(tmp_path / "new", select(store.c.epoch, store.c.instance))
    assert after != before
    assert restored == instance
    assert with_cellar(tmp_path / "new", lambda cellar: cellar.blobs.epoch) == after
    [row] = ask(tmp_path / "new", select(metadata.tables["generation"]))
    [old] = ask(hub_data, select(metadata.tables["generation"]))
    assert all(new == was + 1 for new, was in zip(row[1:], old[1:], strict=True))


def test_jobs_that_ran_wait_again_and_the_backups_own_pause_is_over(hub_data: Path, tmp_path: Path) -> None:
    def leave_running(connection: Connection) -> None:
        enqueue(connection, "later", {}, now=SystemClock().now(), key="one")
        running = {"state": "running", "waiting_key": None, "attempts": 5, "lease_owner": "gone", "lease_until": 2**62}
        connection.execute(update(job).values(running))

    with_cellar(hub_data, lambda cellar: cellar.committer.write(leave_running))
    run("backup", tmp_path / "vault", "--data", hub_data)

    run("restore", tmp_path / "vault", "--data", tmp_path / "new")

    asked = select(job.c.state, job.c.waiting_key, job.c.attempts, job.c.lease_owner, job.c.lease_until)
    assert ask(tmp_path / "new", asked) == [("new", "one", 4, None, None)]
    assert ask(tmp_path / "new", select(metadata.tables["blob_pause"])) == []


def test_everybody_signs_in_again_for_nobody_knows_which_sessions_have_ended_since(
    hub_data: Path, tmp_path: Path
) -> None:
    def sign_in(connection: Connection) -> None:
        by = By(SystemClock().now())
        open_session(connection, add_user(connection, "eve", "hashed", by), by, Limits(), means="password")

    with_cellar(hub_data, lambda cellar: cellar.committer.write(sign_in))
    run("backup", tmp_path / "vault", "--data", hub_data)

    run("restore", tmp_path / "vault", "--data", tmp_path / "new")

    assert ask(tmp_path / "new", select(metadata.tables["account_user"].c.name)) == [("eve",)]
    assert ask(tmp_path / "new", select(metadata.tables["account_session"])) == []


def test_what_is_left_of_a_mark_that_was_cut_short_is_in_nobodys_way(vault: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "restoring.0123").write_bytes(b"{")

    code, _ = run("restore", vault, "--data", new)

    assert code == 0
    assert not list(new.glob("restoring*"))


def test_what_was_left_out_is_known_and_not_here(hub_data: Path, tmp_path: Path) -> None:
    run("backup", tmp_path / "vault", "--data", hub_data, "--without-cache")

    code, report = run("restore", tmp_path / "vault", "--data", tmp_path / "new")

    assert code == 0
    assert (report["left_out"], report["forgotten"], report["blobs"], report["lacks"]) == (3, 3, 0, [])
    assert ask(tmp_path / "new", select(index_file.c.digest)) == [(None,)] * 3


@pytest.mark.parametrize("data", [None, b"rotten!", b"short"])
def test_a_damaged_blob_of_a_backup_is_named_and_forgotten(vault: Path, tmp_path: Path, data: bytes | None) -> None:
    spoil(vault, "one.whl", data)

    code, report = run("restore", vault, "--data", tmp_path / "new")

    assert code == 0
    assert [lack["digest"] for lack in report["lacks"]] == [digest_of(b"one.whl")]
    assert report["forgotten"] == 1
    assert stored(tmp_path / "new") == digests("two.whl", "three.whl")
    assert run("fsck", "--data", tmp_path / "new")[0] == 0


@pytest.mark.usefixtures("everything_kept")
def test_a_kept_blob_that_is_lost_ends_with_1_and_stays_named(hub_data: Path, vault: Path, tmp_path: Path) -> None:
    run("backup", vault, "--data", hub_data)
    spoil(vault, "one.whl", None)

    code, report = run("restore", vault, "--data", tmp_path / "new")

    assert code == 1
    assert report["lacks"][0]["kept"] is True
    assert [(finding["kind"], finding["names"]) for finding in report["findings"]] == [
        ("missing blob", ["one.whl/one.whl"])
    ]


def test_right_bytes_of_an_earlier_backup_heal_what_was_found_wrong_since(
    vault: Path, hub_data: Path, tmp_path: Path
) -> None:
    with_cellar(hub_data, lambda cellar: cellar.blobs.quarantine_now(digest_of(b"one.whl"), "the test says so"))
    code, report = run("backup", vault, "--data", hub_data)

    run("restore", vault, "--data", tmp_path / "new")

    assert (code, report["lacks"]) == (0, [])
    assert {state for (state,) in ask(tmp_path / "new", select(blob.c.state))} == {"ok"}
    assert run("fsck", "--read-data", "--data", tmp_path / "new")[0] == 0


def test_a_directory_that_is_not_empty_stays_as_it_is(vault: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "photo.jpg").write_text("cheese")

    code, report = run("restore", vault, "--data", tmp_path / "new")

    assert code == 2
    assert "is not empty (photo.jpg)" in report["error"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["photo.jpg"]


def test_a_database_that_is_not_empty_stays_as_it_is(vault: Path, hub_data: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{hub_data}/creamery.sqlite3"

    code, report = run("restore", vault, "--data", tmp_path / "new", "--database-url", url)

    assert code == 2
    assert "is not empty: it holds rows" in report["error"]
    assert not (tmp_path / "new").exists()
    assert run("fsck", "--data", hub_data)[0] == 0


@pytest.mark.parametrize("point", ["blobs.after_link@2", "restore.copied", "restore.loaded"])
def test_one_that_is_cut_short_opens_for_nobody_and_goes_on_where_it_was(
    vault: Path, tmp_path: Path, point: str
) -> None:
    new = tmp_path / "new"
    code, report = run("restore", vault, "--data", new, CREAMERY_FAULTS=f"{point}=EIO")
    faults.disarm()
    assert code == 2
    assert "it is not restored" in report["error"]
    for command in (("user", "add", "mallory", "--no-password"), ("secret", "rotate"), ("token", "list")):
        refused = CliRunner().invoke(main, [*command, "--data", str(new)])
        assert (refused.exit_code, "half restored" in refused.output) == (1, True)
    if point == "restore.copied":
        serve = [sys.executable, "-m", "creamery", "serve", "--port", "0", "--data", str(new)]
        started = subprocess.run(serve, capture_output=True, text=True, timeout=60, check=False)
        assert (started.returncode, "half restored" in started.stderr) == (1, True)
        assert not (new / "creamery.sqlite3").exists()
    if (new / "creamery.sqlite3").exists():
        with pytest.raises(StoreMismatch, match="half restored"):
            with_cellar(new, lambda _: None)

    code, report = run("restore", vault, "--data", new)

    assert code == 0
    assert report["findings"] == report["lacks"] == []
    assert stored(new) == digests(*NAMES)
    assert not (new / "restoring").exists()
    assert with_cellar(new, lambda cellar: len(cellar.states())) == 3


def test_half_of_one_backup_is_not_mixed_with_another(vault: Path, hub_data: Path, tmp_path: Path) -> None:
    first = next((vault / "backups").iterdir()).name
    run("restore", vault, "--data", tmp_path / "new", CREAMERY_FAULTS="restore.copied=EIO")
    faults.disarm()
    run("backup", vault, "--data", hub_data)

    code, report = run("restore", vault, "--data", tmp_path / "new")

    assert code == 2
    assert f"half restored from backup {first}" in report["error"]
    assert run("restore", vault, "--data", tmp_path / "new", "--backup", first)[0] == 0


@pytest.mark.parametrize("path", ["tables/blob.jsonl.gz", "tables/index_file.jsonl.gz", "manifest.json"])
def test_damaged_rows_are_not_restored(vault: Path, tmp_path: Path, path: str) -> None:
    name = next((vault / "backups").iterdir()).name
    (vault / "backups" / name / path).write_bytes(b"?")

    code, report = run("restore", vault, "--data", tmp_path / "new")

    assert code == 2
    assert path.rpartition("/")[2] in report["error"]


def test_the_backup_of_a_newer_creamery_is_refused(vault: Path, tmp_path: Path) -> None:
    name = next((vault / "backups").iterdir()).name
    path = vault / "backups" / name / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": "9999", "creamery": "7.0"}))

    code, report = run("restore", vault, "--data", tmp_path / "new")

    assert code == 2
    assert "written by Creamery 7.0" in report["error"]
    assert not (tmp_path / "new").exists()


def test_a_name_that_is_not_there_is_answered_with_those_that_are(vault: Path, tmp_path: Path) -> None:
    name = next((vault / "backups").iterdir()).name

    code, report = run("restore", vault, "--data", tmp_path / "new", "--backup", "yesterday")

    assert code == 2
    assert name in report["error"]


def test_a_directory_without_backups_ends_with_10(tmp_path: Path) -> None:
    assert run("restore", tmp_path, "--data", tmp_path / "new")[0] == 10
    assert run("restore", tmp_path / "nowhere", "--data", tmp_path / "new")[0] == 10


def test_a_directory_that_a_hub_has_open_ends_with_11(vault: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()

    with (tmp_path / "new" / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        assert run("restore", vault, "--data", tmp_path / "new")[0] == 11


def test_people_are_told_what_to_do_next(vault: Path, tmp_path: Path) -> None:
    said = tell("restore", vault, "--data", tmp_path / "new")

    assert "3 blobs of 23 bytes" in said
    assert "creamery serve" in said
