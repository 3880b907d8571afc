"""What popular projects have uploaded to PyPI would be taken here too, where the machine reaches it."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from creamery.index.archives import check
from creamery.limits import Limits
from creamery.settings import load_settings
from tests.clients.programs import Pip

pytestmark = pytest.mark.installed

WHEELS = ("black", "cryptography", "numpy", "pillow", "pip", "protobuf", "pyyaml", "requests", "ruff", "setuptools")
"""Of ten builders: setuptools, flit, hatchling, maturin, meson, mypyc, Bazel; repaired by auditwheel, and pure."""

SDISTS = ("certifi", "click", "flit-core", "hatchling", "idna", "packaging", "pytz", "requests", "six", "wheel")
"""Those that pip can read without a compiler."""


@pytest.fixture(name="index")
def _index() -> str:
    """The index that the hub would ask by itself; where it cannot be reached, skip and say so."""
    url = load_settings().resolved_upstreams()[0].url
    try:
        with urllib.request.urlopen(f"{url}six/", timeout=10):
            return url
    except OSError as error:
        pytest.skip(f"this machine does not reach PyPI: {error}")


@pytest.mark.parametrize("pip", ["pip"], indirect=True)
@pytest.mark.parametrize(
    ("options", "names"),
    [(("--only-binary", ":all:"), WHEELS), (("--no-binary", ":all:"), SDISTS)],
    ids=["wheels", "sdists"],
)
def test_what_popular_projects_have_uploaded_is_taken(
    pip: Pip, index: str, tmp_path: Path, options: tuple[str, ...], names: tuple[str, ...]
) -> None:
    folder = tmp_path / "downloaded"

    for name in names:
        pip.succeed("download", "--index-url", index, "--no-deps", *options, "--dest", folder, name)

    taken = []
    for path in folder.iterdir():
        with path.open("rb") as stream:
            taken.append(str(check(stream, path.name, Limits()).project))
    assert sorted(taken) == sorted(names)
