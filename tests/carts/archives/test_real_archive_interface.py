"""The real pacifica-archiveinterface, from its package, as its command runs it: one process of many threads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from creamery.carts.archives import Archive, ArchiveDown, ItemRefused
from creamery.carts.archives.pacifica import Pacifica
from tests.carts.archives.conftest import Sites
from tests.doubles.archive_interface import archive_interface
from tests.suites.archive import BODY, ITEMS, MTIME, ArchiveSuite, read, stat_of

pytestmark = [pytest.mark.anyio, pytest.mark.installed]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What it keeps, with a secret beside it."""
    top = tmp_path_factory.mktemp("real")
    (top / "secret").write_bytes(b"root:x:0:0")
    kept = top / "kept"
    kept.mkdir()
    for name, body in {**ITEMS, **{f"many{number}": f"body {number}".encode() for number in range(50)}}.items():
        (kept / name).write_bytes(body)
        os.utime(kept / name, (MTIME, MTIME))
    return kept


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """Where it answers."""
    with archive_interface(folder) as address:
        yield address


@pytest.fixture
def archive(url: str, site: Sites) -> Pacifica:
    return Pacifica(site(url, at_once=1), at_once=1, window=10)


class TestRealArchiveInterface(ArchiveSuite):
    """The promise."""


async def test_many_are_brought_one_after_the_other_without_a_wrong_byte(archive: Archive) -> None:
    """Eight who ask at once, as staging does; what is open keeps the others waiting."""
    names = [f"many{number}" for number in range(50)]
    found: dict[str, bytes] = {}
    waiting = iter(names)

    async def fetch() -> None:
        for name in waiting:
            found[name] = await read(archive, name, 0, await stat_of(archive, name))

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(fetch())

    assert found == {f"many{number}": f"body {number}".encode() for number in range(50)}
    assert await archive.stage(names) == dict.fromkeys(names)


async def test_why_it_is_asked_for_one_thing_at_a_time(url: str, site: Sites) -> None:
    """Its threads share one open file. While one reads `1`, another's look at `2` ends that, or changes what it reads.

    When this fails, the original is mended, and the default of `at_once` may grow.
    """
    archive = Pacifica(site(url, at_once=8), at_once=8, window=10)
    known = await stat_of(archive, "1")
    spoilt = 0

    for _ in range(20):
        try:
            async with archive.open("1", 0, known) as pieces:
                await archive.stat(["2"])
                got = b"".join([piece async for piece in pieces])
            spoilt += got != BODY
        except (ArchiveDown, ItemRefused):
            spoilt += 1

    assert spoilt


@pytest.mark.parametrize("item", ["../secret", "..%2Fsecret", "..%252Fsecret", "//etc/passwd", "%2Fetc%2Fpasswd"])
async def test_its_way_out_is_shut(archive: Archive, url: str, item: str) -> None:
    """What it would give to whoever asks it by hand, it gives to no cart."""
    leaks = httpx2.get(f"{url}..%2Fsecret", trust_env=False)
    assert leaks.content == b"root:x:0:0"

    with pytest.raises(ItemRefused):
        await read(archive, item)
