"""What others start that installs: tox, nox, poetry and pip through `creamery run`; other uvs, other Pythons."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.accounts import Scope
from tests.clients.conftest import hub_over
from tests.clients.prepare import prepared
from tests.doubles.counted import counted_sdist
from tests.doubles.laptops import Laptop, packages_of
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed

BETA = counted_sdist("beta", is_static=False)
PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
TOX = """\
[tox]
env_list = t
no_package = true
[testenv]
runner = {runner}
deps = -r {pins}
commands = python -c "import beta"
"""
NOX = """\
import nox
nox.options.default_venv_backend = "{runner}"
@nox.session
def t(session):
    session.install({words})
    session.run("python", "-c", "import beta")
"""
POETRY = """\
[project]
name = "app"
version = "1"
requires-python = ">=3.11"
dependencies = ["beta==1.0"]
[tool.poetry]
package-mode = false
[[tool.poetry.source]]
name = "upstream"
url = "{url}"
"""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        started.add_file("beta", "1.0", BETA)
        yield started


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    with hub_over(upstream, tmp_path) as started:
        yield started


@pytest.fixture
def laptop(hub: RunningHub, tmp_path: Path) -> Laptop:
    """Its programs are tox's and nox's, too."""
    made = Laptop(tmp_path / "laptop", hub)
    programs, variables = prepared("tox"), made.variables

    def with_theirs(**more: str) -> dict[str, str]:
        found = variables(**more)
        return {**found, "PATH": f"{programs}{os.pathsep}{found['PATH']}"}

    made.variables = with_theirs  # type: ignore[method-assign]
    return made


@pytest.fixture
def full(hub: RunningHub, tmp_path: Path) -> RunningHub:
    """It has a wheel of what is asked for."""
    scopes = [Scope("wheels:push"), Scope("wheels:read"), Scope("index:read")]
    Laptop(tmp_path / "builder", hub, token_of(hub, "ann", scopes)).install("-u", "beta")
    return hub


def pins(folder: Path) -> Path:
    path = folder / "pins.txt"
    path.write_text(f"beta==1.0 --hash=sha256:{BETA.sha256}\n")
    return path


@pytest.mark.parametrize("runner", ["virtualenv", "uv-venv-runner"])
def test_tox_installs_what_was_built_and_with_uv_also_what_is_pinned(
    runner: str, full: RunningHub, laptop: Laptop
) -> None:
    project = laptop.folder / "home"
    wanted = pins(project)
    if runner == "virtualenv":  # pip lets no hook in: it has the plain index
        wanted.write_text("beta\n")
    (project / "tox.ini").write_text(TOX.format(runner=runner, pins=wanted))

    ended = laptop.call("run", "--", "tox", "-q")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert laptop.built() == []
    assert ("1 built by others" in ended.stderr) == (runner != "virtualenv")


@pytest.mark.parametrize(
    ("runner", "words"), [("virtualenv", '"beta"'), ("uv", '"--require-hashes", "-r", "pins.txt"')]
)
def test_nox_installs_what_was_built_and_with_uv_also_what_is_pinned(
    runner: str, words: str, full: RunningHub, laptop: Laptop
) -> None:
    project = laptop.folder / "home"
    pins(project)
    (project / "noxfile.py").write_text(NOX.format(runner=runner, words=words))

    ended = laptop.call("run", "--", "nox")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert laptop.built() == []


def test_poetry_builds_by_its_lock_what_nobody_has_built(hub: RunningHub, tmp_path: Path) -> None:
    scopes = [Scope("wheels:push"), Scope("wheels:read"), Scope("index:read")]
    laptops = [Laptop(tmp_path / f"m{number}", hub, token_of(hub, f"u{number}", scopes)) for number in range(2)]
    for laptop in laptops:
        project = laptop.folder / "home"
        (project / "pyproject.toml").write_text(POETRY.format(url=f"{hub.base}/i/"))

        ended = laptop.call(
            *("run", "-u", "--", prepared("poetry") / "poetry", "install", "-n"),
            POETRY_VIRTUALENVS_IN_PROJECT="1",
            PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring",
        )

        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "beta" in packages_of(project / ".venv")

    assert [laptop.built() for laptop in laptops] == [["beta"], []]


@pytest.mark.parametrize("name", ["uv", "uv-first"])
def test_uv_of_either_age_is_handed_what_was_built(name: str, full: RunningHub, laptop: Laptop) -> None:
    uv = prepared(name) / "uv"

    environment, said = laptop.install("--require-hashes", "-r", pins(laptop.folder), UV=str(uv))

    assert packages_of(environment) == ["beta"]
    assert laptop.built() == []
    assert "1 built by others" in said


@pytest.mark.parametrize("version", PYTHONS)
def test_each_python_builds_for_itself_once(version: str, hub: RunningHub, tmp_path: Path) -> None:
    python = found_python(version)
    scopes = [Scope("wheels:push"), Scope("wheels:read"), Scope("index:read")]
    laptops = [Laptop(tmp_path / f"m{number}", hub, token_of(hub, f"u{number}", scopes)) for number in range(2)]
    for laptop in laptops:
        target = laptop.folder / "target"
        ended = laptop.call("install", "-u", "--python", python, "--target", target, "--no-binary", ":all:", "beta")
        assert ended.returncode == 0, ended.stderr
        assert (target / "beta.py").is_file()

    assert [laptop.built() for laptop in laptops] == [["beta"], []]


def found_python(version: str) -> str:
    roots = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = next((str(each) for each in roots.glob(f"{version}.*/bin/python")), shutil.which(f"python{version}"))
    if found is None:
        pytest.skip(f"there is no Python {version} here")
    return found


def test_a_shell_that_is_told_of_the_hub_tells_pip(full: RunningHub, laptop: Laptop) -> None:
    environment = laptop.environment()
    subprocess.run([environment / "bin" / "python", "-m", "ensurepip"], check=True, capture_output=True)

    ended = laptop.call("run", "--", environment / "bin" / "python", "-m", "pip", "install", "-q", "beta")

    assert ended.returncode == 0, ended.stderr
    assert "beta" in packages_of(environment)
    assert laptop.built() == []
