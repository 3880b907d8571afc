"""What can be a cart, and what is refused with the entry that it stands in, before anything is staged."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.carts.manifest import BadManifest, Entry, ManifestTooLarge, read_manifest
from creamery.limits import Limits

LIMITS = Limits(cart_files=5, cart_path_bytes=100)
MD5 = hashlib.md5(b"milk", usedforsecurity=False).hexdigest()


def entry(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "path": "a/b", "hashtype": "md5", "hashsum": MD5, **changes}


def read(*entries: Any, **more: Any) -> tuple[Entry, ...]:
    return read_manifest(json.dumps({"fileids": list(entries), **more}).encode(), LIMITS).entries


def refused(*entries: Any) -> str:
    with pytest.raises(BadManifest) as refusal:
        read(*entries)
    return str(refusal.value)


def test_the_documented_list_is_one() -> None:
    body = b"""{"fileids": [
        {"id": "foo.txt", "path": "1/2/3/foo.txt", "hashtype": "md5", "hashsum": ""},
        {"id": 12, "path": "/bar.csv", "hashtype": "sha1", "hashsum": "", "more": [1]}
    ]}"""

    manifest = read_manifest(body, LIMITS)

    assert manifest.bundle is None
    assert manifest.entries == (
        Entry("foo.txt", "1/2/3/foo.txt", None, None, None),
        Entry("12", "bar.csv", None, None, None),
    )


def test_a_digest_is_taken_in_any_case() -> None:
    assert read(entry(hashtype="SHA256", hashsum="AB" * 32))[0].expected == "ab" * 32
    assert read(entry(hashtype="sha3_256", hashsum="0" * 64))[0].algorithm == "sha3_256"


def test_an_empty_list_is_an_empty_cart() -> None:
    assert read() == ()


@pytest.mark.parametrize("bundle", [True, False])
def test_the_bundle_flag_is_read(bundle: bool) -> None:
    assert read_manifest(json.dumps({"fileids": [], "bundle": bundle}).encode(), LIMITS).bundle is bundle


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"1", b'{"fileids": {}}', b'{"fileids": 1}', b"{}", b"\xff", b'"x"']
)
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(BadManifest):
        read_manifest(body, LIMITS)


def test_a_flag_that_is_none_is_refused() -> None:
    with pytest.raises(BadManifest, match="bundle"):
        read_manifest(b'{"fileids": [], "bundle": 1}', LIMITS)


def test_too_many_are_refused() -> None:
    with pytest.raises(ManifestTooLarge, match=r"limits\.cart_files"):
        read(*(entry(path=f"{number}") for number in range(6)))


@pytest.mark.parametrize("missing", ["id", "path", "hashtype", "hashsum"])
def test_what_lacks_something_is_named(missing: str) -> None:
    without = entry()
    del without[missing]

    assert refused(entry(path="other"), without) == f"Entry 1 lacks {missing}"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"path": ".."}, "'.' or '..'"),
        ({"path": "a/../b"}, "'.' or '..'"),
        ({"path": "a/./b"}, "'.' or '..'"),
        ({"path": "a//b"}, "empty part"),
        ({"path": "//a"}, "empty part"),
        ({"path": "a/"}, "empty part"),
        ({"path": ""}, "is empty"),
        ({"path": "/"}, "is empty"),
        ({"path": "a\0b"}, "control character"),
        ({"path": "a\nb"}, "control character"),
        ({"path": "a\x7fb"}, "control character"),
        ({"path": "x" * 101}, "more than 100 bytes"),
        ({"path": 7}, "no text"),
        ({"path": None}, "no text"),
        ({"id": None}, "neither a number nor a text"),
        ({"id": True}, "neither a number nor a text"),
        ({"id": ""}, "is empty"),
        ({"id": "x" * 1_025}, "more than 1024 bytes"),
        ({"id": "a\0"}, "control character"),
        ({"hashtype": "md6"}, "nobody knows"),
        ({"hashtype": "md6", "hashsum": ""}, "nobody knows"),
        ({"hashtype": "shake_128"}, "nobody knows"),
        ({"hashtype": 1}, "are texts"),
        ({"hashsum": MD5[:-1]}, "32 hexadecimal digits"),
        ({"hashsum": "x" * 32}, "32 hexadecimal digits"),
        ({"hashsum": None}, "are texts"),
        ({"archive": 3}, "archive is no text"),
        ({"archive": ""}, "is empty"),
    ],
)
def test_a_bad_entry_is_named_with_what_is_wrong(changes: dict[str, Any], reason: str) -> None:
    text = refused(entry(path="good"), entry(**changes))

    assert text.startswith("Entry 1")
    assert reason in text


def test_a_long_part_of_a_path_is_named() -> None:
    body = json.dumps({"fileids": [entry(path="é" * 128)]}).encode()

    with pytest.raises(BadManifest, match="more than 255 bytes"):
        read_manifest(body, Limits())


def test_half_a_character_is_refused() -> None:
    with pytest.raises(BadManifest):
        read_manifest(b'{"fileids": [{"id": 1, "path": "\\ud800", "hashtype": "md5", "hashsum": ""}]}', LIMITS)


def test_an_entry_that_is_none_is_named() -> None:
    assert refused(entry(), 7) == "Entry 1 is no object"


def test_two_files_at_one_path_are_named() -> None:
    assert "Entry 2: the path 'a/b' is that of entry 0" in refused(entry(), entry(path="c"), entry(path="/a/b"))


@pytest.mark.parametrize("paths", [["a", "a/b"], ["a/b/c/d", "a/b"], ["x/y", "x/y/z"]])
def test_a_file_that_is_a_folder_too_is_named(paths: list[str]) -> None:
    assert "is a file, and a folder of entry" in refused(*(entry(path=path) for path in paths))


NAMES = st.text(st.sampled_from("ab./"), min_size=1, max_size=8)


@given(paths=st.lists(NAMES, max_size=5))
def test_whatever_is_taken_can_be_laid_out(paths: list[str]) -> None:
    """Each path stays in the cart, and can stand beside all others on a disk."""
    try:
        taken = [each.path for each in read(*(entry(path=path) for path in paths))]
    except BadManifest:
        return
    for path in taken:
        assert not path.startswith("/")
        assert not {"", ".", ".."} & set(path.split("/"))
    assert len(set(taken)) == len(taken)
    assert not any(other.startswith(f"{path}/") for path in taken for other in taken)
