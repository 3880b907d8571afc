"""The project's own wheel, as people get it: light for the client, with all that the hub needs inside."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with the pinned back end that `make` installed."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_a_wheel_holds_every_file_of_the_source_and_nothing_else(wheel: Path) -> None:
    source = REPOSITORY / "src"
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}

    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert packed == {name for name in files if "__pycache__" not in name and "egg-info" not in name}


def test_the_client_depends_on_little_and_the_hub_is_an_extra(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))

    needs = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    for_all = {need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})}

    assert for_all == {"click", "packaging", "platformdirs", "rich", "tomlkit"}
    assert metadata.get_all("Provides-Extra") == ["server"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"


@pytest.mark.installed
def test_a_plain_installation_has_commands_and_says_how_to_get_the_hub(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    subprocess.run([binaries / "python", "-m", "pip", "install", "--quiet", str(wheel)], check=True)

    def creamery(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.defpath, "HOME": str(tmp_path)}
        return subprocess.run(
            [binaries / "creamery", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=tmp_path,
        )

    assert creamery("--help").returncode == 0
    refused = creamery("serve")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert 'pip install "creamery[server]"' in refused.stderr
