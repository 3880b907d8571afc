"""`creamery hive import` and `export`: a folder into a tree and out of it again, whatever is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from creamery.accounts import By, add_user
from creamery.clock import SystemClock
from creamery.database import Committer, Database, Generations
from creamery.hive.checking import Kind, check
from creamery.limits import Limits
from creamery.telemetry import Telemetry
from tests.cli.conftest import run, tell

ROOT = Path(__file__).parents[2]
LARGE = os.urandom(300_000)
TIME = 1_600_000_000


@pytest.fixture
def hub(hub_data: Path) -> Path:
    """A hub whose user alice has no files yet."""
    database = Database(f"sqlite:///{hub_data}/creamery.sqlite3", Limits())
    committer = Committer(database, Generations(database), Limits(), SystemClock(), Telemetry())
    committer.start()
    committer.write(lambda connection: add_user(connection, "alice", None, By(SystemClock().now(), "test")))
    committer.close()
    database.close()
    return hub_data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What people have: odd names, empty folders, files of all sizes, times of long ago."""
    top = tmp_path / "folder"
    files = {
        "empty file": b"",
        "a/b/c/small.txt": b"small",
        "a/large.bin": LARGE,
        "a/the same.bin": LARGE,
        "a/%41 &amp; <b>#?.txt": b"odd",
        "e\u0301te\u0301.txt": b"decomposed",
        " ": b"a blank",
        "CON": b"not on Windows",
        "\U0001f41d" * 60: b"bees",
    }
    for name, data in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (TIME, TIME))
    (top / "an empty folder" / "in another").mkdir(parents=True)
    for path in (top / "a/b", top / "a", top / "an empty folder"):
        os.utime(path, (TIME + 5, TIME + 5))
    os.utime(top / " ", (0, 0))
    return top


def listing(top: Path) -> dict[str, tuple[bytes | None, int]]:
    """Names, contents and times."""
    return {
        str(path.relative_to(top)): (path.read_bytes() if path.is_file() else None, int(path.stat().st_mtime))
        for path in top.rglob("*")
    }


def bring(hub: Path, folder: Path, *more: object) -> tuple[int, dict[str, object]]:
    return run("hive", "import", folder, "--user", "alice", "--data", hub, *more)


def send_out(hub: Path, target: Path, *more: object) -> tuple[int, dict[str, object]]:
    return run("hive", "export", target, "--user", "alice", "--data", hub, *more)


def findings(hub: Path) -> list[object]:
    database = Database(f"sqlite:///{hub}/creamery.sqlite3", Limits())
    found: list[object] = list(database.read(lambda connection: list(check(connection))))
    database.close()
    return found


def test_what_is_imported_and_exported_is_what_was_there(hub: Path, folder: Path, tmp_path: Path) -> None:
    code, report = bring(hub, folder)
    assert (code, report["refused"], report["renamed"]) == (0, [], [])
    assert (report["files"], report["folders"]) == (9, 5)

    code, report = send_out(hub, tmp_path / "out")

    assert (code, report["lacks"], report["files"], report["folders"]) == (0, [], 9, 5)
    assert listing(tmp_path / "out") == listing(folder)
    assert findings(hub) == []
    assert run("fsck", "--read-data", "--data", hub)[0] == 0


def test_a_second_import_leaves_what_is_there_alone(hub: Path, folder: Path) -> None:
    bring(hub, folder)
    (folder / "a" / "b" / "c" / "small.txt").write_bytes(b"other")
    (folder / "new").write_bytes(b"new")

    code, report = bring(hub, folder)

    assert (code, report["files"], report["folders"], report["unchanged"]) == (0, 2, 0, 8)
    assert findings(hub) == []


def test_it_comes_into_the_folder_that_is_named_and_out_of_it(hub: Path, folder: Path, tmp_path: Path) -> None:
    bring(hub, folder, "--to", "/from/the disk")

    code, _ = send_out(hub, tmp_path / "out", "--from", "from/the disk/a")

    assert code == 0
    assert listing(tmp_path / "out") == listing(folder / "a")


def test_names_that_can_be_none_get_others_and_are_told(hub: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, name in enumerate([b"\xff.txt", b"a\x01b", "e\u0301".encode(), "\u00e9".encode(), b"a_b"]):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"%d" % number)

    code, report = bring(hub, folder)
    again = bring(hub, folder)[1]
    send_out(hub, tmp_path / "out")

    assert code == 0
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == sorted(
        ["_.txt", "a_b (2)", "e\u0301", "\u00e9 (2)", "a_b"]
    )
    assert len(report["renamed"]) == 3  # type: ignore[arg-type]
    assert (again["files"], again["unchanged"]) == (0, 5)
    assert "another's name by its form" in tell("hive", "import", folder, "--user", "alice", "--data", hub)


def test_no_link_is_followed(hub: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "file").symlink_to(tmp_path / "secret")
    (folder / "folder").symlink_to("/etc")
    os.mkfifo(folder / "pipe")

    code, report = bring(hub, folder)

    assert code == 1
    assert [each["path"] for each in report["refused"]] == ["file", "folder", "pipe"]  # type: ignore[attr-defined]
    assert report["files"] == 0


def test_what_is_in_the_way_is_told_and_keeps_nothing_else_out(hub: Path, folder: Path, tmp_path: Path) -> None:
    bring(hub, folder)
    shutil.rmtree(folder / "a")
    (folder / "a").write_bytes(b"a file now")
    (folder / " ").unlink()
    (folder / " ").mkdir()
    (folder / "new").write_bytes(b"new")

    code, report = bring(hub, folder)

    assert code == 1
    assert sorted(each["path"] for each in report["refused"]) == [" ", "a"]  # type: ignore[attr-defined]
    assert report["files"] == 1


def test_an_export_wants_an_empty_folder_and_follows_no_link_in_another(
    hub: Path, folder: Path, tmp_path: Path
) -> None:
    bring(hub, folder)
    target, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    target.mkdir()
    elsewhere.mkdir()
    (target / "a").symlink_to(elsewhere)
    (target / "CON").symlink_to(elsewhere / "file")

    refused, _ = send_out(hub, target)
    code, report = send_out(hub, target, "--force")

    assert refused == 2
    assert (code, [each["path"] for each in report["lacks"]]) == (1, ["a"])  # type: ignore[attr-defined]
    assert list(elsewhere.iterdir()) == []
    assert (target / "CON").read_bytes() == b"not on Windows"


def test_bytes_that_are_gone_are_told(hub: Path, folder: Path, tmp_path: Path) -> None:
    bring(hub, folder)
    for blob in (hub / "blobs").rglob("*"):
        if blob.is_file() and blob.stat().st_size == len(LARGE):
            blob.unlink()

    code, report = send_out(hub, tmp_path / "out")

    assert code == 1
    assert sorted(each["path"] for each in report["lacks"]) == ["a/large.bin", "a/the same.bin"]  # type: ignore[attr-defined]
    assert not list((tmp_path / "out").rglob(".creamery-export-*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--user", "nobody"), "no user"),
        (("--space", "99"), "no space 99"),
        ((), "say --space or --user"),
        (("--user", "alice", "--space", "1"), "not both"),
        (("--user", "alice", "--to", "a/../b"), "means a folder"),
    ],
)
def test_what_cannot_be_done_is_said(hub: Path, folder: Path, arguments: tuple[str, ...], said: str) -> None:
    code, report = run("hive", "import", folder, "--data", hub, *arguments)

    assert code == 2
    assert said in report["error"]


@pytest.mark.parametrize("point", ["database.before_commit@3", "database.after_commit@4", "segments.mid_write@1"])
def test_killed_in_the_middle_it_goes_on_when_it_is_run_again(hub: Path, tmp_path: Path, point: str) -> None:
    folder = tmp_path / "folder"
    for number in range(700):
        path = folder / f"{number % 7}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number * 20)
    command = [sys.executable, "-m", "creamery", "hive", "import", str(folder), "--user", "alice", "--data", str(hub)]
    environment = {**os.environ, "CREAMERY_FAULTS": f"{point}=kill"}

    killed = subprocess.run(command, env=environment, capture_output=True, cwd=ROOT, check=False)
    after_the_kill = [each for each in findings(hub) if each.kind != Kind.BYTES]  # type: ignore[attr-defined]
    code, report = bring(hub, folder)
    send_out(hub, tmp_path / "out")

    assert killed.returncode == -9, killed.stderr
    assert after_the_kill == []
    assert code == 0
    assert report["files"] + report["unchanged"] == 700  # type: ignore[operator]
    assert listing(tmp_path / "out") == listing(folder)
    assert findings(hub) == []
