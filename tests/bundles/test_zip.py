"""What a zip's headers say, and when they are zip64."""

from __future__ import annotations

import io
import zipfile

import pytest

from creamery.bundles import Layout, Manifest, Member, Members, lay_out
from creamery.contract import digest_of
from tests.doubles.pantry import WHEN, Archive, Pantry

DIGEST = digest_of(b"")
GIB = 1024**3
MOST_32 = 2**32 - 1


def laid_out(*sizes: int) -> Layout:
    rows = [Member(f"{number}", size, WHEN, DIGEST, 0) for number, size in enumerate(sizes)]
    return lay_out(Manifest(Members(rows), "r", "zip"))


def after_members(layout: Layout) -> bytes:
    last = len(layout.manifest.members) - 1
    start = layout.offset(last) + layout.manifest.members.sizes[last]
    return b"".join(piece for piece in layout.pieces(start) if isinstance(piece, bytes))


@pytest.mark.parametrize(
    ("sizes", "local", "directory"),
    [
        ((0,), 30 + 3 + 9, 46 + 3 + 9 + 22),
        ((MOST_32 - 1,), 30 + 3 + 9, 46 + 3 + 9 + 56 + 20 + 22),  # the directory's offset needs it
        ((MOST_32,), 30 + 3 + 9 + 20, 46 + 3 + 9 + 20 + 56 + 20 + 22),
    ],
)
def test_zip64_is_used_only_where_it_is_needed(sizes: tuple[int, ...], local: int, directory: int) -> None:
    layout = laid_out(*sizes)

    assert layout.offset(0) == local
    assert layout.length == local + sizes[0] + directory


@pytest.mark.parametrize(("begin", "is_zip64"), [(MOST_32 - 1, False), (MOST_32, True)])
def test_the_directory_is_zip64_from_4_gib_on(begin: int, is_zip64: bool) -> None:
    layout = laid_out(begin - 42)

    assert after_members(layout)[:4] == b"PK\1\2"
    assert (b"PK\6\6" in after_members(layout)) == is_zip64


@pytest.mark.parametrize(("count", "is_zip64"), [(65_534, False), (65_535, True), (65_536, True), (70_000, True)])
def test_more_than_65534_entries_are_read(count: int, is_zip64: bool) -> None:
    layout = laid_out(*[0] * count)
    whole = b"".join(piece for piece in layout.pieces() if isinstance(piece, bytes))

    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        names = archive.namelist()
    assert names == [f"r/{number}" for number in range(count)]
    assert (b"PK\6\6" in whole[-98:]) == is_zip64
    assert len(whole) == layout.length


@pytest.mark.parametrize("behind", [MOST_32 - 1, MOST_32, MOST_32 + 1])
def test_an_offset_is_zip64_when_it_has_to_be(pantry: Pantry, behind: int) -> None:
    header = 30 + len("root/large") + 9
    pantry.add_sparse("large", behind - header)
    pantry.add("after", b"far away")
    layout = pantry.layout("zip")

    entry = after_members(layout)[46 + len("root/large") + 9 :]
    with zipfile.ZipFile(Archive(pantry, layout)) as archive:
        info, content = archive.getinfo("root/after"), archive.read("root/after")

    assert layout.offset(1) == behind + 30 + len("root/after") + 9
    assert (info.header_offset, content) == (behind, b"far away")
    assert int.from_bytes(entry[30:32], "little") == 9 + (12 if behind >= MOST_32 else 0)


def test_a_member_of_9_gib_and_one_behind_it(pantry: Pantry) -> None:
    pantry.add("before", b"first")
    pantry.add_sparse("sparse", 9 * GIB)
    pantry.add("after", b"after 9 GiB")

    with zipfile.ZipFile(Archive(pantry, pantry.layout("zip"))) as archive:
        found = [(info.filename, info.file_size, info.compress_size) for info in archive.infolist()]
        content = archive.read("root/after")

    assert found == [
        ("root/before", 5, 5),
        ("root/sparse", 9 * GIB, 9 * GIB),
        ("root/after", 11, 11),
    ]
    assert content == b"after 9 GiB"


@pytest.mark.parametrize(
    ("mtime", "seconds", "dos"),
    [
        (WHEN, WHEN, (2026, 1, 2, 3, 4, 4)),
        (1_709_210_096, 1_709_210_096, (2024, 2, 29, 12, 34, 56)),
        (0, 0, (1980, 1, 1, 0, 0, 0)),
        (-1, 0, (1980, 1, 1, 0, 0, 0)),
        (315_532_800, 315_532_800, (1980, 1, 1, 0, 0, 0)),
        (2**31, 2**31, (2038, 1, 19, 3, 14, 8)),
        (MOST_32, MOST_32, (2106, 2, 7, 6, 28, 14)),
        (MOST_32 + 1, MOST_32, (2106, 2, 7, 6, 28, 16)),
        (2**40, MOST_32, (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_a_time_is_told_twice_and_never_beyond_what_readers_take(
    pantry: Pantry, mtime: int, seconds: int, dos: tuple[int, ...]
) -> None:
    pantry.add("a", b"", mtime)

    with zipfile.ZipFile(io.BytesIO(pantry.read(pantry.layout("zip")))) as archive:
        info = archive.getinfo("root/a")

    assert info.date_time == dos
    assert info.extra == b"UT\x05\x00\x01" + seconds.to_bytes(4, "little")


def test_the_flag_of_utf_8_is_set_where_a_name_is_not_ascii(pantry: Pantry) -> None:
    pantry.add("plain")
    pantry.add("caf\u00e9", b"x")

    with zipfile.ZipFile(io.BytesIO(pantry.read(pantry.layout("zip")))) as archive:
        flags = [info.flag_bits for info in archive.infolist()]
        modes = {info.external_attr >> 16 for info in archive.infolist()}

    assert (flags, modes) == ([0, 1 << 11], {0o100644})


def test_checksums_are_right(odd: Pantry) -> None:
    with zipfile.ZipFile(io.BytesIO(odd.read(odd.layout("zip")))) as archive:
        assert archive.testzip() is None
