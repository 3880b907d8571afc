"""A length of time as Cartd's commands take it: `60 days ago`, `1.5 hours ago`."""

from __future__ import annotations

from datetime import timedelta

UNITS = ("microseconds", "milliseconds", "seconds", "minutes", "hours", "days", "weeks")
LONGEST = timedelta(days=365 * 1_000)
"""Before that nothing of anybody's was there, and a few of them fit into any number."""


def read_ago(text: str) -> timedelta:
    """How long ago: a number, one of `UNITS`, and `ago`, for which `after` may stand.

    Raises:
        ValueError: it is nothing of that.
    """
    words = text.split()
    try:
        number, unit, word = words
        length = timedelta(**{unit: float(number)}) if unit in UNITS else None
    except (ValueError, OverflowError):
        length, word = None, ""
    if length is None or word not in {"ago", "after"} or not timedelta() <= length <= LONGEST:
        raise ValueError(f"{text!r} is no time: write '60 days ago', with one of {', '.join(UNITS)}")
    return length
