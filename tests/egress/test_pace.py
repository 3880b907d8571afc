"""Bodies that drip."""

from __future__ import annotations

import pytest

from creamery.egress import MinimumRate, TooSlow
from tests.doubles.hand_clock import HandClock


def test_a_minute_in_which_too_little_came_is_too_slow() -> None:
    clock = HandClock()
    rate = MinimumRate(clock, 1_000)

    clock.advance(61)
    with pytest.raises(TooSlow, match="only 60000 bytes came within 6"):
        rate.took("http://upstream/file", 60_000)


def test_each_minute_counts_for_itself() -> None:
    clock = HandClock()
    rate = MinimumRate(clock, 1_000)

    clock.advance(61)
    rate.took("http://upstream/file", 10_000_000)
    clock.advance(61)
    with pytest.raises(TooSlow):
        rate.took("http://upstream/file", 1)


def test_nobody_is_judged_before_a_minute_is_over() -> None:
    clock = HandClock()
    rate = MinimumRate(clock, 1_000)

    clock.advance(59)
    rate.took("http://upstream/file", 1)
