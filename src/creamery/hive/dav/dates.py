"""Times as WebDAV writes them, ten thousand at once: a day is written once, and a time of day is two look-ups.

Standards: RFC 9110 section 5.6.7 (getlastmodified), RFC 3339 (creationdate).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

SECONDS_OF_DAY = 86_400
MICROSECONDS = 1_000_000

_EPOCH = date(1970, 1, 1).toordinal()
_MOST_DAYS = 4_096
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Days(dict[int, str]):
    """Days since 1970 as text; those before the year 1 and after 9999 are the first and the last."""

    def __init__(self, write: Callable[[date], str]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, day: int) -> str:
        if len(self) >= _MOST_DAYS:
            self.clear()
        ordinal = min(max(day + _EPOCH, 1), date.max.toordinal())
        text = self[day] = self._write(date.fromordinal(ordinal))
        return text


HTTP_DAYS = Days(lambda day: f"{_WEEKDAYS[day.weekday()]}, {day.day:02} {_MONTHS[day.month - 1]} {day.year:04} ")
ISO_DAYS = Days(lambda day: f"{day.isoformat()}T")
MINUTES = [f"{minute // 60:02}:{minute % 60:02}:" for minute in range(1_440)]
SECONDS = [f"{second:02}" for second in range(60)]


def http_date(microseconds: int) -> str:
    """A time in microseconds since 1970 as HTTP writes it."""
    day, second = divmod(microseconds // MICROSECONDS, SECONDS_OF_DAY)
    return f"{HTTP_DAYS[day]}{MINUTES[second // 60]}{SECONDS[second % 60]} GMT"
