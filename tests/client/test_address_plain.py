"""The short way of reading an address finds what the careful one does, or leaves it to that."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from creamery.client import UnusableInput, parse_address
from creamery.client.address import _plain

WORDS = st.sampled_from(
    [
        "http",
        "https",
        "HTTP",
        ":",
        "//",
        "/",
        "hub",
        "Hub",
        "127.0.0.1",
        "80",
        "0",
        "65536",
        ".",
        "-",
        "@",
        "?",
        "#",
        "[",
        "]",
        "%41",
        " ",
        "\u00fc",
        "\u0661",
        "",
    ]
)


@given(
    st.lists(WORDS, max_size=9).map("".join) | st.lists(WORDS, max_size=6).map(lambda words: "http://" + "".join(words))
)
def test_both_ways_of_reading_an_address_agree(text: str) -> None:
    plain = _plain(text)

    if plain is not None:
        with patch("creamery.client.address._plain", return_value=None):
            try:
                careful = parse_address(text)
            except UnusableInput:
                careful = None
        assert careful == (plain, None)
