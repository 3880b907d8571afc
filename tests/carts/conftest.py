"""A folder with files as an archive, and a hub over it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery import faults
from tests.doubles.carting import carting_hub
from tests.doubles.running import RunningHub

FILES = {
    "small.txt": b"milk\n",
    "deep/er/small.txt": b"cream\n",
    "empty": b"",
    "large.bin": random.Random(7).randbytes(300_000),
    "page.bin": random.Random(8).randbytes(65_536),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def hub(tmp_path: Path, folder: Path) -> Iterator[RunningHub]:
    with carting_hub(tmp_path / "data", folder) as hub:
        yield hub


@pytest.fixture(autouse=True)
def _no_faults() -> Iterator[None]:
    yield
    faults.disarm()
