"""WebDAV's request headers (RFC 4918 section 10, RFC 7240, RFC 8144)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.hive.dav.headers import (
    BadHeader,
    Depth,
    ForeignDestination,
    Preferences,
    parse_depth,
    parse_destination,
    parse_lock_token,
    parse_overwrite,
    parse_prefer,
    parse_timeout,
    path_of,
)
from creamery.limits import Limits

LIMITS = Limits()
OWN = frozenset({"hub.example", "10.0.0.1:8000", "[::1]:8000"})


@pytest.mark.parametrize(
    ("value", "depth"),
    [(None, "infinity"), ("0", "0"), ("1", "1"), ("infinity", "infinity"), (" Infinity ", "infinity")],
)
def test_a_depth_is_one_of_three_and_infinite_without(value: str | None, depth: Depth) -> None:
    assert parse_depth(value) == depth


def test_a_method_has_its_own_depths() -> None:
    assert parse_depth(None, default="0", allowed=("0",)) == "0"
    with pytest.raises(BadHeader, match="Depth"):
        parse_depth("1", allowed=("0", "infinity"))


@pytest.mark.parametrize("value", ["", "2", "-1", "00", "infinite", "1, 1", "0,noroot", "\u0661"])
def test_another_depth_is_refused(value: str) -> None:
    with pytest.raises(BadHeader):
        parse_depth(value)


@pytest.mark.parametrize(("value", "may"), [(None, True), ("T", True), ("t", True), ("F", False), (" f", False)])
def test_what_is_there_is_replaced_unless_somebody_says_f(value: str | None, may: bool) -> None:
    assert parse_overwrite(value) is may


@pytest.mark.parametrize("value", ["", "true", "no", "T, T"])
def test_an_overwrite_that_is_neither_is_refused(value: str) -> None:
    with pytest.raises(BadHeader):
        parse_overwrite(value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 3_600),
        ("", 3_600),
        ("Second-180", 180),
        ("second-180", 180),
        ("Infinite", 86_400),
        ("Infinite, Second-4100000000", 86_400),
        ("Second-4100000000, Infinite", 86_400),
        ("Extend-3, Second-60", 60),
        ("Second-60,Second-70", 60),
        ("Second-0", 1),
        ("Second--5", 3_600),
        ("Second-", 3_600),
        ("Second-1.5", 3_600),
        ("Second-\u0661", 3_600),
        (f"Second-{'9' * 20}", 86_400),
        (f"Second-{'9' * 10_000}", 86_400),
        (f"Second-{'0' * 10_000}5", 5),
        ("Infinite" * 1_000, 3_600),
    ],
)
def test_a_timeout_is_a_wish_that_is_cut_to_what_may_be(value: str | None, seconds: int) -> None:
    assert parse_timeout(value, LIMITS) == seconds


def test_a_timeout_is_cut_to_what_is_set() -> None:
    limits = Limits(dav_lock_seconds=30, dav_lock_most_seconds=60)

    assert [parse_timeout(value, limits) for value in (None, "Second-60", "Second-61", "Infinite")] == [30, 60, 60, 60]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("/a/b", b"/a/b"),
        ("/a%20b/%C3%A9/", b"/a%20b/%C3%A9/"),
        ("http://hub.example/a", b"/a"),
        ("https://hub.example/a", b"/a"),
        ("HTTPS://Hub.Example:443/A", b"/A"),
        ("http://hub.example:80/a", b"/a"),
        ("https://hub.example:/a", b"/a"),
        ("http://10.0.0.1:8000/a", b"/a"),
        ("http://[::1]:8000/a//b", b"/a//b"),
        ("https://hub.example", b"/"),
        (" /a\t", b"/a"),
        ("/\u00c3\u00a9", b"/\xc3\xa9"),
        ("http://hub.example/a b", b"/a b"),
        ("http://hub.example/x@y:z", b"/x@y:z"),
    ],
)
def test_a_destination_is_the_raw_path_behind_our_own_name(value: str, path: bytes) -> None:
    assert parse_destination(value, OWN) == path


@pytest.mark.parametrize(
    "value",
    [
        "http://other.example/a",
        "http://hub.example:8080/a",
        "http://10.0.0.1/a",
        "http://10.0.0.1:80/a",
        "http://hub.example.other/a",
        "http://[::2]:8000/a",
    ],
)
def test_a_destination_elsewhere_is_foreign(value: str) -> None:
    with pytest.raises(ForeignDestination) as foreign:
        parse_destination(value, OWN)

    assert foreign.value.authority == value.split("/")[2]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "a/b",
        "//hub.example/a",
        "/a?b",
        "/a#b",
        "http://hub.example/a?b=c",
        "http://hub.example/a#",
        "http://hub.example?/a",
        "http:///a",
        "http:/a",
        "ftp://hub.example/a",
        "urn:x",
        "http://user@hub.example/a",
        "http://user:secret@hub.example/a",
        "http://hub.example:x/a",
        "http://hub.example:1:2/a",
        "/a\x00",
        "/a\nb",
        "/a, /b\r",
    ],
)
def test_a_destination_that_is_no_address_of_ours_is_refused(value: str | None) -> None:
    with pytest.raises(BadHeader) as bad:
        parse_destination(value, OWN)

    assert bad.value.header == "Destination"


def test_an_address_in_another_header_is_read_alike() -> None:
    assert path_of("http://hub.example/a", OWN) == b"/a"
    with pytest.raises(BadHeader, match="in If"):
        path_of("a", OWN)


def test_a_lock_token_stands_in_angle_brackets() -> None:
    assert parse_lock_token(" <urn:uuid:1>") == "urn:uuid:1"


@pytest.mark.parametrize("value", [None, "", "urn:uuid:1", "<>", "<a b>", "<a:b>, <c:d>", "<<a:b>>", "(<a:b>)"])
def test_a_lock_token_that_is_none_is_refused(value: str | None) -> None:
    with pytest.raises(BadHeader):
        parse_lock_token(value)


@pytest.mark.parametrize(
    ("prefer", "brief", "expected", "applied"),
    [
        (None, None, Preferences(), ""),
        ("", "", Preferences(), ""),
        ("return=minimal", None, Preferences(minimal=True), "return=minimal"),
        ('Return = "minimal"; x=y', None, Preferences(minimal=True), "return=minimal"),
        ("depth-noroot", None, Preferences(noroot=True), "depth-noroot"),
        (
            "x,, Depth-NoRoot ,return=minimal",
            None,
            Preferences(minimal=True, noroot=True),
            "return=minimal, depth-noroot",
        ),
        ("return=representation, return=minimal", None, Preferences(), ""),
        ("return", None, Preferences(), ""),
        (None, "t", Preferences(minimal=True), "return=minimal"),
        (None, "T ", Preferences(minimal=True), "return=minimal"),
        (None, "f", Preferences(), ""),
    ],
)
def test_a_preference_is_heard_in_either_header(
    prefer: str | None, brief: str | None, expected: Preferences, applied: str
) -> None:
    found = parse_prefer(prefer, brief)

    assert (found, found.applied) == (expected, applied)


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert 1 <= parse_timeout(text, LIMITS) <= 86_400
    assert parse_prefer(text, text) in {Preferences(a, b) for a in (True, False) for b in (True, False)}
    for parse in (parse_depth, parse_overwrite, parse_lock_token):
        try:
            parse(text)
        except BadHeader as error:
            said = str(error)
        else:
            said = "read"
        assert said
    try:
        path = parse_destination(text, OWN)
    except (BadHeader, ForeignDestination):
        path = b"/"
    assert path.startswith(b"/")
