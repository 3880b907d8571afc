"""A clock that a test moves: its wall jumps, its seconds pass as they do."""

from __future__ import annotations

from creamery.clock import SECOND, Micros, SystemClock


class JumpingClock(SystemClock):
    """The machine's clock, and what the test has added to its wall."""

    def __init__(self) -> None:
        self.added = 0

    def now(self) -> Micros:
        return Micros(super().now() + self.added)

    def jump(self, seconds: float) -> None:
        """Move the wall clock, either way."""
        self.added += int(seconds * SECOND)
