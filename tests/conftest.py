"""What every test shares: asyncio as the event loop, and the switch for what only CI prepares."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The hub runs on asyncio; so do its tests."""
    return "asyncio"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, visibly, what needs root, servers or clients, unless `.ci/run` has prepared them."""
    if os.environ.get("CREAMERY_TEST_INSTALLED") == "1":
        return
    skip = pytest.mark.skip(reason="needs what .ci/run installs; CREAMERY_TEST_INSTALLED=1 runs it")
    for item in items:
        if "installed" in item.keywords:
            item.add_marker(skip)
