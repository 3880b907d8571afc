"""`curd-server`, as a program: a folder full of wheels, with no other preparation."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from passlib.hash import apr_md5_crypt, bcrypt, des_crypt

from tests.doubles.distributions import sdist, wheel
from tests.doubles.pushing import curdling_form
from tests.doubles.served import ServedFolder
from tests.doubles.waiting import eventually

FIRST, SECOND, SOURCE = wheel("gherkin", "0.1.0"), wheel("gherkin", "0.2.0"), sdist("forbidden", "0.3")
LOCAL = ("-H", "127.0.0.1", "-p", "0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a folder of wheels in it, old enough to be whole."""
    wheels = tmp_path_factory.mktemp("curds") / "wheels"
    wheels.mkdir()
    for made in (FIRST, SOURCE):
        drop(wheels, made.filename, made.content)
    drop(wheels, "notes.txt", b"no wheel")
    drop(wheels, "broken-name.whl", b"no wheel either")
    return wheels


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServedFolder]:
    with ServedFolder(folder.parent, *LOCAL, folder) as served:
        yield served


def drop(wheels: Path, name: str, content: bytes) -> None:
    (wheels / name).write_bytes(content)
    os.utime(wheels / name, (1_600_000_000, 1_600_000_000))


def put(server: ServedFolder, name: str, content: bytes, **more: object) -> int:
    body, headers = curdling_form(name, content)
    return server.client.put(f"{server.base}/p/{name}", content=body, headers=headers, **more).status_code  # type: ignore[arg-type]


def refused(*options: str | Path, home: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "creamery.cli.curd_server", *map(str, options)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def test_it_serves_what_lies_in_the_folder(server: ServedFolder) -> None:
    told = server.get("/api/gherkin").json()

    assert server.get("/api/").json()[:2] == ["forbidden", "gherkin"]
    assert told[-1] == {
        "name": "gherkin",
        "version": "0.1.0",
        "urls": [{"url": f"{server.base}/p/{FIRST.filename}", "sha256": FIRST.sha256}],
    }
    assert server.get(f"/p/{FIRST.filename}").content == FIRST.content
    assert server.get("/s/forbidden;gz").content == SOURCE.content
    assert server.get("/s/forbidden;whl").status_code == 404
    assert server.get("/p/notes.txt").status_code == 404
    assert server.get("/api").headers["location"] == "api/"
    assert "gherkin" in server.get("/").text


def test_it_says_where_it_is_and_warns_that_anybody_pushes(server: ServedFolder, folder: Path) -> None:
    assert f"serves built wheels on {server.base}" in server.output
    assert f"wheels:   {folder}" in server.output
    assert "Warning: whoever reaches this address" in server.output
    assert not [path for path in folder.iterdir() if path.suffix not in {".whl", ".gz", ".txt"}]


def test_a_file_that_is_dropped_in_appears_within_two_seconds(server: ServedFolder, folder: Path) -> None:
    made = wheel("dropped", "1.0")
    (folder / made.filename).write_bytes(made.content)
    began = time.monotonic()

    eventually(lambda: server.get("/api/dropped").status_code == 200, 10)

    assert time.monotonic() - began < 2
    (folder / made.filename).unlink()
    eventually(lambda: server.get("/api/dropped").status_code == 404, 10)


def test_it_takes_wheels_into_the_folder(server: ServedFolder, folder: Path) -> None:
    assert put(server, SECOND.filename, SECOND.content) == 200
    assert put(server, SECOND.filename, SECOND.content) == 200
    assert put(server, SECOND.filename, wheel("gherkin", "0.2.0", size=9).content) == 409
    assert put(server, "gherkin-0.3.0-py3-none-any.whl", SECOND.content) == 400
    assert put(server, "..%2Fevil-1.0-py3-none-any.whl", SECOND.content) == 400

    assert (folder / SECOND.filename).read_bytes() == SECOND.content
    assert [each["version"] for each in server.get("/api/gherkin").json()] == ["0.2.0", "0.1.0"]
    assert not (folder.parent / "evil-1.0-py3-none-any.whl").exists()


def test_whoever_stands_in_the_password_file_comes_in(folder: Path, tmp_path: Path) -> None:
    kinds = {"crypt": des_crypt, "apache": apr_md5_crypt, "bcrypt": bcrypt.using(rounds=4)}
    lines = [f"{name}:{kind.hash('secret')}" for name, kind in kinds.items()]
    (tmp_path / "users").write_text("# a comment\n" + "\n".join(lines) + "\n")
    made = wheel("private", "1.0")
    with ServedFolder(tmp_path, *LOCAL, "-u", tmp_path / "users", folder) as server:
        assert "Warning" not in server.output
        assert server.get("/api/").status_code == 401
        assert "Basic" in server.get("/api/").headers["www-authenticate"]
        assert put(server, made.filename, made.content) == 401
        for name in kinds:
            assert server.client.get(f"{server.base}/api/", auth=(name, "secret")).status_code == 200
            assert server.client.get(f"{server.base}/api/", auth=(name, "wrong")).status_code in {401, 429}
        assert put(server, made.filename, made.content, auth=("apache", "secret")) == 200


def test_what_it_cannot_serve_it_says(tmp_path: Path, folder: Path) -> None:
    assert refused(tmp_path / "nowhere", home=tmp_path) == (1, f"curd-server: {tmp_path / 'nowhere'} is no folder\n")
    assert refused("-u", tmp_path / "none", folder, home=tmp_path)[1].endswith("there is no such file\n")
    assert "name another one with --data" in refused("--data", folder / "var", folder, home=tmp_path)[1]
    assert refused("-p", "x", folder, home=tmp_path)[0] == 2
    assert "DIRECTORY" in refused("-h", home=tmp_path)[1]
