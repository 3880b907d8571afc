"""Which former contents of a file go, by their age alone: many of the last minutes, one of each week at the end.

A pure function. What it says once it says again: of what stays nothing goes at the same moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND

STEPS = (
    (10 * SECOND, 2 * SECOND),
    (MINUTE, 10 * SECOND),
    (HOUR, MINUTE),
    (DAY, HOUR),
    (30 * DAY, DAY),
)
"""Up to this age, one in so much time (as Nextcloud has it)."""

LAST_STEP = 7 * DAY


class Moment(NamedTuple):
    """A former content, as far as it matters here.

    Attributes:
        created: when other bytes took its place.
        revision: which it is.
    """

    created: int
    revision: int


def superfluous(moments: Iterable[Moment], now: int) -> set[int]:
    """The revisions that go. The latest one never does, nor the one of the highest number, should a clock have jumped.

    Args:
        moments: of one file, in any order; those that are pinned are not among them.
        now: microseconds since 1970.
    """
    ordered = sorted(moments, reverse=True)
    highest = max((each.revision for each in ordered), default=0)
    gone = set[int]()
    last: int | None = None
    for each in ordered:
        if last is None or each.revision == highest or last - each.created >= _step(now - each.created):
            last = each.created
        else:
            gone.add(each.revision)
    return gone


def _step(age: int) -> int:
    return next((step for until, step in STEPS if age <= until), LAST_STEP)
