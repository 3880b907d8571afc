"""A disk that is really full."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from creamery.blobs import NoSpace
from creamery.contract import digest_of
from tests.doubles.cellar import Cellar
from tests.doubles.shelf import shelve

pytestmark = [pytest.mark.anyio, pytest.mark.installed]

BODY = os.urandom(1_000_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """4 MiB, of a kind that knows no RWF_NOWAIT either."""
    folder = tmp_path / "data"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def cellar(small_disk: Path, open_cellar: Callable[..., Cellar], database_url: str) -> Cellar:
    return open_cellar(database_url, reserve_bytes=0)


def fill(path: Path) -> None:
    """Somebody else's program takes what is left."""
    with path.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(100_000))


async def test_what_was_not_promised_is_refused_before_a_byte_moves(cellar: Cellar) -> None:
    promised = cellar.blobs.begin(3_000_000, "test")

    with pytest.raises(NoSpace):
        cellar.blobs.begin(2_000_000, "test")

    promised.abort(RuntimeError("enough"))
    cellar.blobs.begin(2_000_000, "test")


async def test_a_disk_that_fills_up_fails_the_part_and_nothing_else(cellar: Cellar, small_disk: Path) -> None:
    kept = cellar.put(BODY, "before")
    part = cellar.blobs.begin(2_000_000, "test")
    fill(small_disk / "filler")

    await part.write(BODY)
    with pytest.raises(NoSpace):
        await part.finish(digest_of(BODY))
    with pytest.raises(NoSpace):
        cellar.blobs.begin(None, "test")

    assert (await cellar.blobs.prepare(kept, len(BODY))).path.read_bytes() == BODY
    assert list(cellar.blobs.layout.incoming.iterdir()) == []
    (small_disk / "filler").unlink()
    again = cellar.blobs.begin(len(BODY), "test")
    await again.write(BODY)
    await again.finish(None)
    assert await again.read(10, 100) == BODY[10:110]
    await cellar.blobs.keep(again, shelve("after"))
    assert cellar.names()["after"] == (kept, True)
