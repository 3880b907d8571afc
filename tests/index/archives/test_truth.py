"""What real tools build is taken as it is."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.doubles import distributions
from tests.index.archives.conftest import checked
from tests.index.archives.forging import METADATA, ROOT, wheel_files

LONG = "deeply/" * 20 + "\u00e9t\u00e9.py"


@pytest.fixture(name="built", scope="module")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as hatchling builds it: a wheel and an sdist, with long names, other letters and a link."""
    project = tmp_path_factory.mktemp("project")
    package = project / "fresh_cream"
    (package / LONG).parent.mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = '1.0'\n")
    (package / LONG).write_text("milk = 1\n")
    (package / "empty.py").touch()
    (project / "README.md").write_text("# Cr\u00e8me\n", encoding="utf-8")
    (project / "LICENSE").write_text("all rights\n")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n[project]\nname = "Fresh.Cream"\n'
        'version = "1.0.post1"\nreadme = "README.md"\nrequires-python = ">=3.9"\ndependencies = ["six>=1"]\n'
        'license = "MIT"\nlicense-files = ["LICENSE"]\n[project.scripts]\ncream = "fresh_cream:main"\n'
    )
    subprocess.run([sys.executable, "-m", "build", "--no-isolation"], cwd=project, check=True, capture_output=True)
    return project / "dist"


@pytest.mark.parametrize("suffix", [".whl", ".tar.gz"])
def test_what_hatchling_builds_is_taken(built: Path, suffix: str) -> None:
    [path] = built.glob(f"*{suffix}")

    artefact = checked(path.read_bytes(), path.name)

    assert (artefact.project, artefact.name, artefact.version) == ("fresh-cream", "Fresh.Cream", "1.0.post1")
    assert artefact.requires_python == ">=3.9"


@pytest.mark.parametrize("size", [0, 100_000])
def test_the_distributions_of_other_tests_are_taken(size: int) -> None:
    wheel = distributions.wheel("Mascar.Pone", "2.1", requires=["six"], size=size)
    sdist = distributions.sdist("Mascar.Pone", "2.1", requires=["six"], size=size)

    assert checked(wheel.content, wheel.filename).metadata == wheel.metadata
    assert checked(sdist.content, sdist.filename).metadata == sdist.metadata


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_kind_of_tar_that_python_writes_is_taken(tmp_path: Path, kind: int) -> None:
    root = tmp_path / ROOT
    (root / "src" / ("long-" * 16)).mkdir(parents=True)
    (root / "src" / ("long-" * 16) / "x.py").write_text("milk = 1\n")
    (root / "PKG-INFO").write_bytes(METADATA)
    (root / "link.py").symlink_to("src/x.py")
    (root / "src" / "x.py").write_text("cream = 1\n")
    os.link(root / "src" / "x.py", root / "y.py")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=kind) as archive:
        archive.add(root, ROOT)

    assert checked(buffer.getvalue(), "cream-1.0.tar.gz").metadata == METADATA


def test_zips_that_python_writes_are_taken(tmp_path: Path) -> None:
    """A folder's, as `shutil` makes it; and one written to a pipe, where sizes come behind the contents."""
    root = tmp_path / "from" / ROOT
    (root / "cream").mkdir(parents=True)
    (root / "PKG-INFO").write_bytes(METADATA)
    (root / "cream" / "__init__.py").write_text("milk = 1\n")
    sdist = Path(shutil.make_archive(str(tmp_path / ROOT), "zip", tmp_path / "from"))

    assert checked(sdist.read_bytes(), "cream-1.0.zip").kind == "sdist"
    assert checked(piped(), "cream-1.0-py3-none-any.whl").kind == "wheel"


def piped() -> bytes:
    """A wheel that was written to something that cannot seek."""
    buffer = io.BytesIO()

    class Pipe(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            return buffer.write(data)  # type: ignore[arg-type]

    with zipfile.ZipFile(Pipe(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in wheel_files().items():
            with archive.open(name, "w", force_zip64=len(data) > 1_000) as member:
                member.write(data)
    return buffer.getvalue()
