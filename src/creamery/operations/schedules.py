"""What the hub does by itself, again and again, whichever doors it has."""

from __future__ import annotations

from collections.abc import Mapping

from creamery.blobs import Blobs
from creamery.jobs import Handler, Job, Schedule
from creamery.telemetry import log

SWEEP = "blobs.sweep"
EVICT = "blobs.evict"


def schedules() -> tuple[Schedule, ...]:
    """Unreferenced bytes go once an hour; what can be fetched again, as soon as there is too much of it."""
    return (Schedule(SWEEP, 3_600.0, SWEEP), Schedule(EVICT, 60.0, EVICT))


def handlers(blobs: Blobs) -> Mapping[str, Handler]:
    """Who does it."""

    def sweep(_: Job) -> None:
        swept = blobs.sweep()
        log.info("operations.swept", result=str(swept))

    def evict(_: Job) -> None:
        evicted = blobs.evict()
        log.debug("operations.evicted", result=str(evicted))

    return {SWEEP: sweep, EVICT: evict}
