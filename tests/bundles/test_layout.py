"""Any range of an archive is the slice of the whole, and the whole is what the standard library reads."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creamery.bundles import ChecksumUnknown, Format, Layout, Manifest, Member, Members, Slice, lay_out
from creamery.contract import digest_of
from tests.doubles.pantry import Pantry

FORMATS: tuple[Format, ...] = ("tar", "zip")

PARTS = st.one_of(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.sampled_from(["x" * 99, "y" * 100, "z" * 156, "caf\u00e9", "cafe\u0301", "\U0001f9c0", "-", " ", "\n"]),
).filter(lambda part: part not in {".", ".."})
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
SIZES = st.sampled_from([0, 1, 2, 100, 511, 512, 513, 1024, 5_000])
MTIMES = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([-1, -(2**40), 8**11 - 1, 8**11, 2**52, 0]))
MEMBERS = st.lists(st.tuples(PATHS, SIZES, MTIMES), max_size=12)


@contextmanager
def stocked(rows: list[tuple[str, int, int]]) -> Iterator[Pantry]:
    """A pantry with those of the rows that do not clash."""
    with tempfile.TemporaryDirectory() as folder:
        pantry = Pantry(Path(folder))
        taken: set[str] = set()
        for number, (path, size, mtime) in enumerate(rows):
            parents = {path[:at] for at in range(len(path)) if path[at] == "/"}
            if path in taken or parents & taken or any(other.startswith(path + "/") for other in taken):
                continue
            taken.add(path)
            pantry.add(path, (b"%d." % number * size)[:size], mtime)
        yield pantry


def said_by_tarfile(whole: bytes) -> list[tuple[str, int, int, bytes | None]]:
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        found = []
        for info in archive:
            assert info.isreg()
            file = archive.extractfile(info)
            content = file.read() if file else None
            found.append((info.name, info.size, int(info.pax_headers.get("mtime", info.mtime)), content))
        return found


def said_by_zipfile(whole: bytes) -> list[tuple[str, int, int, bytes | None]]:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return [
            (info.filename, info.file_size, int.from_bytes(info.extra[-4:], "little"), archive.read(info))
            for info in archive.infolist()
        ]


@given(MEMBERS, PARTS, st.sampled_from(FORMATS))
@settings(max_examples=150)
def test_the_standard_library_reads_what_was_put_in(rows: list[tuple[str, int, int]], root: str, form: Format) -> None:
    with stocked(rows) as pantry:
        layout = pantry.layout(form, root)

        whole = pantry.read(layout)

        said = said_by_tarfile(whole) if form == "tar" else said_by_zipfile(whole)
        assert len(whole) == layout.length
        assert said == [
            (f"{root}/{row.path}", row.size, row.mtime if form == "tar" else min(max(row.mtime, 0), 2**32 - 1), content)
            for row, content in zip(pantry.rows, pantry.contents, strict=True)
        ]


@given(MEMBERS, st.sampled_from(FORMATS), st.data())
@settings(max_examples=150)
def test_any_range_is_the_slice_of_the_whole(
    rows: list[tuple[str, int, int]], form: Format, data: st.DataObject
) -> None:
    with stocked(rows) as pantry:
        layout = pantry.layout(form)
        whole = pantry.read(layout)
        edges = sorted({0, layout.length, *layout.offsets(), *layout._form.ends})
        near = st.builds(
            lambda edge, by: min(max(edge + by, 0), layout.length), st.sampled_from(edges), st.integers(-2, 2)
        )
        for _ in range(8):
            start, stop = sorted((data.draw(near | st.integers(0, layout.length)), data.draw(near)))

            pieces = list(layout.pieces(start, stop))

            assert pantry.assembled(layout, start, stop) == whole[start:stop]
            assert pantry.read(layout, start, stop) == whole[start:stop]
            assert all(piece.length > 0 if isinstance(piece, Slice) else piece for piece in pieces)


@pytest.mark.parametrize("form", FORMATS)
def test_each_byte_alone_is_that_byte(odd: Pantry, form: Format) -> None:
    odd.rows, odd.contents = odd.rows[:9], odd.contents[:9]
    layout = odd.layout(form)
    whole = odd.assembled(layout)

    assert b"".join(odd.assembled(layout, at, at + 1) for at in range(layout.length)) == whole


@pytest.mark.parametrize("form", FORMATS)
def test_a_members_offset_is_where_its_bytes_are(odd: Pantry, form: Format) -> None:
    layout = odd.layout(form)
    whole = odd.read(layout)

    offsets = list(layout.offsets())

    assert offsets == [layout.offset(index) for index in range(len(odd.rows))]
    assert odd.contents == [whole[offset : offset + row.size] for offset, row in zip(offsets, odd.rows, strict=True)]


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, 10_241), (10_241, None)])
def test_a_range_beyond_the_archive_is_an_error(pantry: Pantry, start: int, stop: int | None) -> None:
    layout = pantry.layout()

    with pytest.raises(ValueError, match="is no range of 10240 bytes"):
        layout.pieces(start, stop)


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_in_it_is_an_empty_archive(pantry: Pantry, form: Format) -> None:
    whole = pantry.read(pantry.layout(form))

    assert (said_by_tarfile(whole) if form == "tar" else said_by_zipfile(whole)) == []
    assert len(whole) == {"tar": 10_240, "zip": 22}[form]


def layout_without_checksums() -> Layout:
    rows = [Member(f"file-{number}", 10, 0, digest_of(b"%d" % number), None) for number in range(3)]
    return lay_out(Manifest(Members(rows), "root", "zip"))


def test_a_zips_length_and_ranges_without_headers_need_no_checksum() -> None:
    layout = layout_without_checksums()
    offset = layout.offset(1)

    pieces = list(layout.pieces(offset + 2, offset + 10))

    assert pieces == [Slice(1, 2, 8)]
    assert layout.length == 3 * (30 + 11 + 9 + 10) + 3 * (46 + 11 + 9) + 22


def test_a_checksum_is_asked_for_when_its_header_is_reached() -> None:
    layout = layout_without_checksums()
    asked: list[int] = []

    def checksum(member: int) -> int:
        asked.append(member)
        return 0x01020304 + member

    pieces = layout.pieces(layout.offset(0), None, checksum)
    first, second = next(pieces), next(pieces)

    assert (first, asked) == (Slice(0, 0, 10), [1])
    assert isinstance(second, bytes)
    assert second[14:18] == b"\x05\x03\x02\x01"


def test_a_checksum_that_nobody_knows_is_named() -> None:
    with pytest.raises(ChecksumUnknown, match="'file-0'"):
        list(layout_without_checksums().pieces())


def test_a_tar_needs_no_checksum() -> None:
    layout = lay_out(Manifest(layout_without_checksums().manifest.members, "root", "tar"))

    assert layout.length == 10_240
    assert len(list(layout.pieces())) == 7


GOLDEN = {
    ("tar", "data"): (
        9_664_020_480,
        "6ad4ef324818a67fd49b91dea9ca83a3ff930447e82526d03d156b9bf5ed668a",
        "6e6efbc04e71d9f90051611a88c90da41d5d07edd9f94971e7a886e654530f82",
    ),
    ("tar", "d\u00e9p\u00f4t 1"): (
        9_664_040_960,
        "f28355b2fc640241d08454d6cfae8d074738a39b65d6206cfa905bdbfa75958a",
        "58a782eb955fcbce6433581c1b0e11f7edf9c6782fd6526eb7d1757131fb1d74",
    ),
    ("zip", "data"): (
        9_663_992_890,
        "dac3c586fac3cb7d5ca1c3c5a91054be15dbfda4eb7b6ae0d1a911a14e2d2fde",
        "8d95e731a254f000330f4dc1f0163e8a2024057b452cceb2b3d1df29b647e4b3",
    ),
    ("zip", "d\u00e9p\u00f4t 1"): (
        9_663_993_120,
        "c63e3a2128652633ef75e43c05b9a4759ed17a38a3410c53f628ff49b6edbc15",
        "5ce091ee7129741e87ebd1549e1cb7592b7b6f2e7142b9cfba0e37a790ff6139",
    ),
}
"""Length, SHA-256 of the bytes, ETag: of layout version 1. See the test before changing one."""


@pytest.mark.parametrize(("form", "root"), GOLDEN)
def test_the_bytes_of_layout_version_1_never_change(odd: Pantry, form: Format, root: str) -> None:
    """A download that is resumed after an upgrade gets the second half of the same archive.

    Should this fail, the layout has changed: give it a new version, and keep the old one for those who resume.
    """
    odd.add("negative", b"n", -5)
    odd.add("far", b"f", 8**12)
    odd.add("zero", b"z", 0)
    odd.add_sparse("9 GiB", 9 * 1024**3)
    odd.add("behind", b"them")
    layout = odd.layout(form, root)

    hashed = hashlib.sha256()
    for piece in layout.pieces():
        hashed.update(piece if isinstance(piece, bytes) else odd.contents[piece.member] or b"9 GiB")

    assert (layout.length, hashed.hexdigest(), layout.etag) == GOLDEN[form, root]
