"""What may lie in a bundle, how it is kept in memory, and the ETag."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import pytest

from creamery.bundles import BadBundle, BadMember, Format, Manifest, Member, Members, lay_out
from creamery.bundles import manifest as manifest_module
from creamery.contract import Digest, digest_of

DIGEST = digest_of(b"content")
GOOD = Member("good", 7, 0, DIGEST, 1)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "it is empty"),
        ("/etc/passwd", "it begins with a slash"),
        ("a//b", "it has a part ''"),
        ("a/", "it has a part ''"),
        ("..", "it has a part '..'"),
        ("a/../b", "it has a part '..'"),
        ("./a", "it has a part '.'"),
        ("nul\0", "it has a NUL"),
        ("lone\ud800", "it has no form in UTF-8"),
        ("good", "it comes twice, first as entry 1"),
        ("good/below", None),
        ("x" * 65_531, "with its folder it has 65536 bytes in UTF-8; 65535 are possible"),
        ("\u00e9" * 40_000, "with its folder it has 80005 bytes in UTF-8; 65535 are possible"),
    ],
)
def test_a_path_that_cannot_lie_in_an_archive_is_refused_and_named(path: str, reason: str | None) -> None:
    with pytest.raises(BadMember) as refused:
        Manifest(Members([Member("first", 1, 0, DIGEST), GOOD, Member(path, 1, 0, DIGEST)]), "root")

    if reason is None:
        assert refused.value.index == {"good/below": 1}.get(path, 2)
    else:
        assert (refused.value.index, refused.value.path, refused.value.reason) == (2, path, reason)


@pytest.mark.parametrize(
    "path", ["...", "a/..b", "a b", "line\nbreak", "-x", "~", "good.", "Good", "go", "x" * 65_530, "caf\u00e9"]
)
def test_every_other_path_is_taken_as_it_is(path: str) -> None:
    members = Members([GOOD, Member(path, 1, 0, DIGEST)])

    assert members[1].path == path
    assert lay_out(Manifest(members, "root", "zip")).length > len(path)


def test_a_folder_of_others_is_found_however_deep_and_late() -> None:
    rows = [Member(f"deep/{number}/a/b/c", 1, 0, DIGEST) for number in range(15_000)]

    with pytest.raises(BadMember, match=r"^entry 15000, 'deep/7/a': it is a file, and a folder of other entries$"):
        Members([*rows, Member("deep/7/a", 1, 0, DIGEST)])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"size": -1}, "its size -1 is none"),
        ({"size": 2**63}, "its size 9223372036854775808 is none"),
        ({"size": None}, "its size None is none"),
        ({"mtime": 2**63}, "its time 9223372036854775808 is none"),
        ({"mtime": 1.5}, "its time 1.5 is none"),
        ({"digest": "abc"}, "'abc' is no SHA-256"),
        ({"digest": " " * 64}, "is no SHA-256"),
        ({"crc32": -1}, "its CRC-32 -1 is none"),
        ({"crc32": 2**32}, "its CRC-32 4294967296 is none"),
    ],
)
def test_a_number_that_is_none_is_refused_with_its_entry(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadMember) as refused:
        Members([GOOD, Member("bad", 1, 0, DIGEST)._replace(**changed)])

    assert (refused.value.index, refused.value.path) == (1, "bad")
    assert reason in refused.value.reason


def test_digests_that_only_have_the_right_length_together_are_refused() -> None:
    rows = [GOOD._replace(path="a", digest=Digest(DIGEST + "00")), GOOD._replace(path="b", digest=Digest(DIGEST[2:]))]

    with pytest.raises(BadMember, match="entry 0, 'a'"):
        Members(rows)


def test_members_beyond_any_disk_are_refused() -> None:
    with pytest.raises(BadBundle, match="a bundle may have"):
        Members([GOOD._replace(path=str(number), size=2**61) for number in range(3)])


@pytest.mark.parametrize("root", ["", "a/b", "..", ".", "/", "nul\0", "lone\ud800"])
def test_a_folder_must_be_one_name(root: str) -> None:
    with pytest.raises(BadBundle, match="can be no bundle's folder"):
        Manifest(Members([GOOD]), root)


def test_an_unknown_format_or_version_is_refused() -> None:
    with pytest.raises(BadBundle, match="no format of bundles"):
        Manifest(Members(), "root", "rar")  # type: ignore[arg-type]
    with pytest.raises(BadBundle, match="there is no layout 2"):
        Manifest(Members(), "root", version=2)


def test_members_are_a_sequence_of_what_was_given() -> None:
    rows = [
        Member(f"caf\u00e9/{number}", number, -number, DIGEST, None if number % 2 else number) for number in range(9)
    ]

    members = Members(rows)

    assert list(members) == rows
    assert (members[-1], list(members[2:4]), len(members)) == (rows[-1], rows[2:4], 9)
    assert list(members.select([7, 0, 3])) == [rows[7], rows[0], rows[3]]
    with pytest.raises(IndexError):
        members[9]
    with pytest.raises(IndexError):
        members[-10]


def test_a_member_takes_little_more_than_its_name_in_memory() -> None:
    members = Members([Member(f"{number:08}", number, number, DIGEST, number) for number in range(20_000)])
    layout = lay_out(Manifest(members, "root"))

    columns = (members.sizes, members.mtimes, members.crc32s, members.name_ends, members.names, members._digests)
    bytes_each = sum(map(sys.getsizeof, (*columns, layout._form.ends))) / 20_000
    assert bytes_each < 8 + 85  # a growing column has an eighth to spare


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_a_layout_can_be_sent_to_another_process(form: Format) -> None:
    layout = lay_out(Manifest(Members([GOOD]), "root", form))

    received = pickle.loads(pickle.dumps(layout))

    assert received.etag == layout.etag
    assert list(received.pieces()) == list(layout.pieces())


def etag(*rows: Member, root: str = "root", form: Format = "tar") -> str:
    return Manifest(Members(rows), root, form).etag


def test_the_etag_changes_with_each_input(monkeypatch: pytest.MonkeyPatch) -> None:
    other = GOOD._replace(path="other")
    etags = [
        etag(GOOD, other),
        etag(other, GOOD),
        etag(GOOD),
        etag(),
        etag(GOOD._replace(path="gooc"), other),
        etag(GOOD._replace(size=8), other),
        etag(GOOD._replace(mtime=1), other),
        etag(GOOD._replace(digest=digest_of(b"else")), other),
        etag(GOOD, other, root="roof"),
        etag(GOOD, other, form="zip"),
        etag(GOOD._replace(path="goodo"), GOOD._replace(path="ther")),
        etag(GOOD._replace(size=0, mtime=7), other),
    ]
    monkeypatch.setattr(manifest_module, "VERSION", 2)
    etags.append(Manifest(Members([GOOD, other]), "root", version=2).etag)

    assert len(set(etags)) == len(etags)


def test_the_etag_changes_with_nothing_else() -> None:
    other = GOOD._replace(path="other")

    assert etag(GOOD, other) == etag(GOOD._replace(crc32=None), other)
    assert etag(GOOD, other) == Manifest(Members([other, GOOD]).select([1, 0]), "root").etag
    assert etag(GOOD, other) == lay_out(Manifest(Members(iter([GOOD, other])), "root")).etag
    assert etag(GOOD, other).isalnum()
