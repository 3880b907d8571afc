"""A folder as an archive: what it has, and what lies outside and must stay there."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.carts.archives import ArchiveDown, ItemRefused, ItemStat
from creamery.carts.archives import directory as module
from creamery.carts.archives.directory import Directory
from creamery.limits import Limits
from creamery.threads import Pools
from tests.suites.archive import ITEMS, MTIME, ArchiveSuite, read, stat_of

pytestmark = pytest.mark.anyio

SECRET = b"what nobody posted a cart for"


@pytest.fixture
def pools() -> Iterator[Pools]:
    made = Pools(Limits())
    yield made
    made.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The archive's folder, with a secret beside it."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for name, body in ITEMS.items():
        write(folder / name, body)
    write(folder / "deep" / "er" / "file", b"deep")
    write(tmp_path / "secret", SECRET)
    write(tmp_path / "outside" / "secret", SECRET)
    return folder


@pytest.fixture
def archive(root: Path, pools: Pools) -> Directory:
    return Directory("shelf", root, pools.disk, at_once=4, window=10)


def write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    os.utime(path, (MTIME, MTIME))


def move(path: Path, target: Path) -> None:
    path.rename(target)


def descriptors() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a name is all there is of the one that lists


class TestDirectory(ArchiveSuite):
    """The promise."""


async def test_paths_lead_down(archive: Directory) -> None:
    assert await read(archive, "deep/er/file") == b"deep"
    assert await read(archive, "/deep/er/file") == b"deep"


@pytest.mark.parametrize(
    "item",
    [
        *(
            "",
            "/",
            ".",
            "..",
            "../secret",
            "deep/../../secret",
            "deep/../1",
            "./1",
            "deep//er/file",
            "//1",
            "deep/er/file/",
        ),
        *("/etc/passwd", "1\0", "1\n", "\x7f", "\ud800", "x" * 300, "x/" * 5_000 + "x", "1/2", "deep", "deep/er"),
    ],
)
async def test_what_is_no_path_to_a_file_is_refused(archive: Directory, item: str) -> None:
    found = (await archive.stat([item, "1"]))[item]

    assert isinstance(found, ItemRefused)
    assert str(found).isprintable()
    assert len(str(found)) < 400
    with pytest.raises(ItemRefused):
        await read(archive, item)


@given(parts=st.lists(st.sampled_from(["..", ".", "", "in", "out", "up", "deep", "secret", "1", "a\\..", "%2e%2e"])))
def test_no_path_leads_out(
    tmp_path_factory: pytest.TempPathFactory, shared: tuple[Directory, Path], parts: list[str]
) -> None:
    archive, _ = shared
    try:
        with archive.descriptor("/".join(parts)) as descriptor:
            assert os.read(descriptor, 100) == b"inside"
    except ItemRefused:
        pass


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Directory, Path]]:
    """A folder full of links, and every file in it says `inside`."""
    top = tmp_path_factory.mktemp("links")
    write(top / "secret", SECRET)
    root = top / "archive"
    write(root / "1", b"inside")
    write(root / "deep" / "1", b"inside")
    (root / "out").symlink_to("..")
    (root / "in").symlink_to("deep")
    (root / "up").symlink_to("deep/..")
    (root / "deep" / "out").symlink_to("../../archive/../secret")
    (root / "deep" / "up").symlink_to("../in/../up")
    made = Pools(Limits())
    yield Directory("links", root, made.disk, at_once=1, window=1), root
    made.close()


@pytest.mark.parametrize(
    "target",
    ["../secret", "{top}/secret", "deep/../../secret", "../archive/../secret", "../archive/1"],
)
async def test_a_link_that_leads_out_is_refused_even_where_it_comes_back(
    archive: Directory, root: Path, target: str
) -> None:
    (root / "link").symlink_to(target.format(top=root.parent))

    found = (await archive.stat(["link"]))["link"]

    assert isinstance(found, ItemRefused)
    assert "leads out of the archive" in str(found)
    with pytest.raises(ItemRefused, match="leads out"):
        await read(archive, "link")


async def test_a_folder_that_is_a_link_out_is_refused(archive: Directory, root: Path) -> None:
    (root / "folder").symlink_to(root.parent / "outside")
    (root / "relative").symlink_to("../outside")

    for item in ("folder/secret", "relative/secret"):
        with pytest.raises(ItemRefused, match="leads out"):
            await read(archive, item)


async def test_links_that_stay_inside_are_followed(archive: Directory, root: Path) -> None:
    (root / "link").symlink_to("deep/er/../er/file")
    (root / "deep" / "up").symlink_to("../1")
    (root / "folder").symlink_to("deep/er")
    (root / "chain").symlink_to("folder/../../link")

    assert await read(archive, "link") == b"deep"
    assert await read(archive, "deep/up") == ITEMS["1"]
    assert await read(archive, "folder/file") == b"deep"
    assert await read(archive, "chain") == b"deep"


async def test_links_in_a_circle_and_to_nowhere_are_refused(archive: Directory, root: Path) -> None:
    (root / "circle").symlink_to("circle")
    (root / "dangling").symlink_to("nowhere")

    found = await archive.stat(["circle", "dangling"])

    assert [str(found[item]) for item in ("circle", "dangling")] == [
        "circle: its links lead in a circle",
        "dangling: it is not there",
    ]


async def test_what_is_no_plain_file_is_refused_without_being_opened(archive: Directory, root: Path) -> None:
    os.mkfifo(root / "fifo")
    folder = os.open(root, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{folder}/socket")  # the whole path is too long for one
        os.close(folder)

        found = await archive.stat(["fifo", "socket", "deep"])

        assert [str(found[item]) for item in ("fifo", "socket", "deep")] == [
            "fifo: it is no file",
            "socket: it is no file",
            "deep: it is a folder",
        ]
        for item in found:
            async with asyncio.timeout(5):  # who opens a fifo waits for a writer
                with pytest.raises(ItemRefused):
                    await read(archive, item)


async def test_a_file_that_becomes_a_link_while_it_is_opened_leads_nowhere(
    archive: Directory, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between look and open somebody puts a link there, or a link in place of its folder."""
    real = os.open

    def swapped(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path in {"1", "er"} and not (root / "swapped").exists():
            folder = root if path == "1" else root / "deep"
            (folder / path).rename(root / "swapped")
            (folder / path).symlink_to(root.parent / "outside" if path == "er" else root.parent / "secret")
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapped)

    with pytest.raises(ItemRefused, match="1: it changed while it was opened"):
        await read(archive, "1")
    (root / "swapped").unlink()
    with pytest.raises(ItemRefused):
        await read(archive, "deep/er/secret")


async def test_nothing_leaks_out_while_somebody_swaps_folders_for_links(archive: Directory, root: Path) -> None:
    write(root / "flip" / "secret", b"inside")
    ended = threading.Event()

    def swap() -> None:
        while not ended.wait(0.0005):
            (root / "next").symlink_to(root.parent / "outside")
            (root / "flip").rename(root / "away")
            (root / "next").rename(root / "flip")
            ended.wait(0.0005)
            (root / "flip").unlink()
            (root / "away").rename(root / "flip")

    swapping = threading.Thread(target=swap)
    swapping.start()
    is_read = {True: 0, False: 0}
    try:
        async with asyncio.timeout(30):
            while min(is_read.values()) < 50:
                try:
                    assert await read(archive, "flip/secret") == b"inside"
                    is_read[True] += 1
                except ItemRefused:
                    is_read[False] += 1
    finally:
        ended.set()
        swapping.join()


async def test_files_of_many_folders_are_told_apart_in_one_batch(archive: Directory, root: Path) -> None:
    """The folders that were walked last are held open, and are not those of the next path."""
    names = ["a/b/c/f", "a/f", "b/f", "b/c/f", "a/b/f", "c/b/f", "f", "a/c/f", "b/c/d/f", "c/f"]
    for number, name in enumerate(names):
        write(root / name, name.encode() * (number + 1))

    found = await archive.stat(names)

    assert {name: stat.size for name, stat in found.items() if isinstance(stat, ItemStat)} == {
        name: len(name) * (number + 1) for number, name in enumerate(names)
    }


async def test_a_disk_that_fails_under_who_reads_by_hand_is_an_error_with_its_name(archive: Directory) -> None:
    with pytest.raises(ItemRefused, match=r"1: it cannot be read \(Input/output error\)"), archive.descriptor("1"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("item", ["a\x7f", "a\x00", "a\n", "\x1f"])
async def test_control_characters_are_the_reason_not_that_it_is_missing(archive: Directory, item: str) -> None:
    assert "control characters" in str((await archive.stat([item]))[item])


async def test_names_are_bytes(archive: Directory, root: Path) -> None:
    name = b"gr\xfcn \xe2\x82\xac"  # Latin-1 and UTF-8 in one
    item = name.decode("utf-8", "surrogateescape")
    (root / item).write_bytes(b"odd")

    listed = [entry.item for entry in await archive.list("", 100, None)]

    assert item in listed
    assert (await stat_of(archive, item)).size == 3
    assert await read(archive, item) == b"odd"


@pytest.mark.parametrize("change", ["grown", "shorter", "rewritten", "emptied"])
async def test_a_file_that_changes_while_it_is_read_is_an_error_with_its_name(
    archive: Directory, root: Path, change: str
) -> None:
    path, body = root / "large", bytes(3 << 20)
    write(path, body)

    def changes() -> None:
        match change:
            case "grown":
                write(path, body + b"more")
            case "shorter":
                os.truncate(path, 2 << 20)
            case "emptied":
                os.truncate(path, 0)
            case _:
                with path.open("r+b") as file:
                    file.write(b"new")

    async def read_on() -> None:
        async with archive.open("large", 0) as pieces:
            async for _ in pieces:
                changes()

    with pytest.raises(ItemRefused, match="large: it changed while it was read"):
        await read_on()


async def test_a_file_that_changes_behind_its_only_piece_is_noticed_by_who_reads_by_hand(
    archive: Directory, root: Path
) -> None:
    with archive.descriptor("1") as descriptor:
        assert os.pread(descriptor, 1 << 21, 0) == ITEMS["1"]

    with pytest.raises(ItemRefused, match="2: it changed"), archive.descriptor("2"):
        (root / "2").write_bytes(b"three")


async def test_a_file_that_was_replaced_since_it_was_asked_for_is_another(archive: Directory, root: Path) -> None:
    known = await stat_of(archive, "2")
    os.utime(root / "2", ns=(MTIME * 10**9 + 1, MTIME * 10**9 + 1))  # a nanosecond later

    assert (await stat_of(archive, "2")).mtime == known.mtime
    with pytest.raises(ItemRefused, match="has changed"):
        await read(archive, "2", 1, known)
    with pytest.raises(ItemRefused, match="has changed"), archive.descriptor("2", known):
        pass
    assert await read(archive, "2", 1, ItemStat(3, MTIME, is_near=True)) == b"wo"


async def test_a_folder_that_is_away_is_an_archive_that_is_down(archive: Directory, root: Path) -> None:
    move(root, root.with_name("elsewhere"))

    for asked in (archive.stat(["1"]), read(archive, "1"), archive.list("", 1, None)):
        with pytest.raises(ArchiveDown, match="the archive shelf is not there"):
            await asked

    move(root.with_name("elsewhere"), root)
    assert await read(archive, "2") == b"two"


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EMFILE, ArchiveDown), (errno.ESTALE, ArchiveDown), (errno.EIO, ItemRefused)]
)
async def test_troubles_that_pass_are_told_from_those_that_stay(
    archive: Directory, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def fails(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pread", fails)

    with pytest.raises(kind):
        await read(archive, "1")


async def test_what_may_not_be_read_is_refused(archive: Directory, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuses(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "1":  # root may read everything
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuses)

    with pytest.raises(ItemRefused, match="1: the hub may not read it"):
        await read(archive, "1")


async def test_folders_are_listed_in_order_and_in_pages(archive: Directory, root: Path) -> None:
    os.mkfifo(root / "0-fifo")
    (root / "0-out").symlink_to("../secret")
    (root / "link").symlink_to("2")
    write(root / "odd\nname", b"")

    whole = await archive.list("", 100, None)
    pages, after = [], None
    while page := await archive.list("", 1, after):
        pages += page
        after = page[-1].name

    assert pages == whole
    assert [(entry.item, entry.is_folder, entry.size, entry.mtime) for entry in whole] == [
        ("1", False, len(ITEMS["1"]), MTIME),
        ("2", False, 3, MTIME),
        ("3", False, 0, MTIME),
        ("deep", True, None, None),
        ("link", False, 3, MTIME),
    ]
    assert [(entry.item, entry.name) for entry in await archive.list("deep/er", 10, None)] == [("deep/er/file", "file")]


@pytest.mark.parametrize("folder", ["..", "1", "nowhere", "deep/.."])
async def test_what_is_no_folder_of_it_is_not_listed(archive: Directory, folder: str) -> None:
    with pytest.raises(ItemRefused):
        await archive.list(folder, 10, None)


async def test_no_descriptor_is_left_behind(archive: Directory, root: Path) -> None:
    (root / "circle").symlink_to("circle")
    (root / "link").symlink_to("deep/er/../er/file")
    await read(archive, "1")  # whatever is opened once, is
    before = descriptors()

    for item in ("1", "4", "deep", "deep/er/file", "circle", "link", "..", "1/2"):
        try:
            async with archive.open(item, 0) as pieces:
                async for _ in pieces:
                    break
        except ItemRefused:
            pass
    await archive.stat(["1", "deep/er/file", "4", "link"])
    await archive.list("deep", 10, None)
    with pytest.raises(ZeroDivisionError), archive.descriptor("1"):
        raise ZeroDivisionError

    assert descriptors() == before


async def test_who_stops_waiting_leaves_no_descriptor_behind(
    archive: Directory, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root / "large", bytes(8 << 20))
    await read(archive, "large")
    before = descriptors()
    reading, go_on, real = threading.Event(), threading.Event(), os.pread

    def slow(descriptor: int, length: int, offset: int) -> bytes:
        if offset:
            reading.set()
            go_on.wait(5)
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", slow)
    task = asyncio.create_task(read(archive, "large"))
    await asyncio.to_thread(reading.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    still = descriptors()
    go_on.set()

    assert still == before + 1  # the thread reads what is still the same file
    for _ in range(500):
        if descriptors() == before:
            break
        await asyncio.sleep(0.01)
    assert descriptors() == before


async def test_many_are_looked_at_in_groups(archive: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOGETHER", 2)

    found = await archive.stat([*ITEMS, "4", "deep/er/file"])

    assert [isinstance(stat, ItemStat) for stat in found.values()] == [True, True, True, False, True]


async def test_a_folder_deeper_than_anybody_needs_is_refused(archive: Directory, root: Path) -> None:
    deep = root
    for _ in range(210):
        deep /= "d"
    write(deep / "file", b"deep")
    before = descriptors()

    found = (await archive.stat(["d/" * 210 + "file"])).popitem()[1]

    assert isinstance(found, ItemRefused)
    assert "200 folders" in str(found)
    assert descriptors() == before
