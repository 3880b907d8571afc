"""When to stop asking an upstream, and when to ask again.

A dead upstream must slow nothing: after a failure to reach it nobody waits for it any more; one look at a time, in
the background, finds out when it is back. An upstream that is slow but alive earns patience instead, or a page would
stay stale for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

from creamery.clock import Clock
from creamery.limits import Limits

REFUSALS = 3
"""Answers in a row that are no answers (5xx, garbage) before an upstream counts as down."""

FIRST_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Outage:
    """Since when (seconds of `Clock.monotonic`), and why."""

    since: float
    reason: str


class Breaker:
    """The state of one upstream host. Used on the event loop only."""

    def __init__(self, host: str, limits: Limits, clock: Clock) -> None:
        self.host = host
        self.outage: Outage | None = None
        self.pause = FIRST_PAUSE
        self._limits = limits
        self._clock = clock
        self._refusals = 0
        self._patience = limits.upstream_stale_seconds

    @property
    def is_open(self) -> bool:
        """Is the upstream taken for dead?"""
        return self.outage is not None

    @property
    def patience(self) -> float:
        """Seconds to wait for it where something older can be served."""
        return self._patience

    def unreachable(self, reason: str) -> bool:
        """It could not be reached, or was silent. True when that is news."""
        is_news = self.outage is None
        if is_news:
            self.outage = Outage(self._clock.monotonic(), reason)
            self.pause = FIRST_PAUSE
        return is_news

    def refused(self, reason: str) -> bool:
        """It answered, but with nonsense or an error of its own. True when it counts as down from now on."""
        self._refusals += 1
        return self._refusals >= REFUSALS and self.unreachable(reason)

    def looked_in_vain(self) -> None:
        """The next look comes later."""
        self.pause = min(self.pause * 2, self._limits.breaker_seconds)

    def answered(self, seconds: float) -> bool:
        """It answered after `seconds`. True when it was taken for dead before."""
        was_open = self.outage is not None
        self.outage = None
        self._refusals = 0
        if seconds > self._limits.upstream_stale_seconds / 2:
            self._patience = min(
                max(self._limits.upstream_stale_seconds, 3 * seconds), self._limits.upstream_silent_seconds
            )
        else:
            self._patience = self._limits.upstream_stale_seconds
        return was_open
