"""Which offer a client likes best (RFC 9110 section 12.5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.http import negotiate, negotiate_encoding

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
OFFERS = (JSON, HTML, "text/html")
PIP = f"{JSON}, {HTML}; q=0.1, text/html; q=0.01"
UV = f"{JSON}, {HTML};q=0.2, text/html;q=0.01"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        (PIP, JSON),
        (UV, JSON),
        ("text/html", "text/html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        (f"{JSON};q=0, */*", HTML),
        (f"{JSON};q=0.5, {HTML};q=0.6", HTML),
        ("TEXT/HTML", "text/html"),
        ("text/*", "text/html"),
        ("text/html;level=1", "text/html"),
        ("image/png", None),
        ("*/*;q=0", None),
        (f"{JSON};q=2, text/html", "text/html"),
        (f"{JSON};q=nan, text/html;q=0.1", "text/html"),
        (f"{JSON};q=-1, text/html;q=0.001", "text/html"),
        (f"{JSON};q=1e1, text/html", "text/html"),
        (";;;,,,", None),
    ],
)
def test_the_weights_decide_and_then_our_order(accept: str | None, expected: str | None) -> None:
    assert negotiate(accept, OFFERS) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "identity"),
        ("", "identity"),
        ("identity", "identity"),
        ("gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=0", "identity"),
        ("*", "zstd"),
        ("*;q=0, gzip", "gzip"),
        ("gzip;q=0.5, identity", "identity"),
        ("br", "identity"),
        ("identity;q=0", "identity"),
    ],
)
def test_a_coding_is_used_where_it_is_liked_better(accept: str | None, expected: str) -> None:
    assert negotiate_encoding(accept, ("zstd", "gzip")) == expected


@given(st.text(max_size=600))
def test_any_text_is_answered(text: str) -> None:
    assert negotiate(text, OFFERS) in {*OFFERS, None}
    assert negotiate_encoding(text, ("zstd", "gzip")) in {"zstd", "gzip", "identity"}
