"""One server of toy endpoints for all tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.toy import routes
from tests.doubles.wired import Wired


@pytest.fixture(scope="session")
def toy_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where its files lie."""
    return tmp_path_factory.mktemp("toy")


@pytest.fixture(scope="session")
def toy(toy_files: Path) -> Iterator[Wired]:
    """A page, files, growing files, and endpoints that read or do not read what they are sent."""
    with Wired(routes(toy_files)) as wired:
        yield wired
