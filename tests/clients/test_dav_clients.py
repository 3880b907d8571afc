"""Real WebDAV clients at a real hub: litmus counts every test of its own, for what it leaves out it does not tell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.accounts import Passwords, add_user
from creamery.limits import Limits
from tests.doubles.dav import Dav
from tests.doubles.running import RunningHub
from tests.doubles.uploading import BY

pytestmark = pytest.mark.installed

PASSWORD = "down-the-rabbit-hole"
SUITES = {"basic": 16, "copymove": 13, "props": 30, "locks": 41, "http": 4}
TREE = {
    "a.txt": b"one",
    "empty": b"",
    "big.bin": bytes(range(256)) * 1_200,
    "f\u00f6lder/b c&d.txt": b"two",
    "f\u00f6lder/deep/er/\u65e5\u672c.txt": b"three",
    "100%/+plus.txt": b"four",
}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    """With a user who has a password."""
    with RunningHub(tmp_path / "hub", index={"upstreams": []}) as started:
        hashed = Passwords(Limits()).hash(PASSWORD)
        started.built.hub.committer.write(lambda connection: add_user(connection, "alice", hashed, BY))
        yield started


@pytest.fixture
def alice(hub: RunningHub) -> Dav:
    """The same user, with a token."""
    return Dav(hub)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A folder with names of all kinds."""
    for name, content in TREE.items():
        path = tmp_path / "there" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "there"


def run(*words: str, home: Path, typed: str = "") -> str:
    """What a program says.

    Raises:
        AssertionError: it failed.
    """
    program = shutil.which(words[0])
    assert program is not None, f"{words[0]} is not here; .ci/run installs it"
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    ended = subprocess.run(
        [program, *words[1:]],
        check=False,
        env=environment,
        cwd=home,
        input=typed,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_litmus_runs_all_of_its_tests_and_all_pass(hub: RunningHub, tmp_path: Path) -> None:
    said = run("litmus", "-k", f"{hub.base}/dav/files/alice/", "alice", PASSWORD, home=tmp_path)

    found = re.findall(r"summary for `(\w+)': of (\d+) tests run: (\d+) passed, 0 failed", said)
    assert {name: (int(ran), int(passed)) for name, ran, passed in found} == {
        name: (count, count) for name, count in SUITES.items()
    }, said


def rclone(hub: RunningHub, home: Path, vendor: str, *words: str) -> str:
    """rclone with a remote called `hub`."""
    config = home / "rclone.conf"
    hidden = run("rclone", "obscure", PASSWORD, home=home).strip()
    config.write_text(
        f"[hub]\ntype = webdav\nurl = {hub.base}/dav/files/alice\nvendor = {vendor}\nuser = alice\npass = {hidden}\n",
        encoding="utf-8",
    )
    return run("rclone", "--config", str(config), *words, home=home)


def test_rclone_brings_a_tree_there_and_back(hub: RunningHub, there: Path, tmp_path: Path) -> None:
    rclone(hub, tmp_path, "other", "sync", str(there), "hub:backup")
    rclone(hub, tmp_path, "other", "check", "--download", str(there), "hub:backup")
    (there / "a.txt").unlink()
    rclone(hub, tmp_path, "other", "sync", str(there), "hub:backup")
    rclone(hub, tmp_path, "other", "moveto", "hub:backup/f\u00f6lder", "hub:backup/moved")
    rclone(hub, tmp_path, "other", "copy", "hub:backup", str(tmp_path / "back"))

    back = {str(path.relative_to(tmp_path / "back")): path.read_bytes() for path in (tmp_path / "back").rglob("*.*")}
    expected = {name.replace("f\u00f6lder", "moved"): content for name, content in TREE.items() if "." in name}
    assert back == {name: content for name, content in expected.items() if name != "a.txt"}


def test_cadaver_does_all_that_it_knows(hub: RunningHub, alice: Dav, tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("one", encoding="utf-8")
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login alice password {PASSWORD}\n", encoding="utf-8")
    (tmp_path / ".netrc").chmod(0o600)

    said = run(
        "cadaver",
        f"{hub.base}/dav/files/alice/",
        home=tmp_path,
        typed=(
            "mkcol d\nput here.txt\nlock here.txt\npropset here.txt colour red\npropget here.txt colour\n"
            "unlock here.txt\ncopy here.txt d/copy.txt\nmove here.txt moved.txt\nls d\nget d/copy.txt back.txt\n"
            "delete moved.txt\nquit\n"
        ),
    )

    assert "failed" not in said, said
    assert "red" in said
    assert (tmp_path / "back.txt").read_text(encoding="utf-8") == "one", said
    assert alice.names() == ["d"]


def test_curl_uploads_downloads_and_goes_on_where_it_stopped(hub: RunningHub, there: Path, tmp_path: Path) -> None:
    address = f"{hub.base}/dav/files/alice/big.bin"
    known = f"alice:{PASSWORD}"
    run("curl", "-sS", "--fail", "-u", known, "-T", str(there / "big.bin"), address, home=tmp_path)
    (tmp_path / "part").write_bytes(TREE["big.bin"][:1_000])

    run("curl", "-sS", "--fail", "-u", known, "-C", "-", "-o", str(tmp_path / "part"), address, home=tmp_path)

    assert (tmp_path / "part").read_bytes() == TREE["big.bin"]
