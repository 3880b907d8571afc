"""What every `Archive` must do. A test class inherits this and offers the fixture `archive` over `ITEMS`."""

from __future__ import annotations

import pytest

from creamery.carts.archives import Archive, ItemRefused, ItemStat

BODY = bytes(range(256)) * 5_000
MTIME = 1_600_000_000
ITEMS = {"1": BODY, "2": b"two", "3": b""}
"""What the archive has, all of it written at `MTIME`; there is no item `4`."""


async def read(archive: Archive, item: str, offset: int = 0, known: ItemStat | None = None) -> bytes:
    """The bytes of an item."""
    async with archive.open(item, offset, known) as pieces:
        return b"".join([piece async for piece in pieces])


async def stat_of(archive: Archive, item: str) -> ItemStat:
    """What an item is, which is there."""
    found = (await archive.stat([item]))[item]
    assert isinstance(found, ItemStat), found
    return found


@pytest.mark.anyio
class ArchiveSuite:
    """Inherit, and offer `archive`."""

    async def test_what_is_there_has_size_and_time_and_is_near(self, archive: Archive) -> None:
        found = {item: await stat_of(archive, item) for item in ITEMS}

        assert {item: stat.size for item, stat in found.items()} == {item: len(body) for item, body in ITEMS.items()}
        assert {stat.mtime for stat in found.values()} == {MTIME}
        assert all(stat.is_near and stat.version for stat in found.values())

    async def test_a_batch_has_an_answer_for_each_that_was_asked(self, archive: Archive) -> None:
        found = await archive.stat(["1", "4", "2", "../1", "1"])

        assert found.keys() == {"1", "4", "2", "../1"}
        assert isinstance(found["1"], ItemStat)
        assert isinstance(found["2"], ItemStat)
        assert isinstance(found["4"], ItemRefused)
        assert str(found["4"]).startswith("4: ")
        assert isinstance(found["../1"], ItemRefused)

    async def test_nothing_asked_is_nothing_answered(self, archive: Archive) -> None:
        assert await archive.stat([]) == {}
        assert await archive.stage([]) == {}

    async def test_staging_what_is_near_is_taken_and_may_be_asked_twice(self, archive: Archive) -> None:
        for _ in range(2):
            assert await archive.stage(["1", "2"]) == {"1": None, "2": None}

        await archive.release(["1"])
        await archive.cancel(["2"])

    @pytest.mark.parametrize("is_known", [True, False])
    @pytest.mark.parametrize("item", ITEMS)
    async def test_an_item_is_read(self, archive: Archive, item: str, is_known: bool) -> None:
        known = await stat_of(archive, item) if is_known else None

        assert await read(archive, item, 0, known) == ITEMS[item]

    @pytest.mark.parametrize("offset", [1, 255, 600_000, len(BODY) - 1, len(BODY)])
    async def test_an_item_is_read_from_where_it_broke(self, archive: Archive, offset: int) -> None:
        known = await stat_of(archive, "1")

        assert await read(archive, "1", offset, known) == BODY[offset:]

    async def test_nothing_lies_behind_the_end(self, archive: Archive) -> None:
        with pytest.raises(ItemRefused, match="2: "):
            await read(archive, "2", 4)

    async def test_what_is_not_there_cannot_be_opened(self, archive: Archive) -> None:
        with pytest.raises(ItemRefused, match="4: "):
            await read(archive, "4")

    async def test_what_is_another_than_what_was_known_is_refused(self, archive: Archive) -> None:
        known = ItemStat(3, MTIME - 1, is_near=True, version="another")

        for offset in (0, 1):
            with pytest.raises(ItemRefused, match="2: it has changed"):
                await read(archive, "2", offset, ItemStat(4, MTIME, is_near=True))
        with pytest.raises(ItemRefused, match="2: it has changed"):
            await read(archive, "2", 1, known)

    async def test_reading_may_end_early_and_begin_again(self, archive: Archive) -> None:
        for _ in range(5):
            async with archive.open("1", 0) as pieces:
                async for piece in pieces:
                    assert BODY.startswith(piece)
                    break

        assert await read(archive, "1") == BODY
