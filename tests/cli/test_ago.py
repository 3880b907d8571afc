"""A length of time, as Cartd's commands take it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.cli.ago import UNITS, read_ago


@pytest.mark.parametrize(
    ("text", "days"),
    [("60 days ago", 60), ("1.5 weeks ago", 10.5), ("48 hours after", 2), ("  0   days ago ", 0), ("1e1 days ago", 10)],
)
def test_a_length_is_read(text: str, days: float) -> None:
    assert read_ago(text) == timedelta(days=days)


@pytest.mark.parametrize(
    "text",
    [
        *("", "60", "60 days", "days 60 ago", "60 day ago", "60 months ago", "sixty days ago", "60 days ago now"),
        *("60 days before", "-1 days ago", "nan days ago", "inf days ago", "1e300 weeks ago", "1000001 weeks ago"),
    ],
)
def test_what_is_none_is_refused_with_what_it_should_be(text: str) -> None:
    with pytest.raises(ValueError, match="write '60 days ago'"):
        read_ago(text)


@given(st.floats(0, 1_000), st.sampled_from(UNITS), st.sampled_from(["ago", "after"]))
def test_every_unit_is_as_long_as_python_has_it(number: float, unit: str, word: str) -> None:
    assert read_ago(f"{number!r} {unit} {word}") == timedelta(**{unit: number})
