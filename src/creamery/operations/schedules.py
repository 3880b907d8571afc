"""What the hub does by itself, again and again, whichever doors it has."""

from __future__ import annotations

from collections.abc import Mapping

from creamery.blobs import Blobs
from creamery.jobs import Handler, Job, Schedule
from creamery.telemetry import log

SWEEP = "blobs.sweep"
EVICT = "blobs.evict"
SCRUB = "blobs.scrub"
SCRUB_SECONDS = 600.0


def schedules() -> tuple[Schedule, ...]:
    """Unreferenced bytes go once an hour; what can be fetched again, as soon as there is too much of it.

    What stays is read once a month, in slices of seconds: a hub that is told to stop never waits for more than one.
    """
    return (
        Schedule(SWEEP, 3_600.0, SWEEP),
        Schedule(EVICT, 60.0, EVICT),
        Schedule(SCRUB, SCRUB_SECONDS, SCRUB),
    )


def handlers(blobs: Blobs) -> Mapping[str, Handler]:
    """Who does it."""

    def sweep(_: Job) -> None:
        swept = blobs.sweep()
        log.info("operations.swept", result=str(swept))

    def evict(_: Job) -> None:
        evicted = blobs.evict()
        log.debug("operations.evicted", result=str(evicted))

    def scrub(_: Job) -> None:
        findings = blobs.scrub(SCRUB_SECONDS)
        log.debug("operations.scrubbed", findings=len(findings))

    return {SWEEP: sweep, EVICT: evict, SCRUB: scrub}
