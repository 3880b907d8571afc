"""How fast a body has to come: one that drips is never silent, and never ends."""

from __future__ import annotations

from creamery.clock import Clock
from creamery.egress.errors import TooSlow

WINDOW_SECONDS = 60.0


class MinimumRate:
    """Counts what comes of one body, a minute at a time."""

    def __init__(self, clock: Clock, bytes_per_second: int) -> None:
        self._clock = clock
        self._least = bytes_per_second
        self._since = clock.monotonic()
        self._bytes = 0

    def took(self, url: str, count: int) -> None:
        """So many bytes came.

        Raises:
            TooSlow: less than the minimum rate came over a minute.
        """
        self._bytes += count
        elapsed = self._clock.monotonic() - self._since
        if elapsed > WINDOW_SECONDS:
            if self._bytes < self._least * elapsed:
                raise TooSlow(url, f"only {self._bytes} bytes came", elapsed)
            self._since, self._bytes = self._clock.monotonic(), 0
