"""The real PyPI, where the machine reaches it: popular packages come through the hub, and then without PyPI."""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path

import pytest

from creamery.settings import load_settings
from tests.clients.machine import Environment, Machine
from tests.clients.prepare import NAMES
from tests.clients.program import Program
from tests.clients.programs import Pip, Poetry, Uv, client_called, install
from tests.doubles.desk import Desk
from tests.doubles.running import RunningHub

pytestmark = pytest.mark.installed

POPULAR = (
    *(
        "attrs",
        "certifi",
        "charset-normalizer",
        "click",
        "filelock",
        "flask",
        "idna",
        "jinja2",
        "packaging",
        "platformdirs",
    ),
    *("pluggy", "python-dateutil", "pytz", "pyyaml", "requests", "rich", "six", "tqdm", "typing-extensions", "urllib3"),
)
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def _pypi() -> None:
    """Skip, and say so, where the index that the hub would ask by itself cannot be reached."""
    url = load_settings().resolved_upstreams()[0].url
    try:
        with urllib.request.urlopen(f"{url}six/", timeout=10):
            pass
    except OSError as error:
        pytest.skip(f"this machine does not reach PyPI: {error}")


@pytest.mark.usefixtures("_pypi")
@pytest.mark.parametrize("pip", ["pip"], indirect=True)
def test_twenty_popular_packages_install_again_without_pypi(
    pip: Pip, poetry: Poetry, machine: Machine, tmp_path: Path
) -> None:
    """poetry resolves for every platform: what is there for one of them alone comes through the hub by its METADATA."""
    with Program(tmp_path / "var", settled()) as program:
        online = freeze(pip, install(pip, program.index, *POPULAR))
        install(poetry, program.index, *POPULAR)
    unplugged = settled(CREAMERY_EGRESS_HTTPS_PROXY=NOWHERE, CREAMERY_EGRESS_HTTP_PROXY=NOWHERE)

    with Program(tmp_path / "var", unplugged) as program:
        clients = [client_called(name, machine) for name in NAMES]
        again = {
            name: freeze(pip, install(client, program.index, *POPULAR))
            for name, client in zip(NAMES, clients, strict=True)
        }
        said = program.said

    assert len(online) > len(POPULAR)
    assert again == dict.fromkeys(NAMES, online)
    assert "index.stale" in said


def settled(**settings: str) -> dict[str, str]:
    """The machine's own variables, by which its hub finds PyPI, with further settings."""
    kept = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    return kept | settings


def freeze(pip: Pip, environment: Environment) -> list[str]:
    """What `pip freeze` says of an environment."""
    return pip.succeed("freeze", environment=environment).splitlines()


SHAPES = (
    "charset-normalizer",
    "cryptography",
    "flask",
    "lxml",
    "markupsafe",
    "numpy",
    "pillow",
    "pyyaml",
    "requests",
    "six",
)


@pytest.mark.usefixtures("_pypi")
@pytest.mark.parametrize(("python", "platform"), [("3.12", "windows"), ("3.13", "macos")])
def test_a_prefetch_of_ten_projects_brings_what_uv_installs(
    uv: Uv, machine: Machine, tmp_path: Path, python: str, platform: str
) -> None:
    target = ("--python-version", python, "--python-platform", platform, "--python", sys.executable)
    with RunningHub(tmp_path / "one") as hub:
        options = ("--python", python, "--platform", platform)
        token = Desk(hub, "index:read").token
        creamery = Path(sys.executable).parent / "creamery"
        variables = {"CREAMERY_HUB": hub.base, "CREAMERY_TOKEN": token}
        machine.succeed(creamery, "index", "prefetch", *SHAPES, *options, folder=None, **variables)
        fetched = hub.here()

    with RunningHub(tmp_path / "two") as hub:
        folder = machine.home / "target"
        index = ("--no-cache", "--no-build", "--target", folder, "--default-index", f"{hub.base}/simple/")
        uv.succeed("--no-config", "pip", "install", *index, *target, *SHAPES)
        hub.wait_until(lambda: len(hub.here()) >= len(fetched))
        installed = hub.here()

    assert fetched == installed
