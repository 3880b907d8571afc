"""The time, as an argument: nobody else asks the system for it."""

from __future__ import annotations

import asyncio
import time
from typing import NewType, Protocol

Micros = NewType("Micros", int)
"""Microseconds: since 1970 (UTC) for a moment, or a span."""

SECOND = 1_000_000


class Clock(Protocol):
    """What tells the time. Every method may be called from any thread."""

    def now(self) -> Micros:
        """The wall clock. It may jump: for spans use `monotonic`."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait in a thread."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait on the event loop."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> Micros:
        moment: Micros = time.time_ns() // 1000  # type: ignore[assignment]  # calling a NewType costs as much again
        return moment

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
