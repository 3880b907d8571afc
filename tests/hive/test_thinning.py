"""Which former contents go by their age: a pure function, held to its promises for any list of moments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from creamery.hive.thinning import DAY, HOUR, LAST_STEP, MINUTE, SECOND, STEPS, Moment, superfluous

NOW = 1_700_000_000 * SECOND

AGES = st.one_of(
    st.integers(0, 20 * SECOND),
    st.integers(0, 2 * HOUR),
    st.integers(0, 400 * DAY),
    st.integers(-DAY, 0),  # a clock jumped
)
MOMENTS = st.lists(AGES, max_size=60).map(
    lambda ages: [Moment(NOW - age, number) for number, age in enumerate(ages, start=1)]
)


def kept(moments: list[Moment], now: int = NOW) -> list[Moment]:
    gone = superfluous(moments, now)
    return [each for each in moments if each.revision not in gone]


def every(step: int, until: int) -> list[Moment]:
    """One in each `step`, back to an age of `until`."""
    ages = range(0, until + 1, step)
    return [Moment(NOW - age, len(ages) - number) for number, age in enumerate(ages)]


@given(MOMENTS)
def test_what_stays_stays_when_it_is_asked_again(moments: list[Moment]) -> None:
    once = kept(moments)

    assert kept(once) == once


@given(MOMENTS, st.integers(0, 400 * DAY))
def test_the_latest_and_the_highest_revision_never_go(moments: list[Moment], later: int) -> None:
    gone = superfluous(moments, NOW + later)

    assert gone.isdisjoint({max(moments).revision, len(moments)} if moments else ())


@given(MOMENTS)
def test_the_order_in_which_they_are_told_says_nothing(moments: list[Moment]) -> None:
    assert superfluous(moments, NOW) == superfluous(reversed(moments), NOW)


@given(MOMENTS)
def test_what_goes_has_a_neighbour_that_stays_within_its_step(moments: list[Moment]) -> None:
    stays = kept(moments)

    for each in moments:
        if each not in stays:
            step = next((step for until, step in STEPS if NOW - each.created <= until), LAST_STEP)
            assert any(0 <= other.created - each.created < step for other in stays)


def test_of_one_a_second_in_the_last_minute_one_in_two_and_then_one_in_ten_seconds_stays() -> None:
    ages = sorted((NOW - each.created) // SECOND for each in kept(every(SECOND, MINUTE)))

    assert ages == [0, 2, 4, 6, 8, 10, 20, 30, 40, 50, 60]


def test_of_one_an_hour_in_a_year_one_a_day_stays_for_a_month_and_then_one_a_week() -> None:
    ages = sorted((NOW - each.created) // DAY for each in kept(every(HOUR, 365 * DAY)))

    assert ages.count(0) == 24
    assert ages[24:54] == list(range(1, 31))
    assert ages[54:] == list(range(37, 366, 7))


def test_a_file_that_is_written_every_minute_for_a_year_keeps_few() -> None:
    moments: list[Moment] = []
    now = NOW
    for revision in range(1, 3_000):
        now += 3 * HOUR
        moments = kept([*moments, Moment(now, revision)], now)

    assert len(moments) < 95
