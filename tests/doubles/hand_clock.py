"""The real clock, moved on by hand."""

from __future__ import annotations

import asyncio
import time

from creamery.clock import SECOND, Micros


class HandClock:
    """A `Clock` that a test moves; waiting in it is real, for other threads are."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._jumped = 0.0

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._passed += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._jumped += seconds

    def now(self) -> Micros:
        return Micros(time.time_ns() // 1000 + int((self._passed + self._jumped) * SECOND))

    def monotonic(self) -> float:
        return time.monotonic() + self._passed

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
