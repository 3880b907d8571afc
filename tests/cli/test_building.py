"""`creamery install` with real uv, on machines of their own: what one has built, the others have without building."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema_rs
import pytest

from creamery.accounts import Scope
from tests.doubles.counted import counted_files, counted_sdist
from tests.doubles.distributions import Distribution
from tests.doubles.laptops import UV, Laptop, entries_of, packages_of
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of
from tests.doubles.upstream import Upstream

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "install-report.schema.json"
SCOPES = [Scope("wheels:push"), Scope("wheels:read"), Scope("index:read")]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Two projects that need building, and one with a wheel."""
    with Upstream() as started:
        started.add_file("alpha", "1.0", counted_sdist("alpha", requires=["beta"]))
        started.add_file("beta", "1.0", counted_sdist("beta", is_static=False))
        started.add("plain", "1.0")
        yield started


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    limits = {"wheel_lease_seconds": 3}
    with RunningHub(tmp_path / "data", index={"upstreams": [upstream.url]}, limits=limits) as started:
        yield started


@pytest.fixture
def laptop(hub: RunningHub, tmp_path: Path) -> Laptop:
    """It may share."""
    return Laptop(tmp_path / "one", hub, token_of(hub, "ann", SCOPES))


@pytest.fixture
def other(hub: RunningHub, tmp_path: Path) -> Laptop:
    """It may not."""
    return Laptop(tmp_path / "two", hub)


def pins(laptop: Laptop, *names: str) -> Path:
    """A requirements file with the hashes of sdists alone."""
    path = laptop.folder / "pins.txt"
    path.write_text("".join(f"{name}==1.0 --hash=sha256:{sdist_of(name).sha256}\n" for name in names))
    return path


def sdist_of(name: str) -> Distribution:
    return counted_sdist("alpha", requires=["beta"]) if name == "alpha" else counted_sdist(name, is_static=False)


def test_what_one_machine_builds_and_shares_no_other_builds(laptop: Laptop, other: Laptop, hub: RunningHub) -> None:
    one, said = laptop.install("-u", "alpha", "plain")
    two, told = other.install("alpha")
    three, _ = other.install("--no-binary", ":all:", "--no-cache", "alpha")

    assert sorted(laptop.built()) == ["alpha", "beta"]
    assert other.built() == []
    assert packages_of(one) == ["alpha", "beta", "plain"]
    assert packages_of(two) == packages_of(three) == ["alpha", "beta"]
    assert "3 packages: 1 from the index, 2 built here in" in said
    assert "2 of them shared" in said
    assert "2 packages: 2 built by others" in told
    (entry,) = entries_of(hub, "beta")
    assert entry["record"]["build"]["source"]["kind"] == "tree"
    assert entry["record"]["provenance"]["backend"] == "backend"
    assert hub.get(f"/w/v1/entries/{entry['key']}/log").text.startswith("building beta\nsettings []\n")
    assert laptop.left() == other.left() == []


def test_what_is_pinned_by_its_hash_is_not_built_again(laptop: Laptop, other: Laptop) -> None:
    laptop.install("-u", "--no-binary", ":all:", "alpha")

    environment, told = other.install("--require-hashes", "-r", pins(other, "alpha", "beta"))

    assert other.built() == []
    assert packages_of(environment) == ["alpha", "beta"]
    assert "2 packages: 2 built by others" in told


def test_a_locked_project_syncs_without_building(laptop: Laptop, other: Laptop, hub: RunningHub) -> None:
    laptop.install("-u", "--no-binary", ":all:", "alpha")
    project = other.folder / "home" / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "trial"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["alpha"]\n'
    )
    run = ("run", "--", UV, "--directory", project)
    locked = other.call(*run, "lock", UV_PYTHON=sys.executable)
    before = (project / "uv.lock").read_text()
    synced = other.call(*run, "sync", "--locked", "--no-binary-package", "alpha", UV_PYTHON=sys.executable)

    assert (locked.returncode, synced.returncode) == (0, 0), locked.stderr + synced.stderr
    assert other.built() == []
    assert (project / "uv.lock").read_text() == before
    assert ".whl" not in before
    assert packages_of(project / ".venv") == ["alpha", "beta"]
    assert synced.stderr.rstrip().splitlines()[-1].startswith("2 built by others")


def test_a_lock_of_another_index_holds_and_stays(laptop: Laptop, other: Laptop, upstream: Upstream) -> None:
    """uv had not been told of that index below `creamery run`, and so refused its locks, or wrote them anew."""
    laptop.install("-u", "--no-binary", ":all:", "alpha")
    project = other.folder / "home" / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "trial"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["alpha"]\n'
    )
    at = other.variables(UV_DEFAULT_INDEX=upstream.url, UV_PYTHON=sys.executable)
    subprocess.run([UV, "lock", "--directory", project], env=at, check=True, capture_output=True)
    before = (project / "uv.lock").read_text()
    other.builds.unlink(missing_ok=True)  # uv has asked for metadata

    locked = other.call("run", "--", UV, "--directory", project, "sync", "--locked", UV_PYTHON=sys.executable)
    more = ("sync", "--reinstall")
    synced = other.call("run", "--", UV, f"--directory={project}", *more, UV_PYTHON=sys.executable)

    assert (locked.returncode, synced.returncode) == (0, 0), locked.stderr + synced.stderr
    assert (project / "uv.lock").read_text() == before
    assert packages_of(project / ".venv") == ["alpha", "beta"]
    assert other.built() == []
    assert other.left() == []


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_a_git_requirement_is_built_once_and_another_commit_again(
    laptop: Laptop, other: Laptop, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    for name, content in counted_files("gamma", "1.0").items():
        (repository / name).write_bytes(content)
    git(repository, "init", "-q")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "first")
    address = f"gamma @ git+file://{repository}"

    laptop.install("-u", address)
    _, told = other.install(address)
    git(repository, "commit", "-qm", "second", "--allow-empty")
    other.install("--no-cache", address)

    assert laptop.built() == ["gamma"]
    assert "1 package: 1 built by others" in told
    assert other.built() == ["gamma"]


def test_a_lock_is_enriched_with_what_was_built_of_just_that_sdist(
    laptop: Laptop, other: Laptop, hub: RunningHub
) -> None:
    lock, asked = other.folder / "pylock.toml", other.folder / "asked.in"
    asked.write_text("alpha\n")
    compile_it = (
        UV,
        "pip",
        "compile",
        "--default-index",
        f"{hub.base}/i/",
        "--format",
        "pylock.toml",
        "-o",
        lock,
        asked,
    )
    subprocess.run(compile_it, env=other.variables(), check=True, capture_output=True)
    laptop.install("-u", "alpha")
    hub.wait_until(lambda: all(each["listing"]["state"] == "listed" for each in entries_of(hub, "alpha")))

    said = other.call("lock", "--enrich", lock, "--json")
    other.builds.unlink(missing_ok=True)
    environment = other.environment()
    sync = (UV, "pip", "sync", "--preview", "--no-cache", "--python", environment / "bin" / "python", lock)
    subprocess.run(sync, env=other.variables(), check=True, capture_output=True)

    assert [each["project"] for each in json.loads(said.stdout)["added"]] == ["alpha", "beta"]
    assert packages_of(environment) == ["alpha", "beta"]
    assert other.built() == []
    (entry,) = entries_of(hub, "alpha")
    assert entry["record"]["provenance"]["sdist"] == sdist_of("alpha").sha256


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, env={"PATH": os.environ["PATH"], "HOME": str(folder)})


def test_nothing_is_shared_unless_it_is_said_and_a_folder_of_ones_own_never(
    laptop: Laptop, hub: RunningHub, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for name, content in counted_files("delta", "1.0").items():
        (own / name).write_bytes(content)

    _, said = laptop.install("alpha")
    laptop.install("-u", own)

    assert entries_of(hub, "alpha") == entries_of(hub, "delta") == []
    assert "2 built here" in said
    assert "of them shared" not in said
    assert sorted(laptop.built()) == ["alpha", "beta", "delta"]


def test_settings_and_compiler_flags_are_another_build(laptop: Laptop, other: Laptop, hub: RunningHub) -> None:
    laptop.install("-u", "beta")
    for changed in ({"words": ("-C", "level=2")}, {"CFLAGS": "-O3"}):
        words = changed.pop("words", ())
        environment, _ = other.install("--no-cache", "--no-binary", ":all:", *words, "beta", **changed)
        assert packages_of(environment) == ["beta"]
    assert other.built() == ["beta", "beta"]
    other.install("--no-cache", "--no-binary", ":all:", "beta", CFLAGS="-g -ffile-prefix-map=/a=/b")
    assert other.built() == ["beta", "beta"]

    laptop.install("-u", "--no-cache", "--no-binary", ":all:", "beta", CFLAGS="-O3")
    _, told = other.install("--no-cache", "--no-binary", ":all:", "beta", CFLAGS="-O3")

    assert "1 built by others" in told
    states = {tuple(entry["record"]["build"]["environment"]): entry["listing"] for entry in entries_of(hub, "beta")}
    assert set(states) == {(), ("CFLAGS",)}


def test_what_takes_parts_of_an_earlier_build_is_not_shared(laptop: Laptop, other: Laptop, hub: RunningHub) -> None:
    """setuptools takes objects that it finds: a wheel was shared by the key of settings that it was not built with."""
    laptop.install("--no-binary", ":all:", "beta", BUILD_DOES="leave")
    report = laptop.folder / "report.json"

    laptop.install("-u", "--no-binary", ":all:", "-C", "level=2", "--report", report, "beta")
    _, told = other.install("--no-binary", ":all:", "-C", "level=2", "beta")

    assert entries_of(hub, "beta") == []
    assert "1 built here" in told
    (build,) = json.loads(report.read_text())["builds"]
    assert not build["shared"]
    assert build["not_shared"].startswith("An earlier build has left parts in its source")


def test_a_build_that_fails_shows_its_log_and_is_remembered(laptop: Laptop, other: Laptop, hub: RunningHub) -> None:
    python = laptop.environment() / "bin" / "python"
    failed = laptop.call("install", "-u", "--python", python, "beta", BUILD_DOES="fail")
    environment, told = other.install("beta")

    assert failed.returncode == 1
    assert "the compiler has words" in failed.stderr
    assert packages_of(environment) == ["beta"]
    assert "beta 1.0 could not be built elsewhere lately: RuntimeError: it cannot be built" in told
    assert entries_of(hub, "beta") == []
    (failure,) = hub.get("/api/v1/wheels/projects/beta/1.0").json()["failures"]
    assert "the compiler has words" in hub.get(f"/w/v1/failures/{failure['key']}/log").text
    laptop.install("-u", "beta")
    assert hub.get("/api/v1/wheels/projects/beta/1.0").json()["failures"] == []


def test_eight_machines_at_once_build_once(hub: RunningHub, tmp_path: Path) -> None:
    laptops = [Laptop(tmp_path / f"m{number}", hub, token_of(hub, f"u{number}", SCOPES)) for number in range(8)]

    with ThreadPoolExecutor(8) as pool:
        ended = list(
            pool.map(lambda each: each.install("-u", "--no-binary", ":all:", "beta", BUILD_DOES="wait:1"), laptops)
        )

    assert [name for laptop in laptops for name in laptop.built()] == ["beta"]
    assert all(packages_of(environment) == ["beta"] for environment, _ in ended)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_builder_that_is_stopped_leaves_its_turn_to_the_next(
    number: int, laptop: Laptop, hub: RunningHub, tmp_path: Path
) -> None:
    next_one = Laptop(tmp_path / "next", hub, token_of(hub, "ben", SCOPES))
    environment = laptop.environment()
    words = ("install", "-u", "--python", environment / "bin" / "python", "beta")
    with laptop.start(*words, BUILD_DOES="wait:30") as started:
        laptop.wait_until(lambda: laptop.built() == ["beta"])
        os.killpg(started.pid, number)
        started.communicate(timeout=20)

    began = time.monotonic()
    next_one.install("-u", "beta")

    assert packages_of(environment) == []
    assert next_one.built() == ["beta"]
    if number != signal.SIGKILL:
        assert laptop.left() == []
        assert time.monotonic() - began < 3  # the lease was given back: nobody has waited for its end


@pytest.mark.parametrize("words", [("install", "--no-cache", "beta"), ("run", "--", UV, "run", "--with", "beta", "x")])
def test_an_interrupt_of_creamery_alone_stops_what_it_runs(words: tuple[str, ...], laptop: Laptop) -> None:
    """Of a CI system or an editor, where no terminal sends it to all: it was taken for Ctrl-C, and ignored."""
    python = laptop.environment() / "bin" / "python"
    with laptop.start(*words, BUILD_DOES="wait:10", UV_PYTHON=str(python)) as started:
        laptop.wait_until(lambda: laptop.built() == ["beta"])
        began = time.monotonic()
        started.send_signal(signal.SIGINT)
        _, said = started.communicate(timeout=20)

    assert started.returncode == 130
    assert time.monotonic() - began < 5
    assert "Traceback" not in said
    assert laptop.left() == []


def test_a_backend_that_is_killed_fails_the_build_and_is_no_failure_of_its_own(laptop: Laptop, hub: RunningHub) -> None:
    python = laptop.environment() / "bin" / "python"

    failed = laptop.call("install", "-u", "--python", python, "beta", BUILD_DOES="die")

    assert failed.returncode == 1
    _, said = laptop.install("-u", "beta")
    assert "lately" not in said


def test_two_that_build_the_same_below_one_command_both_do(laptop: Laptop, hub: RunningHub, tmp_path: Path) -> None:
    environments = [laptop.environment() for _ in range(2)]
    each = [
        f"UV_CACHE_DIR={tmp_path / f'cache-{number}'} uv pip install --python {environment / 'bin' / 'python'} beta"
        for number, environment in enumerate(environments)
    ]

    ended = laptop.call("run", "-u", "--", "sh", "-c", " & ".join([*each, "wait"]), BUILD_DOES="wait:1")

    assert [packages_of(environment) for environment in environments] == [["beta"], ["beta"]]
    assert len(entries_of(hub, "beta")) == 1
    assert "Warning" not in ended.stderr


def test_a_build_sees_no_credential(laptop: Laptop, tmp_path: Path) -> None:
    shown = tmp_path / "shown.txt"
    token = laptop.variables()["CREAMERY_TOKEN"]

    _, said = laptop.install("-u", "beta", BUILD_DOES="show", SHOWN=str(shown))

    environment = dict(eval(shown.read_text()))
    assert environment["BUILDS"]
    assert token not in shown.read_text()
    assert not {"CREAMERY_TOKEN", "CREAMERY_HUB", "CREAMERY_BUILDING"} & set(environment)
    assert environment["SOURCE_DATE_EPOCH"] == "315532800"
    assert token not in said


def test_shared_builds_are_the_same_bytes_on_each_machine(laptop: Laptop, hub: RunningHub, tmp_path: Path) -> None:
    digests = set()
    for number in range(2):
        scopes = [Scope(f"wheels:push:ring{number}"), Scope("wheels:read"), Scope("index:read")]
        each = Laptop(tmp_path / f"m{number}", hub, token_of(hub, f"u{number}", scopes))
        each.install("-u", "beta")
        assert each.built() == ["beta"]
        own = hub.client.get(f"{hub.base}/w/v1/projects/beta", auth=("__token__", each.variables()["CREAMERY_TOKEN"]))
        digests |= {(entry["key"], entry["sha256"]) for entry in own.json()["wheels"]}

    assert len(digests) == 1


def test_whoever_must_have_the_cache_builds_nothing(laptop: Laptop, other: Laptop) -> None:
    python = other.environment() / "bin" / "python"
    refused = other.call("install", "--require-cache", "--python", python, "beta")
    laptop.install("-u", "beta")
    other.install("--require-cache", "beta")

    assert refused.returncode == 1
    assert "No cache has a wheel of beta 1.0 for this machine, and --require-cache builds none." in refused.stderr
    assert other.built() == []


def test_who_may_not_share_is_told_so_once_and_installs(hub: RunningHub, tmp_path: Path) -> None:
    reader = Laptop(tmp_path / "reader", hub, token_of(hub, "rea", [Scope("wheels:read"), Scope("index:read")]))

    environment, said = reader.install("-u", "alpha")

    assert packages_of(environment) == ["alpha", "beta"]
    assert 1 <= said.count("Warning:") <= 2, said
    assert entries_of(hub, "alpha") == []


def test_the_report_says_where_everything_came_from(laptop: Laptop, other: Laptop, hub: RunningHub) -> None:
    laptop.install("-u", "beta")
    path = other.folder / "report.json"
    python = other.environment() / "bin" / "python"

    dry = other.call("install", "--json", "--dry-run", "--python", python, "alpha", "plain")
    done = other.call("install", "--json", "-q", "--report", path, "--python", python, "alpha", "plain")

    report = json.loads(done.stdout)
    assert done.stderr == ""
    assert json.loads(path.read_text()) == report
    assert {each["name"]: each["from"] for each in report["packages"]} == {
        "alpha": "built here",
        "beta": "built wheel",
        "plain": "index",
    }
    assert [each["name"] for each in json.loads(dry.stdout)["packages"]] == ["alpha", "beta", "plain"]
    for told in (report, json.loads(dry.stdout)):
        jsonschema_rs.validate(json.loads(SCHEMA.read_text()), told)
    _, said = other.install("-v", "beta", "plain", RUST_LOG="off")
    assert "beta 1.0: built wheel" in said
    assert "plain 1.0: index" in said
    assert report["hub"] == hub.base
    assert report["saved_seconds"] > 0
    assert (dry.returncode, done.returncode) == (0, 0)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_the_report_takes_nothing_of_ones_own_for_a_wheel_of_somebody_else(
    laptop: Laptop, other: Laptop, tmp_path: Path
) -> None:
    """A name with an underscore was one of others' builds to it, and so was a folder of a version that they have."""
    own, repository = tmp_path / "own", tmp_path / "repository"
    for folder, project in ((own, "beta"), (repository, "two_words")):
        folder.mkdir()
        for name, content in counted_files(project, "1.0").items():  # which says its name only when it is built
            (folder / name.replace("PKG-", "")).write_bytes(content.replace(b"PKG-INFO", b"INFO"))
    git(repository, "init", "-q")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "first")
    laptop.install("-u", "beta")
    path = other.folder / "report.json"

    _, said = other.install("--report", path, own, f"git+file://{repository}")
    dry = other.call("install", "--python", other.environment() / "bin" / "python", "--dry-run", "beta")

    report = json.loads(path.read_text())
    assert {each["name"]: each["from"] for each in report["packages"]} == {
        "beta": "elsewhere",
        "two-words": "built here",
    }
    assert "2 packages: 1 from elsewhere, 1 built here in" in said
    assert "saved" not in said
    assert dry.stderr.endswith("1 package: 1 built by others.\n")


def test_another_sitecustomize_runs_as_well(laptop: Laptop, other: Laptop, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("import builtins\nbuiltins.THEIRS = 1\n")

    ended = other.call("run", "--", sys.executable, "-c", "print(THEIRS)", PYTHONPATH=str(theirs))
    laptop.install("-u", "beta")
    other.install("beta", PYTHONPATH=str(theirs))

    assert ended.stdout == "1\n"
    assert other.built() == []


def test_what_cannot_be_resolved_ends_as_uv_ends(laptop: Laptop) -> None:
    python = laptop.environment() / "bin" / "python"

    ended = laptop.call("install", "-u", "--python", python, "no-such-thing")
    wrong = laptop.call("install", "--no-such-option", "x")

    assert ended.returncode == 1
    assert "no-such-thing" in ended.stderr
    assert wrong.returncode == 2
    with contextlib.suppress(FileNotFoundError):
        assert laptop.left() == []
