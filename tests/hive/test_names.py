"""Names of files and folders, and their paths (RFC 3986, RFC 4918 section 8.3)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.hive.names import CasePolicy, NameRefused, TreePath, check_name, href, key_of, parse_path, parse_segment

NAMES = st.text(min_size=1, max_size=63).filter(lambda name: name not in {".", ".."} and is_name(name))
PATHS = st.lists(NAMES, max_size=6).map(tuple)


def is_name(name: str) -> bool:
    try:
        return bool(check_name(name))
    except NameRefused:
        return False


@pytest.mark.parametrize(
    ("raw", "segments", "is_folder"),
    [
        (b"/", (), True),
        (b"", (), True),
        (b"/a", ("a",), False),
        (b"a", ("a",), False),
        (b"/a/", ("a",), True),
        (b"/a/b.txt", ("a", "b.txt"), False),
        (b"/a%20b/%C3%A9/", ("a b", "é"), True),
        (b"/\xc3\xa9", ("é",), False),
        (b"/a%2520b", ("a%20b",), False),
        (b"/a+b", ("a+b",), False),
        (b"/%2e%2e%2e", ("...",), False),
        (b"/%5C%3A%7c", ("\\:|",), False),
        (b"/" + b"/".join([b"a"] * 128), ("a",) * 128, False),
        (b"/" + b"%C3%A9" * 127 + b"x", ("é" * 127 + "x",), False),
        (b"/%F0%9F%8D%AF", ("\N{HONEY POT}",), False),
    ],
)
def test_a_path_is_split_first_and_decoded_once(raw: bytes, segments: tuple[str, ...], is_folder: bool) -> None:
    assert parse_path(raw) == TreePath(segments, is_folder)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"/a//b", "empty"),
        (b"//", "empty"),
        (b"//a", "empty"),
        (b"/a//", "empty"),
        (b"/a%2Fb", "slash"),
        (b"/a%2fb", "slash"),
        (b"/a/../b", "folder"),
        (b"/%2e%2E", "folder"),
        (b"/.", "folder"),
        (b"/.%2e/", "folder"),
        (b"/%", "'%'"),
        (b"/%z0", "'%'"),
        (b"/a%2", "'%'"),
        (b"/%-1", "'%'"),
        (b"/%+1", "'%'"),
        (b"/%00", "U+0000"),
        (b"/a%0Ab", "U+000A"),
        (b"/a\nb", "U+000A"),
        (b"/%7f", "U+007F"),
        (b"/%C2%85", "U+0085"),
        (b"/%EF%BF%BE", "U+FFFE"),
        (b"/%EF%BF%BF", "U+FFFF"),
        (b"/%ED%A0%80", "UTF-8"),
        (b"/%C0%AF", "UTF-8"),
        (b"/%FF", "UTF-8"),
        (b"/\xe9", "UTF-8"),
        (b"/" + b"a" * 256, "256 bytes"),
        (b"/" + b"%C3%A9" * 128, "256 bytes"),
        (b"/" + b"/".join([b"a"] * 129), "129 folders"),
    ],
)
def test_a_path_that_means_nothing_or_two_things_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(NameRefused) as refused:
        parse_path(raw)

    assert reason in refused.value.reason
    assert str(refused.value).endswith(".")
    assert str(refused.value).isprintable()


def test_a_lone_surrogate_from_json_is_refused() -> None:
    with pytest.raises(NameRefused, match=r"U\+D800"):
        check_name("a\ud800")


def test_a_path_has_a_name_and_a_parent() -> None:
    path = parse_path(b"/a/b/c")

    assert (path.name, path.parent) == ("c", TreePath(("a", "b"), is_folder=True))
    assert parse_path(b"/").name == ""
    assert parse_path(b"/").parent == parse_path(b"/")


@pytest.mark.parametrize(
    "name",
    ["a\\b", "a:b", "a*", "what?", '"', "<", ">", "|", "a.", "a ", "NUL", "con.txt", "Com1", "lpt9.tar.gz", "COM\xb9",
     "aux .c", "conin$"],
)  # fmt: skip
def test_a_name_that_windows_cannot_hold_is_refused_by_policy_only(name: str) -> None:
    assert check_name(name) == name
    with pytest.raises(NameRefused):
        check_name(name, refuse_windows_names=True)


@pytest.mark.parametrize(
    "name", ["a.b", ".hidden", " a", "console", "nulls.txt", "com10", "~$x.docx", "é", "LPT", "a;b"]
)
def test_a_name_that_windows_can_hold_passes_that_policy(name: str) -> None:
    assert check_name(name, refuse_windows_names=True) == name


def test_a_mac_finds_by_its_spelling_what_others_wrote() -> None:
    assert key_of("Cafe\N{COMBINING ACUTE ACCENT}", "sensitive") == key_of("Café", "sensitive") == "Café"


@pytest.mark.parametrize(
    ("one", "other"),
    [("Readme.TXT", "readme.txt"), ("STRASSE", "straße"), ("É", "e\u0301"), ("Σας", "ΣΑΣ"), ("ﬃ", "FFI")],
)
def test_names_that_differ_in_case_are_one_where_case_is_only_preserved(one: str, other: str) -> None:
    assert key_of(one, "preserving") == key_of(other, "preserving")
    assert key_of(one, "sensitive") != key_of(other, "sensitive")


def test_no_character_makes_a_key_longer_than_its_bytes() -> None:
    policies: tuple[CasePolicy, ...] = ("sensitive", "preserving")
    changed = [chr(code) for code in range(0x80, 0x30000) if not 0xD800 <= code < 0xE000]

    assert [c for c in changed for policy in policies if len(key_of(c, policy)) > len(c.encode())] == []


@given(NAMES)
def test_canonically_equal_names_have_one_key(name: str) -> None:
    policies: tuple[CasePolicy, ...] = ("sensitive", "preserving")
    for policy in policies:
        spelt = {key_of(unicodedata.normalize(form, name), policy) for form in ("NFC", "NFD")}
        assert spelt == {key_of(name, policy)}


@pytest.mark.parametrize(
    ("segments", "is_folder", "expected"),
    [
        ((), True, "/"),
        (("a",), False, "/a"),
        (("a", "b"), True, "/a/b/"),
        (("a b", "é"), False, "/a%20b/%C3%A9"),
        (("AZaz09-._~!$&'()*+,;=:@",), False, "/AZaz09-._~!$&'()*+,;=:@"),
        (('%|[]^\\"<>?#{}`',), False, "/%25%7C%5B%5D%5E%5C%22%3C%3E%3F%23%7B%7D%60"),
    ],
)
def test_an_href_escapes_what_no_address_holds(segments: tuple[str, ...], is_folder: bool, expected: str) -> None:
    assert href(segments, is_folder) == expected


@given(PATHS, st.booleans())
def test_every_path_is_read_back_from_its_href(segments: tuple[str, ...], is_folder: bool) -> None:
    written = href(segments, is_folder)

    assert parse_path(written.encode("ascii")) == TreePath(segments, is_folder or not segments)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_path_or_are_refused(raw: bytes) -> None:
    try:
        path = parse_path(raw)
    except NameRefused as error:
        path, refused = TreePath((), is_folder=True), str(error)
    else:
        refused = ""
    assert not refused or refused.isprintable()
    assert all(check_name(segment) for segment in path.segments)
    assert parse_path(href(path.segments, path.is_folder).encode()) == path


@given(st.binary(max_size=60))
def test_a_segment_alone_is_read_as_in_a_path(raw: bytes) -> None:
    try:
        name = parse_segment(raw)
    except NameRefused:
        name = ""
    try:
        whole = parse_path(b"/top/" + raw).segments[1:]
    except NameRefused:
        whole = ()
    assert "/" not in name
    assert not name or whole == (name,)
