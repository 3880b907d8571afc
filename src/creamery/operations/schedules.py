"""What the hub does by itself, again and again, whichever doors it has."""

from __future__ import annotations

from collections.abc import Mapping

from creamery.accounts import thin_sessions
from creamery.door import Hub
from creamery.jobs import Handler, Job, Schedule
from creamery.telemetry import log

SWEEP = "blobs.sweep"
EVICT = "blobs.evict"
SCRUB = "blobs.scrub"
SCRUB_SECONDS = 600.0
THIN = "accounts.thin"


def schedules() -> tuple[Schedule, ...]:
    """Unreferenced bytes go once an hour; what can be fetched again, as soon as there is too much of it.

    Rows of sessions that have ended go once an hour. What stays is read once a month, in slices of seconds: a hub that
    is told to stop never waits for more than one.
    """
    return (
        Schedule(SWEEP, 3_600.0, SWEEP),
        Schedule(EVICT, 60.0, EVICT),
        Schedule(SCRUB, SCRUB_SECONDS, SCRUB),
        Schedule(THIN, 3_600.0, THIN),
    )


def handlers(hub: Hub) -> Mapping[str, Handler]:
    """Who does it."""
    blobs = hub.blobs

    def sweep(_: Job) -> None:
        swept = blobs.sweep()
        log.info("operations.swept", result=str(swept))

    def evict(_: Job) -> None:
        evicted = blobs.evict()
        log.debug("operations.evicted", result=str(evicted))

    def scrub(_: Job) -> None:
        findings = blobs.scrub(SCRUB_SECONDS)
        log.debug("operations.scrubbed", findings=len(findings))

    def thin(_: Job) -> None:
        ended = hub.committer.write(lambda connection: thin_sessions(connection, hub.clock.now(), hub.settings.limits))
        log.debug("operations.sessions_thinned", ended=ended)

    return {SWEEP: sweep, EVICT: evict, SCRUB: scrub, THIN: thin}
