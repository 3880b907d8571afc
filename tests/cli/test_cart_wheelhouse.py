"""`creamery cart wheelhouse|archives|ls`, on a running hub over an upstream; a lock file says what uv would."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from creamery.cli import main
from tests.doubles.carting import carting_hub
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream

Run = Callable[..., Result]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        yield started


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    with carting_hub(tmp_path / "data", index={"upstreams": [upstream.url]}) as hub:
        yield hub


@pytest.fixture
def run(hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CREAMERY_HUB", hub.base)
    return lambda *arguments: CliRunner().invoke(main, ["cart", *arguments])


def lock(wheels: dict[str, list[tuple[str, str]]], marker: str = "python_version >= '3'") -> str:
    """A lock file of projects at version 1.0; of each wheel the file's name and hash."""
    lines = ['lock-version = "1.0"', 'created-by = "a test"']
    for name, files in wheels.items():
        listed = ", ".join(
            f'{{url = "https://elsewhere.example/{file}", hashes = {{sha256 = "{digest}"}}}}' for file, digest in files
        )
        lines += ["[[packages]]", f'name = "{name}"', 'version = "1.0"', f'marker = "{marker}"', f"wheels = [{listed}]"]
    return "\n".join(lines)


def test_a_cart_has_exactly_the_files_of_a_lock_file(
    upstream: Upstream, hub: RunningHub, run: Run, tmp_path: Path
) -> None:
    pure = upstream.add("demo", "1.0")
    ours, theirs = (
        upstream.add("dep", "1.0", tag=f"cp312-cp312-{for_}") for for_ in ("manylinux_2_17_x86_64", "win32")
    )
    wheels = {"demo": [pure], "dep": [theirs, ours]}
    text = lock({name: [(file.filename, file.sha256) for file in files] for name, files in wheels.items()})
    (tmp_path / "pylock.toml").write_text(text)

    asked = run("wheelhouse", "-r", "pylock.toml", "--python", "3.12", "--platform", "linux")
    uid = asked.stdout.strip()
    got = run("get", uid, "-o", "wheelhouse.tar")

    assert (asked.exit_code, got.exit_code) == (0, 0), asked.output + got.output
    assert f"creamery cart get {uid} -o wheelhouse.tar" in asked.stderr
    assert "pip install --no-index --find-links wheelhouse wheelhouse/*" in asked.stderr
    with tarfile.open(tmp_path / "wheelhouse.tar") as tar:
        assert sorted(tar.getnames()) == sorted(f"wheelhouse/{file.filename}" for file in (pure, ours))


def test_of_what_is_cached_it_is_ready_at_once(upstream: Upstream, hub: RunningHub, run: Run, tmp_path: Path) -> None:
    made = upstream.add("demo", "1.0")
    hub.download("demo", made.filename)
    (tmp_path / "pylock.toml").write_text(lock({"demo": [(made.filename, made.sha256)]}))
    upstream.stop()

    asked = run("wheelhouse", "-r", "pylock.toml", "--uid", "my wheels", "--bundle", "--json")

    assert json.loads(asked.stdout) == {"uid": "my wheels"}
    found = hub.get("/carts/my%20wheels/status").json()
    assert (found["state"], found["bundle"]) == ("ready", True)


def test_other_bytes_than_the_lock_file_says_are_refused(upstream: Upstream, run: Run, tmp_path: Path) -> None:
    made = upstream.add("demo", "1.0")
    (tmp_path / "pylock.toml").write_text(lock({"demo": [(made.filename, "0" * 64)]}))

    asked = run("wheelhouse", "-r", "pylock.toml", "--wait")

    assert asked.exit_code == 1
    assert f"{made.filename}: File hash does not match" in asked.output


@pytest.mark.parametrize("is_named", [True, False])
def test_nothing_to_install_is_no_cart(hub: RunningHub, run: Run, tmp_path: Path, *, is_named: bool) -> None:
    wheels = {"demo": [("demo-1.0-py3-none-any.whl", "0" * 64)]}
    (tmp_path / "pylock.toml").write_text(lock(wheels, marker="python_version < '3'"))

    asked = run("wheelhouse", *(("-r", "pylock.toml") if is_named else ()))

    assert asked.exit_code == 2
    assert ("nothing is to be installed" if is_named else "name what is to be there") in asked.output
    assert hub.get("/carts").json() == {"carts": []}


def test_archives_and_what_they_have_are_listed(upstream: Upstream, hub: RunningHub, run: Run) -> None:
    made = upstream.add("demo", "1.0", upload_time="2024-05-06T07:08:09Z")
    hub.page("demo")

    archives, projects, files = run("archives"), run("ls", "index"), run("ls", "index", "demo/")
    told = json.loads(run("ls", "index", "demo", "--json").stdout)
    unknown = run("ls", "index", "nothing")

    assert archives.stdout.split() == ["name", "lists", "index", "yes"]
    assert projects.stdout.split() == ["item", "size", "time", "demo/"]
    assert files.stdout.split()[3:] == [f"demo/{made.filename}", str(len(made.content)), "2024-05-06", "07:08"]
    assert [each["item"] for each in told] == [f"demo/{made.filename}"]
    assert (unknown.exit_code, "knows no such project" in unknown.output) == (1, True)
