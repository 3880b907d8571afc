"""Any server with files: with ranges and without, that lies, redirects, changes its files."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import formatdate
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.carts.archives import Archive, ArchiveDown, ItemRefused, ItemStat
from creamery.carts.archives.names import address_path
from creamery.carts.archives.web import LONGEST_ETAG, Web
from tests.carts.archives.conftest import Sites
from tests.doubles.archives import MTIME, FileServer
from tests.doubles.loopback import Exchange, Reply
from tests.doubles.upstream import (
    close_at,
    drip,
    no_range,
    redirect_to,
    say,
    status,
    without_length,
    wrong_range,
)
from tests.suites.archive import BODY, ITEMS, ArchiveSuite, read, stat_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(ITEMS) as started:
        yield started


@pytest.fixture
def archive(server: FileServer, site: Sites) -> Web:
    return Web(site(server.url), at_once=4, window=100)


class TestWeb(ArchiveSuite):
    """The promise."""


class TestWebWithoutRanges(ArchiveSuite):
    """The same from a server that sends all, whatever was asked."""

    @pytest.fixture(autouse=True)
    def _whole(self, server: FileServer) -> None:
        server.misbehave("*", no_range(), method="GET")


class TestWebWithoutHead(ArchiveSuite):
    """The same from a server whose addresses are for GET alone."""

    @pytest.fixture(autouse=True)
    def _no_head(self, server: FileServer) -> None:
        server.misbehave("*", status(405), method="HEAD")


class TestWebWithoutETags(ArchiveSuite):
    """The same from a server that has dates alone."""

    @pytest.fixture(autouse=True)
    def _dates(self, server: FileServer) -> None:
        server.headers["ETag"] = None


async def test_the_rest_alone_is_asked_for_on_condition_that_it_is_the_same(
    archive: Archive, server: FileServer
) -> None:
    known = await stat_of(archive, "1")

    assert await read(archive, "1", 600_000, known) == BODY[600_000:]

    asked = server.requests("GET")
    assert [(seen.headers["range"], seen.headers["if-range"]) for seen in asked] == [("bytes=600000-", known.version)]
    assert asked[0].sent == len(BODY) - 600_000


async def test_a_date_does_where_there_is_no_etag(archive: Archive, server: FileServer) -> None:
    server.headers["ETag"] = None
    known = await stat_of(archive, "1")

    assert await read(archive, "1", 600_000, known) == BODY[600_000:]

    assert server.requests("GET")[0].headers["if-range"] == formatdate(MTIME, usegmt=True)


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
async def test_a_file_that_changed_in_between_is_an_error_with_its_name(
    archive: Archive, server: FileServer, header: str
) -> None:
    if header == "Last-Modified":
        server.headers["ETag"] = None
    known = await stat_of(archive, "1")
    server.headers[header] = '"new"' if header == "ETag" else formatdate(MTIME + 1, usegmt=True)

    for offset in (0, 10, len(BODY)):
        with pytest.raises(ItemRefused, match=r"^1: it has changed since it was asked for"):
            await read(archive, "1", offset, known)


async def test_a_part_of_another_file_is_not_put_to_the_first(archive: Archive, server: FileServer) -> None:
    """By a server that looks at no condition."""
    known = await stat_of(archive, "1")

    async def careless(exchange: Exchange) -> None:
        body = BODY[10:][::-1]
        headers = {"ETag": '"new"', "Content-Range": f"bytes 10-{len(BODY) - 1}/{len(BODY)}"}
        exchange.reply = Reply(206, headers, body)
        await exchange.send()

    server.misbehave("*", careless, method="GET")

    with pytest.raises(ItemRefused, match="has changed"):
        await read(archive, "1", 10, known)


async def test_a_weak_etag_tells_states_apart_and_puts_no_parts_together(archive: Archive, server: FileServer) -> None:
    server.headers["ETag"] = 'W/"weak"'
    known = await stat_of(archive, "1")

    assert await read(archive, "1", 10, known) == BODY[10:]
    assert server.requests("GET")[0].sent == len(BODY)
    server.headers["ETag"] = 'W/"other"'
    with pytest.raises(ItemRefused, match="has changed"):
        await read(archive, "1", 10, known)


@pytest.mark.parametrize("shift", [1, -1])
async def test_a_part_that_was_not_asked_for_is_refused(archive: Archive, server: FileServer, shift: int) -> None:
    server.misbehave("*", wrong_range(shift), method="GET")

    with pytest.raises(ItemRefused, match="answers byte 10 with 'bytes"):
        await read(archive, "1", 10)


async def test_an_end_before_the_offset_is_a_change(archive: Archive, server: FileServer) -> None:
    known = await stat_of(archive, "1")
    server.files["1"] = b"short"
    server.headers["ETag"] = known.version

    with pytest.raises(ItemRefused, match="1: "):
        await read(archive, "1", 600_000, known)


async def test_the_size_is_found_without_head_and_of_nothing_too(archive: Archive, server: FileServer) -> None:
    server.misbehave("*", status(403), method="HEAD")

    assert [(await stat_of(archive, item)).size for item in ITEMS] == [len(body) for body in ITEMS.values()]
    assert max(seen.sent for seen in server.requests("GET")) < 10


async def test_the_size_is_found_where_head_does_not_say(archive: Archive, server: FileServer) -> None:
    server.misbehave("*", without_length(), method="HEAD")

    assert (await stat_of(archive, "1")).size == len(BODY)


async def test_a_file_of_unknown_size_is_refused(archive: Archive, server: FileServer) -> None:
    server.misbehave("*", without_length())
    server.headers["Accept-Ranges"] = None

    found = await archive.stat(["1"])

    assert str(found["1"]) == "1: the archive tapes does not say how large it is"


@pytest.mark.parametrize(("length", "is_kept"), [(LONGEST_ETAG, True), (LONGEST_ETAG + 1, False)])
async def test_an_etag_of_any_length_does(archive: Archive, server: FileServer, length: int, is_kept: bool) -> None:
    server.headers["ETag"] = f'"{"x" * (length - 2)}"'
    known = await stat_of(archive, "1")

    assert (known.version == server.headers["ETag"]) is is_kept
    assert await read(archive, "1", 10, known) == BODY[10:]


async def test_an_etag_that_is_none_is_not_taken_for_one(archive: Archive, server: FileServer) -> None:
    """Some servers leave the quotes out; no condition can be made of that."""
    server.headers["ETag"] = "abc"
    known = await stat_of(archive, "1")

    assert known.version == formatdate(MTIME, usegmt=True)
    assert await read(archive, "1", 10, known) == BODY[10:]
    assert server.requests("GET")[0].headers["if-range"] == known.version


async def test_what_tells_no_time_and_no_etag_has_none(archive: Archive, server: FileServer) -> None:
    server.headers |= {"ETag": None, "Last-Modified": "once upon a time"}

    assert await stat_of(archive, "1") == ItemStat(len(BODY), 0, is_near=True, version="")
    assert await read(archive, "1", 10) == BODY[10:]


@pytest.mark.parametrize("code", [429, 503, 401])
async def test_a_server_that_cannot_now_is_down(archive: Archive, server: FileServer, code: int) -> None:
    server.misbehave("*", status(code, Retry_After="5"))

    with pytest.raises(ArchiveDown):
        await archive.stat(["1", "2"])
    with pytest.raises(ArchiveDown):
        await read(archive, "1", 0, ItemStat(len(BODY), MTIME, is_near=True))


@pytest.mark.parametrize("code", [202, 500])
async def test_an_item_that_it_cannot_give_now_harms_no_other(archive: Archive, server: FileServer, code: int) -> None:
    server.misbehave("/data/1", status(code, Retry_After="5"))

    found = await archive.stat(["1", "2"])

    assert isinstance(found["1"], ArchiveDown)
    assert found["1"].retry_seconds == 5
    assert isinstance(found["2"], ItemStat)


@pytest.mark.parametrize("code", [403, 404, 410, 451])
async def test_an_item_that_it_will_not_give_is_refused(archive: Archive, server: FileServer, code: int) -> None:
    server.misbehave("/data/1", status(code))

    found = await archive.stat(["1", "2"])

    assert isinstance(found["1"], ItemRefused)
    assert f"(status {code})" in str(found["1"])
    assert isinstance(found["2"], ItemStat)


async def test_a_broken_connection_goes_on_where_it_broke(archive: Archive, server: FileServer) -> None:
    known = await stat_of(archive, "1")
    server.misbehave("*", close_at(0.4, read_first=True), method="GET", once=True)
    got = b""

    async def fetch() -> None:
        nonlocal got
        async with archive.open("1", len(got), known) as pieces:
            async for piece in pieces:
                got += piece

    with pytest.raises(ArchiveDown, match="broke off"):
        await fetch()
    begun = len(got)
    await fetch()

    assert got == BODY
    assert server.requests("GET")[-1].sent == len(BODY) - begun


async def test_a_file_in_chunks_has_the_length_that_was_said(archive: Archive, server: FileServer) -> None:
    known = await stat_of(archive, "1")
    server.misbehave("*", without_length(), method="GET")
    assert await read(archive, "1", 0, known) == BODY

    server.headers["ETag"] = known.version
    server.files["1"] = BODY + b"more"
    with pytest.raises(ItemRefused, match="longer"):
        await read(archive, "1", 0, known)
    server.files["1"] = BODY[:-1]
    with pytest.raises(ItemRefused, match="has changed"):
        await read(archive, "1", 0, known)


async def test_a_slow_server_is_heard_to_its_end(archive: Archive, server: FileServer) -> None:
    server.misbehave("*", drip(3_000_000), method="GET")

    assert await read(archive, "1") == BODY


# Where it leads.


@pytest.mark.parametrize("item", ["dir/a b.nc", "dir/a%20b.nc", "/dir/a b.nc", "{url}dir/a%20b.nc"])
async def test_an_item_is_a_path_or_an_address_below_the_archives(
    archive: Archive, server: FileServer, item: str
) -> None:
    server.files["dir/a b.nc"] = b"here"

    assert await read(archive, item.format(url=server.url)) == b"here"
    assert {seen.target for seen in server.seen} == {"/data/dir/a%20b.nc"}


@pytest.mark.parametrize(
    ("item", "target"),
    [
        ("100%", "100%25"),
        ("a?b#c", "a%3Fb%23c"),
        ("ü", "%C3%BC"),
        ("\udcff", "%FF"),
        ("a%2Fb", "a%2Fb"),
        ("a+b", "a+b"),
    ],
)
async def test_what_cannot_stand_in_an_address_is_encoded_and_what_is_encoded_stays(
    archive: Archive, server: FileServer, item: str, target: str
) -> None:
    await archive.stat([item])

    assert server.seen[0].target == f"/data/{target}"


OUT = ["..", "../x", "a/../../x", "..%2fx", "%2e%2e/x", "..%252fx", "..\\x", "..%5cx", ".%2e/x", "a/%2e%2e/%2e%2e/x"]
ELSEWHERE = ["//other/x", "http://other/x", "http://127.0.0.1:1/data/x", "/\\other/x", "a//b", "x/"]
ODD = ["", "a\r\nHost: b", "\0", "%00", "%0d%0a", "\ud800", "%" + "25" * 9 + "2e", "%2fx", "\\x"]


@pytest.mark.parametrize("item", [*OUT, *ELSEWHERE, *ODD])
async def test_no_item_leads_out_of_the_archives_address(archive: Archive, server: FileServer, item: str) -> None:
    server.misbehave("*", say(b"out"))

    found = (await archive.stat([item]))[item]

    assert isinstance(found, ItemRefused), server.seen
    with pytest.raises(ItemRefused):
        await read(archive, item)
    assert server.seen == []


@given(
    st.lists(st.sampled_from(["..", ".", "%2e", "%2E", "%25", "2e", "/", "%2f", "\\", "%5C", "a", ":", "?", "#", "@"]))
)
def test_whatever_is_written_the_address_stays_below(parts: list[str]) -> None:
    item = "".join(parts)
    for encoded in (True, False):
        try:
            path = address_path(item, encoded=encoded)
        except ItemRefused:
            continue
        for _ in range(5):
            assert not path.startswith(("/", "\\"))
            assert ".." not in path.replace("\\", "/").split("/")
            path = unquote(path)


async def test_a_redirect_that_stays_below_is_followed(archive: Archive, server: FileServer) -> None:
    server.misbehave("/data/old", redirect_to("/data/2"))

    assert await read(archive, "old") == b"two"


@pytest.mark.parametrize("target", ["/login", "/data", "/database/2", "/data/../secret", "/data/%2e%2e/secret"])
async def test_a_redirect_out_of_the_address_is_not(archive: Archive, server: FileServer, target: str) -> None:
    server.misbehave("/data/1", redirect_to(target))
    for path in ("/login", "/secret", "/data", "/database/2", target):
        server.misbehave(path, say(b"secret"))

    found = await archive.stat(["1"])

    assert isinstance(found["1"], ItemRefused)
    with pytest.raises(ItemRefused):
        await read(archive, "1", 0, ItemStat(6, MTIME, is_near=True))


async def test_a_redirect_to_a_private_host_is_not_followed(archive: Archive, server: FileServer) -> None:
    with FileServer({"2": b"inside"}) as other:
        server.misbehave("*", redirect_to(f"{other.url}2"))

        found = await archive.stat(["1"])

        assert str(found["1"]) == "1: the archive tapes sends elsewhere for it, where the hub does not go"
        assert other.seen == []


@pytest.mark.parametrize(("name", "is_read"), [("1", False), ("1.tar.gz", True), ("1.TGZ", True)])
async def test_a_file_that_is_compressed_is_what_it_is_and_one_that_was_not_is_refused(
    archive: Archive, server: FileServer, name: str, is_read: bool
) -> None:
    server.files[name] = b"two"
    server.headers["Content-Encoding"] = "gzip"

    found = (await archive.stat([name]))[name]

    assert isinstance(found, ItemStat) is is_read
    if is_read:
        assert await read(archive, name) == b"two"
