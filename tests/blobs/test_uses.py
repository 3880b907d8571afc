"""Uses: what happens to them when they cannot be written down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from creamery.blobs import tables
from creamery.blobs.uses import Uses
from creamery.database import DatabaseUnavailable, DiskFull, WritesBusy
from tests.doubles.cellar import Cellar
from tests.doubles.hand_clock import HandClock

TROUBLES = [DiskFull("no room"), DatabaseUnavailable("away"), WritesBusy("busy")]


@pytest.fixture
def uses(cellar: Cellar, clock: HandClock) -> Uses:
    return Uses(cellar.committer, clock, 1e6)


@contextmanager
def broken(cellar: Cellar, trouble: Exception) -> Iterator[None]:
    """Meanwhile nothing can be written."""

    def write(_: object) -> None:
        raise trouble

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cellar.committer, "write", write)
        yield


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: type(trouble).__name__)
def test_uses_that_could_not_be_written_are_written_later(
    cellar: Cellar, uses: Uses, clock: HandClock, trouble: Exception
) -> None:
    digest = cellar.put(b"read", "a")
    clock.advance(1_000)
    uses.note(digest)
    with broken(cellar, trouble), pytest.raises(type(trouble)):
        uses.flush()

    uses.flush()

    (used,) = cellar.database.read(lambda c: c.execute(tables.blob.select()).mappings().all())
    assert abs(used["used"] - clock.now()) < 10_000_000


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: type(trouble).__name__)
def test_uses_that_cannot_be_written_at_the_end_do_not_spoil_it(cellar: Cellar, uses: Uses, trouble: Exception) -> None:
    uses.start()
    uses.note(cellar.put(b"read", "a"))
    with broken(cellar, trouble):
        uses.close()

    uses.flush()
