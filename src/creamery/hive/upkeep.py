"""What is done to spaces when nobody asks: jobs that remove, thin, and make room, each in short transactions.

    hive.purge     removes what was marked in one space, and makes room in it where it has more than its quota
    hive.expire    every hour: marks what has been in the trash for too long
    hive.thin      every night: thins the former contents of files that nobody writes any more, and the log of changes

Each may be killed at any moment, and begins again where it was; what it has done is not done twice.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from creamery.door import Hub
from creamery.hive.changes import forget_before
from creamery.hive.ledger import space_row
from creamery.hive.purging import forget_for_room, oldest_versions, purge_for_room, purge_older, purge_some
from creamery.hive.quotas import PURGE_JOB, excess
from creamery.hive.thinning import DAY
from creamery.hive.versions import many_versions, thin_versions
from creamery.jobs import Handler, Job, Postpone, Schedule
from creamery.telemetry import log

EXPIRE_JOB, THIN_JOB = "hive.expire", "hive.thin"

SCHEDULES = (
    Schedule(EXPIRE_JOB, every=3_600, kind=EXPIRE_JOB),
    Schedule(THIN_JOB, every=86_400, kind=THIN_JOB),
)

TURN_SECONDS = 20.0
"""How long one space has a job's thread before others have their turn."""

VERSIONS_AT_ONCE = 500
FILES_AT_ONCE = 200
LINES_AT_ONCE = 5_000


class Upkeep:
    """The handlers. For threads."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._quota = hub.settings.hive.quota

    def handlers(self) -> dict[str, Handler]:
        """By kind of job."""
        return {PURGE_JOB: self.purge, EXPIRE_JOB: self.expire, THIN_JOB: self.thin}

    def purge(self, job: Job) -> None:
        """Remove what is marked in a space; then, as long as it has too much, its oldest trash, its oldest versions."""
        space_id = int(job.payload["space"])
        until = self._hub.clock.monotonic() + TURN_SECONDS
        while self._purge_some(space_id):
            if self._hub.clock.monotonic() > until:
                raise Postpone(0)

    def expire(self, _: Job) -> None:
        """Mark what has been in the trash for too long."""
        settings, now = self._hub.settings.hive, self._hub.clock.now()
        days = settings.trash_most_days
        if self._is_disk_short():
            days = min(settings.trash_days, settings.trash_days if days is None else days)
        if days is None:
            return
        before = now - round(days * DAY)
        marked = self._hub.committer.write(lambda connection: purge_older(connection, before, now))
        if marked:
            log.info("hive.expired", trashed=marked, days=days)

    def thin(self, _: Job) -> None:
        """Thin the former contents of all files that have many, and forget what happened long ago."""
        now, after, freed = self._hub.clock.now(), 0, 0
        self._forget_changes(now)
        while some := self._hub.database.read(partial(many_versions, after=after, limit=FILES_AT_ONCE)):
            after = some[-1]
            freed += self._hub.committer.write(
                lambda connection, some=some: sum(thin_versions(connection, each, now) for each in some)  # type: ignore[misc]
            )
        if freed:
            log.info("hive.thinned", bytes=freed)

    def _forget_changes(self, now: int) -> None:
        before = now - round(self._hub.settings.hive.log_days * DAY)
        while self._hub.committer.write(lambda connection: forget_before(connection, before, LINES_AT_ONCE)):
            pass

    def _purge_some(self, space_id: int) -> bool:
        """One step; False: there is nothing to do."""
        write, now = self._hub.committer.write, self._hub.clock.now()
        if write(lambda connection: purge_some(connection, space_id)):
            return True
        if write(lambda connection: purge_for_room(connection, space_id, self._quota, now)):
            return True
        chosen = self._hub.database.read(lambda connection: self._choose(connection, space_id))
        if not chosen:
            return False
        write(lambda connection: forget_for_room(connection, space_id, self._quota, chosen))
        return True

    def _choose(self, connection: Connection, space_id: int) -> list[tuple[int, int]]:
        row = space_row(connection, space_id)
        missing = 0 if row is None else excess(row, self._quota)
        if row is None or not missing:
            return []
        return oldest_versions(connection, row, missing)[:VERSIONS_AT_ONCE]

    def _is_disk_short(self) -> bool:
        """Less is left than what is kept free for other things anyway."""
        return self._hub.blobs.free_bytes() < self._hub.settings.limits.reserve_bytes
