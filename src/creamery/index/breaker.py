"""When to stop asking an upstream, and when to ask again.

A dead upstream must slow nothing: after a failure to reach it nobody waits for it any more; one look at a time, in
the background, finds out when it is back. An upstream that is slow but alive earns patience instead, or a page would
stay stale for ever. One address that fails while its host answers others takes nothing else down: the looks go to
another address too, and what alone fails is blamed alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from creamery.clock import Clock
from creamery.limits import Limits

REFUSALS = 3
"""Addresses in a row whose answers are no answers (5xx, garbage) before an upstream counts as down."""

BLAMED_SECONDS = 600.0
MOST_BLAMED = 1_000

FIRST_PAUSE = 0.5
"""Seconds between the first look, which comes at once, and the second."""

WANTED_PAUSE = 2.0
"""Seconds between two looks at most, while somebody asks for what is not here."""


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
        self.pause = 0.0
        self.wanted = asyncio.Event()
        self._limits = limits
        self._clock = clock
        self._refused: set[str] = set()
        self._blamed: dict[str, float] = {}
        self._last_good: str | None = None
        self._patience = limits.upstream_stale_seconds

    @property
    def is_open(self) -> bool:
        """Is the upstream taken for dead?"""
        return self.outage is not None

    async def pass_pause(self) -> None:
        """Wait for the time of the next look, which comes sooner where somebody sets `wanted` meanwhile."""
        self.wanted.clear()
        await self._clock.pause(min(self.pause, WANTED_PAUSE))
        if self.pause <= WANTED_PAUSE:
            return
        waits = [
            asyncio.create_task(self._clock.pause(self.pause - WANTED_PAUSE)),
            asyncio.create_task(self.wanted.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    @property
    def patience(self) -> float:
        """Seconds to wait for it where something older can be served."""
        return self._patience

    def unreachable(self, url: str, reason: str, *, is_certain: bool = False) -> bool:
        """It could not be reached, or was silent. True when it counts as down from now on.

        Args:
            url: what it was asked for.
            reason: as anybody may read it.
            is_certain: it is the host that is away, whatever it was asked for.
        """
        if self.outage is not None or (not is_certain and self.blames(url)):
            return False
        self.outage = Outage(self._clock.monotonic(), reason)
        self.pause = 0.0
        return True

    def refused(self, url: str, reason: str) -> bool:
        """It answered, but with nonsense or an error of its own. True when it counts as down from now on."""
        self._refused.add(url)
        return len(self._refused) >= REFUSALS and self.unreachable(url, reason)

    def other_than(self, url: str) -> str | None:
        """An address that answered, to tell a dead host from one that fails at `url` alone."""
        return self._last_good if self._last_good != url else None

    def blame(self, url: str) -> None:
        """The host answers, but not there: for a while its failures say nothing of the host."""
        now = self._clock.monotonic()
        if len(self._blamed) >= MOST_BLAMED:
            self._blamed = {each: until for each, until in self._blamed.items() if until > now}
        if len(self._blamed) < MOST_BLAMED:
            self._blamed[url] = now + BLAMED_SECONDS

    def blames(self, url: str) -> bool:
        """Was this address found to fail alone, not long ago?"""
        return self._blamed.get(url, 0.0) > self._clock.monotonic()

    def looked_in_vain(self) -> None:
        """The next look comes later."""
        self.pause = min(max(self.pause * 2, FIRST_PAUSE), self._limits.breaker_seconds)

    def answered(self, url: str, seconds: float) -> bool:
        """It answered after `seconds`. True when it was taken for dead before."""
        was_open = self.outage is not None
        self.outage = None
        self._last_good = url
        self._refused.clear()
        self._blamed.pop(url, None)
        if seconds > self._limits.upstream_stale_seconds / 2:
            self._patience = min(
                max(self._limits.upstream_stale_seconds, 3 * seconds), self._limits.upstream_silent_seconds
            )
        else:
            self._patience = self._limits.upstream_stale_seconds
        return was_open
