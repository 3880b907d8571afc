"""The Archive Interface: as its document has it, and as archives that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from creamery.carts.archives import Archive, ArchiveDown, ItemRefused, ItemStat
from creamery.carts.archives.asking import IN_VAIN
from creamery.carts.archives.pacifica import Pacifica
from creamery.clock import SECOND
from tests.carts.archives.conftest import Sites
from tests.doubles.archives import MTIME, ArchiveInterface
from tests.doubles.hand_clock import HandClock
from tests.doubles.loopback import Exchange
from tests.doubles.upstream import after, close_at, drip, hang, redirect_to, refuse, say, status, without_length
from tests.suites.archive import BODY, ITEMS, ArchiveSuite, read, stat_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[ArchiveInterface]:
    with ArchiveInterface(ITEMS) as started:
        yield started


@pytest.fixture
def archive(server: ArchiveInterface, site: Sites) -> Pacifica:
    return Pacifica(site(server.url), at_once=4, window=100)


class TestPacifica(ArchiveSuite):
    """The promise, against the double."""


class TestPacificaInChunks(ArchiveSuite):
    """The same from a server that tells no lengths, as the real one."""

    @pytest.fixture(autouse=True)
    def _in_chunks(self, server: ArchiveInterface) -> None:
        server.misbehave("*", without_length(), method="GET")


class TestPacificaWithoutRanges(ArchiveSuite):
    """The same from a server that knows no ranges."""

    @pytest.fixture(autouse=True)
    def _whole(self, server: ArchiveInterface) -> None:
        for item, body in ITEMS.items():
            server.misbehave(f"/{item}", say(body, "application/octet-stream"), method="GET")


async def test_the_rest_alone_is_asked_for_where_the_server_knows_ranges(
    archive: Archive, server: ArchiveInterface
) -> None:
    known = await stat_of(archive, "1")

    for offset in (600_000, 700_000):
        assert await read(archive, "1", offset, known) == BODY[offset:]

    end = len(BODY)
    assert [seen.target for seen in server.requests("GET")] == [
        f"/1?byte_range={end - 1}-{end}",  # asked once
        f"/1?byte_range=600000-{end}",
        f"/1?byte_range=700000-{end}",
    ]


async def test_a_file_on_tape_is_near_some_looks_after_it_was_staged(
    archive: Archive, server: ArchiveInterface
) -> None:
    server.tape["1"] = 3

    before = [(await stat_of(archive, "1")).is_near for _ in range(5)]
    staged = await archive.stage(["1", "1", "2", "4"])
    polled = [(await stat_of(archive, "1")).is_near for _ in range(4)]

    assert before == [False] * 5
    assert staged["1"] is staged["2"] is None
    assert str(staged["4"]) == "4: it is not there"
    assert polled == [False, False, True, True]
    assert server.staged == {"1": 1, "2": 1}


@pytest.mark.parametrize("name", ["X-Content-Length", "Last-Modified", "X-Pacifica-File-Storage-Media"])
async def test_a_missing_header_is_a_clear_error_of_its_item(
    archive: Archive, server: ArchiveInterface, name: str
) -> None:
    server.headers[name] = None

    found = await archive.stat(["1", "2"])

    assert [str(each) for each in found.values()] == [
        f"1: the archive tapes does not say {name}",
        f"2: the archive tapes does not say {name}",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("X-Content-Length", text) for text in ("-1", "9" * 40, "File Not Found")),
        *(("Last-Modified", text) for text in ("nan", "inf", "yesterday", "")),
    ],
)
async def test_a_header_that_says_nothing_is_one_too(
    archive: Archive, server: ArchiveInterface, name: str, text: str
) -> None:
    server.headers[name] = text

    found = (await archive.stat(["1"]))["1"]

    assert isinstance(found, ItemRefused)
    assert f"says {name}: {text}" in str(found)


async def test_times_may_be_dates_and_media_in_capitals(archive: Archive, server: ArchiveInterface) -> None:
    server.headers |= {"Last-Modified": formatdate(MTIME, usegmt=True), "X-Pacifica-File-Storage-Media": "Disk"}

    assert (await stat_of(archive, "1")) == ItemStat(
        len(BODY), MTIME, is_near=True, version=formatdate(MTIME, usegmt=True)
    )


@pytest.mark.parametrize("spelling", ["X-Pacifica-Messsage", "X-Pacifica-Message"])
async def test_a_file_that_its_archive_lost_is_refused_with_its_archives_words(
    archive: Archive, server: ArchiveInterface, spelling: str
) -> None:
    server.headers |= {
        "X-Pacifica-Messsage": None,
        "X-Pacifica-File-Storage-Media": "error",
        spelling: "Level 3 is bad",
    }

    found = await archive.stat(["1"])

    assert str(found["1"]) == "1: the archive tapes cannot read it (storage media 'error', Level 3 is bad)"


@pytest.mark.parametrize("code", [429, 503, 502, 504, 401])
async def test_an_archive_over_quota_is_down_not_wrong(archive: Archive, server: ArchiveInterface, code: int) -> None:
    server.misbehave("*", status(code, Retry_After="17"))

    for asked in (archive.stat(["1", "2"]), archive.stage(["1"]), read(archive, "1")):
        with pytest.raises(ArchiveDown, match=str(code)) as caught:
            await asked
        assert caught.value.retry_seconds == (None if code == 401 else 17)


@pytest.mark.parametrize(
    ("said", "seconds"), [("0", 0), ("9999999999", 86_400), ("-1", None), ("soon", None), ("", None), ("٣", None)]
)
async def test_patience_that_is_asked_for_is_bounded(
    archive: Archive, server: ArchiveInterface, said: str, seconds: float | None
) -> None:
    server.misbehave("*", status(503, Retry_After=said.encode().decode("latin-1")))

    with pytest.raises(ArchiveDown) as caught:
        await archive.stat(["1"])

    assert caught.value.retry_seconds == seconds


@pytest.mark.parametrize(("ahead", "least", "most"), [(100, 95, 100), (-100, 0, 0)])
async def test_patience_may_be_a_date(
    archive: Archive, server: ArchiveInterface, clock: HandClock, ahead: int, least: float, most: float
) -> None:
    server.misbehave("*", status(503, Retry_After=formatdate(clock.now() / SECOND + ahead, usegmt=True)))

    with pytest.raises(ArchiveDown) as caught:
        await archive.stat(["1"])

    assert caught.value.retry_seconds is not None
    assert least <= caught.value.retry_seconds <= most


async def test_an_archive_that_is_not_there_is_down(archive: Archive, server: ArchiveInterface) -> None:
    server.stop()

    for asked in (archive.stat(["1"]), archive.stage(["1"]), read(archive, "1")):
        with pytest.raises(ArchiveDown, match=r"^the archive tapes could not be reached$"):
            await asked

    server.start()
    assert await read(archive, "1") == BODY


async def test_nobody_waits_for_each_item_of_an_archive_that_is_down(
    archive: Archive, server: ArchiveInterface
) -> None:
    server.misbehave("*", status(503))

    with pytest.raises(ArchiveDown):
        await archive.stat([str(number) for number in range(1_000)])

    assert len(server.seen) <= 4  # those that were under way


async def test_one_item_that_cannot_be_had_now_harms_no_other(archive: Archive, server: ArchiveInterface) -> None:
    server.misbehave("/2", refuse())

    found = await archive.stat(["2", "1", "3"])

    assert isinstance(found["2"], ArchiveDown)
    assert isinstance(found["1"], ItemStat)
    assert isinstance(found["3"], ItemStat)


async def test_a_server_that_breaks_off_again_and_again_is_left_alone(server: ArchiveInterface, site: Sites) -> None:
    archive = Pacifica(site(server.url, at_once=1), at_once=1, window=1)
    server.misbehave("*", refuse())
    server.misbehave("/1", after(0))

    found = await archive.stat(["1", *(f"x{number}" for number in range(100))])

    assert isinstance(found["1"], ItemStat)
    assert {type(each) for item, each in found.items() if item != "1"} == {ArchiveDown}
    assert len(found) == 101
    assert len({seen.path for seen in server.seen}) == 1 + IN_VAIN


async def test_a_server_that_answers_in_between_is_asked_on(server: ArchiveInterface, site: Sites) -> None:
    archive = Pacifica(site(server.url, at_once=1), at_once=1, window=1)
    asked = [item for number in range(2 * IN_VAIN) for item in (f"x{number}", str(number % 3 + 1), f"y{number}")]
    for item in asked:
        if item.startswith("x"):
            server.misbehave(f"/{item}", refuse())
    server.files |= dict.fromkeys(asked, b"")

    found = await archive.stat(asked)

    assert [item for item, each in found.items() if isinstance(each, ArchiveDown)] == [
        item for item in asked if item.startswith("x")
    ]


async def test_a_look_at_what_broke_off_takes_no_further_place(server: ArchiveInterface, site: Sites) -> None:
    """Else the next one would be asked while the last is: its place was given back twice."""
    archive = Pacifica(site(server.url, at_once=1), at_once=1, window=1)
    known = await stat_of(archive, "1")

    async def short(exchange: Exchange) -> None:
        exchange.reply.body = BODY[:1000]
        await without_length()(exchange)

    server.misbehave("/1", short, method="GET", once=True)
    with pytest.raises(ArchiveDown, match="broke off"):
        await read(archive, "1", 0, known)
    server.misbehave("*", after(0.02))
    server.most_at_once = 0

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(archive.stat(["1"]))

    assert server.most_at_once == 1


async def test_a_failure_is_looked_at_twice(archive: Archive, server: ArchiveInterface) -> None:
    """Two requests that meet in the original close each other's file, and one of them is 500."""
    server.misbehave("/1", status(500), once=True)

    assert (await stat_of(archive, "1")).size == len(BODY)


async def test_a_failure_that_stays_is_the_items_and_tells_no_paths(archive: Archive, server: ArchiveInterface) -> None:
    server.misbehave("/1", status(500, b'{"traceback": "/srv/archive.py: out of cheese"}'))

    with pytest.raises(ItemRefused, match=r"^1: the archive tapes does not have it, or failed \(status 500\)$"):
        await read(archive, "1", 0, ItemStat(len(BODY), MTIME, is_near=True))
    assert "/srv" not in str(await archive.stat(["1", "4"]))


async def test_a_broken_connection_goes_on_where_it_broke(archive: Archive, server: ArchiveInterface) -> None:
    known = await stat_of(archive, "1")
    server.misbehave("/1", close_at(0.4, read_first=True), method="GET", once=True)
    got = b""

    async def fetch() -> None:
        nonlocal got
        async with archive.open("1", len(got), known) as pieces:
            async for piece in pieces:
                got += piece

    with pytest.raises(ArchiveDown, match="broke off"):
        await fetch()
    assert 0 < len(got) < len(BODY)
    await fetch()

    assert got == BODY


async def test_the_error_of_a_broken_connection_is_ours_already_where_the_bytes_are_read(
    archive: Archive, server: ArchiveInterface
) -> None:
    server.misbehave("/1", close_at(0.4, read_first=True), method="GET")

    async with archive.open("1", 0) as pieces:
        with pytest.raises(ArchiveDown):
            async for _ in pieces:
                pass


@pytest.mark.parametrize("body", [BODY + b"more", BODY[:-1], b""])
@pytest.mark.parametrize("in_chunks", [True, False])
async def test_a_wrong_length_is_never_a_whole_file(
    archive: Archive, server: ArchiveInterface, body: bytes, in_chunks: bool
) -> None:
    known = await stat_of(archive, "1")
    got = b""

    async def fetch() -> None:
        nonlocal got
        async with archive.open("1", 0, known) as pieces:
            async for piece in pieces:
                got += piece

    server.files["1"] = body
    if in_chunks:
        server.misbehave("/1", without_length(), method="GET")

    with pytest.raises(ItemRefused, match=r"1: it (has changed|is longer)"):
        await fetch()
    assert BODY.startswith(got)
    assert in_chunks or not got  # what was said to be too long or too short is not begun


async def test_a_short_body_of_a_file_that_has_not_changed_is_a_broken_one(
    archive: Archive, server: ArchiveInterface
) -> None:
    known = await stat_of(archive, "1")

    async def short(exchange: Exchange) -> None:
        """As where another request took the file away from under the original's thread."""
        exchange.reply.body = BODY[:1000]
        await without_length()(exchange)

    server.misbehave("/1", short, method="GET")

    with pytest.raises(ArchiveDown, match="broke off"):
        await read(archive, "1", 0, known)


async def test_a_file_that_was_replaced_is_not_put_to_its_former_half(
    archive: Archive, server: ArchiveInterface
) -> None:
    known = await stat_of(archive, "1")
    server.headers["Last-Modified"] = f"{MTIME}.75"

    with pytest.raises(ItemRefused, match="1: it has changed since"):
        await read(archive, "1", 10, known)
    assert server.requests("GET") == []


async def test_a_drip_is_given_up(server: ArchiveInterface, site: Sites, clock: HandClock) -> None:
    archive = Pacifica(site(server.url, upstream_minimum_rate=1_000), at_once=4, window=1)
    server.misbehave("/1", drip(20_000), method="GET")

    async def fetch() -> None:
        async with archive.open("1", 0) as pieces:
            async for _ in pieces:
                clock.advance(10)

    with pytest.raises(ArchiveDown, match="did not answer in time"):
        await fetch()


async def test_silence_ends_too(archive: Archive, server: ArchiveInterface) -> None:
    server.misbehave("/1", hang(0.5), method="GET")
    server.misbehave("/2", hang())

    with pytest.raises(ArchiveDown):
        await read(archive, "1")
    assert isinstance((await archive.stat(["2"]))["2"], ArchiveDown)


async def test_staging_may_take_its_time(server: ArchiveInterface, site: Sites) -> None:
    """The original's tape is staged while its request waits."""
    archive = Pacifica(site(server.url, stage_seconds=5), at_once=1, window=1)
    server.misbehave("/1", after(2.5), method="POST")

    assert await archive.stage(["1"]) == {"1": None}
    archive = Pacifica(site(server.url, stage_seconds=0.2), at_once=1, window=1)
    server.misbehave("/1", hang(), method="POST")
    assert isinstance((await archive.stage(["1"]))["1"], ArchiveDown)


@pytest.mark.parametrize("at_once", [1, 3])
async def test_no_more_is_asked_at_once_than_it_bears(server: ArchiveInterface, site: Sites, at_once: int) -> None:
    archive = Pacifica(site(server.url, at_once=at_once), at_once=at_once, window=1)
    server.files |= {f"f{number}": BODY for number in range(12)}
    server.misbehave("*", after(0.01))

    async def both(item: str) -> bytes:
        await archive.stat([item])
        return await read(archive, item)

    async with asyncio.TaskGroup() as group:
        for number in range(12):
            group.create_task(both(f"f{number}"))
        group.create_task(archive.stat([f"f{number}" for number in range(12)]))

    assert server.most_at_once == at_once


@pytest.mark.parametrize(
    "item",
    ["..", "../1", "..%2f1", "..%252F1", "%2e%2e%2f1", "a/../../1", "..\\1", "//1", "/etc//passwd", "1\r\nX: y", "\0"],
)
async def test_an_id_that_leads_out_of_the_archive_never_gets_there(
    archive: Archive, server: ArchiveInterface, item: str
) -> None:
    found = (await archive.stat([item]))[item]

    assert isinstance(found, ItemRefused)
    assert isinstance((await archive.stage([item]))[item], ItemRefused)
    with pytest.raises(ItemRefused):
        await read(archive, item)
    assert server.seen == []


async def test_ids_are_one_part_of_the_path_whatever_is_in_them(archive: Archive, server: ArchiveInterface) -> None:
    name = "a b/ü?#%&+;=\udcff"
    server.files[name.replace("\udcff", "�")] = b"odd"

    await archive.stat([name])

    assert [seen.target for seen in server.seen][:1] == ["/a%20b%2F%C3%BC%3F%23%25&+;=%FF"]


async def test_a_password_goes_to_the_archive_and_into_no_text(
    server: ArchiveInterface, site: Sites, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = Pacifica(site(server.url.replace("//", "//hub:hunter2@")), at_once=1, window=1)
    await archive.stat(["1"])
    server.misbehave("/1", redirect_to("http://127.0.0.1:1/elsewhere"))

    found = await archive.stat(["1"])

    assert server.seen[0].headers["authorization"].startswith("Basic ")
    assert str(found["1"]) == "1: the archive tapes sends elsewhere for it, where the hub does not go"
    server.stop()
    with pytest.raises(ArchiveDown) as caught:
        await archive.stat(["1"])
    assert server.host not in str(caught.value)
    written = capsys.readouterr()
    assert "hunter2" not in f"{caught.value!r}{archive!r}{written.out}{written.err}"
