"""What a job is: a kind, a payload, and a plain function that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work for later, as its handler gets it.

    Attributes:
        id: the row's number.
        kind: which handler does it.
        payload: what was given to `enqueue`, after a turn through JSON.
        attempt: 1 at the first try.
    """

    id: int
    kind: str
    payload: Mapping[str, Any]
    attempt: int


Handler = Callable[[Job], None]
"""Does a job, in a thread. It may run again after any crash, even at the same time in another process, so it must be
idempotent. Whatever it raises counts as a failed attempt, but for `Postpone`."""


class Postpone(Exception):
    """Raised by a handler: not now, come again in `seconds`; the attempt does not count."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"comes again in {seconds:g} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that comes again and again, in one of all processes.

    While one of its jobs waits or runs, no further one is enqueued. The first comes `every` seconds after the first
    start, and the distance is kept over restarts.

    Attributes:
        name: unique among all schedules.
        every: seconds from one to the next.
        kind, payload: the job.
    """

    name: str
    every: float
    kind: str
    payload: Mapping[str, Any] = field(default_factory=dict)
