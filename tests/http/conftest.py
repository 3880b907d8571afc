"""One server of toy endpoints for all tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.toy import routes
from tests.doubles.wired import Wired


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    """A page, files, growing files, and endpoints that read or do not read what they are sent."""
    with Wired(routes(tmp_path_factory.mktemp("toy"))) as wired:
        yield wired
