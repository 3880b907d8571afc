"""Checking bytes as an upload."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import pytest

from creamery.index.archives import Artefact, BadArchive, check
from creamery.limits import Limits

MOST_SECONDS = 20.0
"""Whatever takes longer never ends, or nearly so; how long the worst really takes, `make bench` says."""

LONGEST_REASON = 1_000
"""A line that every client prints whole."""

Refused = Callable[[bytes, str], str]


def checked(content: bytes, filename: str, **limits: int) -> Artefact:
    """What the check says of an upload."""
    return check(io.BytesIO(content), filename, Limits(**limits))


@pytest.fixture(name="refused")
def _refused() -> Refused:
    """The reason for which an upload is refused."""

    def refused(content: bytes, filename: str) -> str:
        started = time.process_time()
        with pytest.raises(BadArchive) as refusal:
            checked(content, filename)
        assert time.process_time() - started < MOST_SECONDS
        reason = refusal.value.reason
        assert reason.isascii()
        assert reason.isprintable()
        assert len(reason) < LONGEST_REASON
        return reason

    return refused
