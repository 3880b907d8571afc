"""What a Range header asks for (RFC 9110 section 14)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.http import ByteRange, RangeNotSatisfiable, parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-99", [(0, 100)]),
        ("bytes=0-1000", [(0, 100)]),
        ("bytes=90-", [(90, 100)]),
        ("bytes=-10", [(90, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("Bytes = 1-2", [(1, 3)]),
        ("bytes=00000000000000000000000001-2", [(1, 3)]),
        (f"bytes=5-{'9' * 5000}", [(5, 100)]),
        ("bytes=50-59, 0-9", [(50, 60), (0, 10)]),
        ("bytes=0-9,,20-29,", [(0, 10), (20, 30)]),
        ("bytes=0-9,5-19", [(0, 20)]),
        ("bytes=0-9,10-19", [(0, 20)]),
        ("bytes=0-9,200-300", [(0, 10)]),
        ("bytes=0-,0-,0-,0-", [(0, 100)]),
    ],
)
def test_a_set_of_ranges_is_cut_to_the_size_and_put_together(header: str, expected: list[tuple[int, int]]) -> None:
    assert parse_range(header, 100) == tuple(ByteRange(*pair) for pair in expected)


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=,", "items=0-1", "bytes=a-b", "bytes=5-2", "bytes=-", "bytes=1", "bytes=1-2-3",
     "bytes=+1-2", "bytes=-1-2", "bytes=1 - 2", "bytes=\u0661-\u0662", "bytes=0-9;20-29"],
)  # fmt: skip
def test_what_is_no_set_of_byte_ranges_is_ignored(header: str) -> None:
    assert parse_range(header, 100) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-0", 0), ("bytes=-5", 0)]
)
def test_a_set_that_lies_outside_is_not_satisfiable(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, size)


def test_ranges_are_counted_at_their_limits() -> None:
    scattered = [f"{start}-{start}" for start in range(0, 66, 2)]

    assert parse_range(f"bytes={','.join(scattered[:32])}", 100, answered=32) is not None
    assert parse_range(f"bytes={','.join(scattered[:33])}", 100, answered=32) is None
    assert parse_range(f"bytes={','.join(['0-0'] * 1_000)}", 100, asked=1_000) == (ByteRange(0, 1),)
    assert parse_range(f"bytes={','.join(['0-0'] * 1_001)}", 100, asked=1_000) is None


@given(st.text(max_size=60), st.integers(0, 10**6))
def test_any_text_is_read_or_ignored(text: str, size: int) -> None:
    try:
        found = parse_range(f"bytes={text}", size)
    except RangeNotSatisfiable:
        return
    assert found is None or all(0 <= start < stop <= size for start, stop in found)


@given(
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)).map(lambda pair: (min(pair), max(pair))), min_size=1),
    st.integers(1, 100),
)
def test_exactly_the_bytes_that_were_asked_for_are_answered(pairs: list[tuple[int, int]], size: int) -> None:
    asked = {position for first, last in pairs for position in range(first, last + 1) if position < size}

    try:
        found = parse_range("bytes=" + ",".join(f"{first}-{last}" for first, last in pairs), size, answered=1_000)
    except RangeNotSatisfiable:
        found = ()

    assert found is not None
    answered = [position for start, stop in found for position in range(start, stop)]
    assert set(answered) == asked
    assert len(answered) == len(asked)
