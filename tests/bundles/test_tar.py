"""What a tar's headers say, and when they are pax."""

from __future__ import annotations

import io
import tarfile

import pytest

from creamery.bundles import Layout, Manifest, Member, Members, Slice, lay_out
from creamery.contract import digest_of
from tests.doubles.pantry import WHEN, Archive, Pantry

DIGEST = digest_of(b"")
GIB = 1024**3


def head(path: str, size: int = 1, mtime: int = 0, root: str = "r") -> bytes:
    layout = lay_out(Manifest(Members([Member(path, size, mtime, DIGEST)]), root))
    return b"".join(piece for piece in layout.pieces(0, layout.offset(0)) if isinstance(piece, bytes))


def by_tarfile(name: str, size: int, mtime: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, mtime
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except (ValueError, UnicodeError):
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


@pytest.mark.parametrize(
    ("path", "size", "mtime"),
    [
        ("a", 0, 0),
        ("x" * 98, 1, WHEN),
        ("x" * 99, 1, WHEN),
        ("caf\u00e9", 8 * GIB, WHEN),
        ("a", 8 * GIB - 1, 8**11 - 1),
        ("a", 8 * GIB, 1),
        ("a", 1, 8**11),
        ("a", 1, -1),
        ("\U0001f9c0" * 40, 9 * GIB, -(8**12)),
        ("d" * 60 + "/" + "e" * 60 + "/" + "f" * 60, 1, 1),
        ("d" * 60 + "/" + "e" * 60 + "/" + "f" * 60, 8 * GIB, 1),
        ("d" * 153 + "/" + "x" * 101, 1, 1),
        ("d" * 154 + "/" + "x" * 10, 1, 1),
    ],
)
def test_a_header_is_the_one_that_tarfile_makes(path: str, size: int, mtime: int) -> None:
    assert head(path, size, mtime) == by_tarfile(f"r/{path}", size, mtime)


@pytest.mark.parametrize(
    ("path", "blocks"),
    [
        ("x" * 98, 1),
        ("x" * 100, 1),
        ("x" * 101, 3),
        ("d" * 153 + "/" + "x" * 100, 1),
        ("d" * 153 + "/" + "x" * 101, 3),
        ("d" * 154 + "/" + "x" * 10, 3),
        ("a/" * 77 + "x" * 100, 1),
        ("a/" * 78 + "x" * 100, 3),
        ("a/" * 76 + "b/" + "x" * 99, 1),
        ("\u00e9", 3),
        ("\u00e9" * 220, 3),
        ("\u00e9" * 252, 4),
    ],
)
def test_pax_is_used_where_ustar_has_no_room(path: str, blocks: int) -> None:
    assert len(head(path)) == blocks * 512


@pytest.mark.parametrize("length", [*range(95, 105), *range(480, 520), *range(990, 1_010), *range(9_980, 10_020)])
def test_a_pax_record_counts_its_own_digits(length: int) -> None:
    path = "\u00e9" + "x" * length

    with tarfile.open(fileobj=io.BytesIO(head(path, 0) + bytes(1024))) as archive:
        assert archive.getnames() == [f"r/{path}"]


def test_nothing_but_name_size_and_time_is_told() -> None:
    info = tarfile.TarInfo.frombuf(head("a"), "utf-8", "strict")

    assert (info.mode, info.uid, info.gid, info.uname, info.gname, info.type) == (0o644, 0, 0, "", "", b"0")


def large_one_between(pantry: Pantry) -> Layout:
    pantry.add("before", b"first")
    pantry.add_sparse("sparse", 9 * GIB)
    pantry.add("after", b"after 9 GiB")
    return pantry.layout()


def test_a_member_of_9_gib_and_one_behind_it(pantry: Pantry) -> None:
    layout = large_one_between(pantry)

    with tarfile.open(fileobj=Archive(pantry, layout)) as archive:
        found = [(info.name, info.size, info.mtime) for info in archive]
        behind = archive.extractfile("root/after")
        content = behind.read() if behind else None

    assert found == [("root/before", 5, WHEN), ("root/sparse", 9 * GIB, WHEN), ("root/after", 11, WHEN)]
    assert content == b"after 9 GiB"


def test_a_range_far_behind_begins_with_the_right_byte_of_the_right_member(pantry: Pantry) -> None:
    layout = large_one_between(pantry)
    begin = layout.offset(1)

    assert list(layout.pieces(begin + 5 * GIB, begin + 5 * GIB + 10)) == [Slice(1, 5 * GIB, 10)]
    assert pantry.read(layout, begin + 9 * GIB - 3, begin + 9 * GIB) == bytes(3)


def test_the_length_is_a_multiple_of_a_record_with_two_empty_blocks(pantry: Pantry) -> None:
    pantry.add("fills", bytes(10_240 - 512 - 1_024))
    full = pantry.layout()
    pantry.add("one more", b"")

    assert (full.length, pantry.layout().length) == (10_240, 20_480)
