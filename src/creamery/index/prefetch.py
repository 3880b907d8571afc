"""Fetching before anybody asks: a job that brings files, and goes on after a restart with what is left.

Which files is not decided here: whoever asks names them (`creamery index prefetch` has uv resolve), or whole projects.
A file takes the same way as when a client asks for it, so it is fetched once, whoever wants it too meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection

from creamery.blobs import BlobMissing
from creamery.clock import SECOND, Micros
from creamery.contract import Digest, InvalidName, check_filename, normalize
from creamery.door import Hub
from creamery.index.bringing import SILENT, Bringing, NotHad, NotNow
from creamery.index.catalog import Catalog
from creamery.index.metadata import MetadataFiles
from creamery.index.pins import pin
from creamery.index.project import KeptFile, Owner
from creamery.index.simple import advertised_metadata
from creamery.index.tables import files_of
from creamery.index.upstream import UpstreamDown
from creamery.index.wanted import (
    EVERY_FILE,
    File,
    Outcome,
    Prefetch,
    Wanted,
    add_prefetch,
    files_left,
    find_prefetch,
    finish,
    forget_prefetches,
    give_up,
    set_job,
    settle,
    settle_project,
)
from creamery.index.wheel import NoMetadata
from creamery.jobs import Job, Postpone, enqueue
from creamery.journal import By, record_by
from creamery.telemetry import log

JOB_KIND = "index.prefetch"

BATCH = 64
FORGOTTEN_AT_ONCE = 20

TURN_SECONDS = 5.0
"""How long one prefetch has a job's thread before others have their turn; a hub that ends waits for it."""

KEPT_MICROS = 7 * 86_400 * SECOND
"""How long it can be read what became of a prefetch that has ended."""

AGAIN_SECONDS = 30.0
"""When what could not be had now is tried again."""


class NotWanted(Exception):
    """There is nothing to fetch in what was asked, or it cannot be a file; the text says why."""


class NoSuchPrefetch(Exception):
    """Nobody asked for it, or it was forgotten since."""

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no prefetch {number}")


def ask(connection: Connection, files: Sequence[File], by: By, *, pins: bool) -> int:
    """Have files brought here, in the caller's transaction; the prefetch's number.

    Args:
        connection: the caller's.
        files: which; of some, perhaps, all that their projects have.
        by: who asks.
        pins: they stay here.
    """
    forget_prefetches(connection, Micros(by.now - KEPT_MICROS), FORGOTTEN_AT_ONCE)
    number = add_prefetch(connection, files, by.actor[:255], by.now, pins=pins)
    job_id = enqueue(connection, JOB_KIND, {"prefetch": number}, now=by.now, key=f"{JOB_KIND}:{number}")
    set_job(connection, number, job_id)
    detail = {"files": len(files), "pins": pins}
    action = "pins asked" if pins else "prefetch asked"
    record_by(connection, "index", action, str(number), by, detail)
    return number


def wanted_file(project: str, filename: str, sha256: Digest | None = None) -> File:
    """A file as somebody names it; `EVERY_FILE`: all of a project's.

    Raises:
        NotWanted: it cannot be the name of one.
    """
    try:
        return File(normalize(project), filename if filename == EVERY_FILE else check_filename(filename), sha256)
    except InvalidName as error:
        raise NotWanted(str(error)) from error


class Prefetching:
    """The handler of `JOB_KIND`."""

    def __init__(self, hub: Hub, catalog: Catalog, bringing: Bringing, metadata: MetadataFiles) -> None:
        self._catalog = catalog
        self._bringing = bringing
        self._metadata = metadata
        self._egress = hub.egress
        self._blobs = hub.blobs
        self._database = hub.database
        self._committer = hub.committer
        self._pools = hub.pools
        self._clock = hub.clock
        self._limits = hub.settings.limits
        self._files = hub.telemetry.counter("index_prefetched", "Files that a prefetch was to bring.", ["outcome"])

    def run(self, job: Job) -> None:
        """Bring what is left of a prefetch, for a turn; then again, until nothing is left.

        What nobody has tried yet goes first; what could not be had is tried again when all else is done.
        """
        number = int(job.payload["prefetch"])
        prefetch = self._database.read(lambda connection: find_prefetch(connection, number))
        if prefetch is None or prefetch.finished is not None:
            return
        is_second_try = not self._left(number, 1)
        until = self._clock.monotonic() + TURN_SECONDS
        after = 0
        while self._clock.monotonic() < until and (
            left := self._left(number, BATCH, after=after, is_second_try=is_second_try)
        ):
            self._egress.call(self._bring_some(prefetch, left, until))
            after = left[-1].id
        if self._left(number, 1):
            raise Postpone(0)
        if self._left(number, 1, is_second_try=True):
            if self._clock.now() - prefetch.created < self._limits.prefetch_seconds * SECOND:
                raise Postpone(AGAIN_SECONDS)
            self._committer.write(lambda connection: give_up(connection, number))
        self._committer.write(lambda connection: finish(connection, number, self._clock.now()))

    def _left(self, number: int, limit: int, *, after: int = 0, is_second_try: bool = False) -> list[Wanted]:
        return self._database.read(
            lambda connection: files_left(connection, number, after=after, limit=limit, is_second_try=is_second_try)
        )

    async def _bring_some(self, prefetch: Prefetch, left: Sequence[Wanted], until: float) -> None:
        places = asyncio.Semaphore(self._limits.prefetch_files)

        async def in_turn(wanted: Wanted) -> None:
            async with places:
                if self._clock.monotonic() < until:
                    await self._bring_or_say(prefetch, wanted)

        async with asyncio.TaskGroup() as group:
            for wanted in left:
                group.create_task(in_turn(wanted))

    async def _bring_or_say(self, prefetch: Prefetch, wanted: Wanted) -> None:
        """Bring a file, or list a project's; what became of it is written down before the next one begins."""
        file = wanted.file
        try:
            if file.filename == EVERY_FILE:
                await self._list(prefetch, wanted)
                return
            outcome = await self._bring(prefetch, file)
        except UpstreamDown as error:
            outcome = Outcome("left", reason=f"its upstream {error.reason}")
        except NotNow as error:
            outcome = Outcome("left", reason=str(error))
        except NotHad as error:
            outcome = Outcome("failed", reason=str(error))
        self._files.labels(outcome.state).inc()
        if outcome.reason is not None:
            log.warning("index.not_prefetched", project=file.project, file=file.filename, reason=outcome.reason)
        await self._committer.commit(lambda connection: settle(connection, wanted, outcome))

    async def _list(self, prefetch: Prefetch, wanted: Wanted) -> None:
        """Give each file that a project's page lists a row of its own.

        Raises:
            NotNow: not now.
            NotHad: there is no such project, or nobody gets anything of it.
        """
        view = await self._bringing.view(wanted.file.project)
        if view.outcome == "stale":
            raise NotNow(view.reason or SILENT)
        project_id = view.entry.project.id
        files = await self._pools.database.run(self._database.read, lambda c: files_of(c, project_id))
        offers = [self._catalog.offers.of(file) for file in files]
        names = [offer.file.filename for offer in offers if offer.withheld is None]
        if not names:
            raise NotHad(_why_nothing(view.entry.project.owner, [offer.withheld for offer in offers]))
        await self._committer.commit(lambda connection: settle_project(connection, prefetch.id, wanted, names))

    async def _bring(self, prefetch: Prefetch, wanted: File) -> Outcome:
        """Have a file and its METADATA here.

        Raises:
            UpstreamDown, NotNow: not now.
            NotHad: not at all.
        """
        file = await self._bringing.find(wanted.project, wanted.filename)
        if wanted.sha256 is not None and file.expected not in {None, wanted.sha256}:
            raise NotHad(f"its index says that its SHA-256 is {file.expected}, and {wanted.sha256} is wanted")
        if prefetch.pins:
            await self._committer.commit(lambda connection: self._pin(connection, file, prefetch.asked_by))
        here = await self._bringing.stored(file)
        stored = here or await self._bringing.fetch(file)
        if wanted.sha256 not in {None, stored.digest}:
            raise NotHad(f"its SHA-256 is {stored.digest}, and {wanted.sha256} is wanted")
        await self._bring_metadata(file)
        return Outcome("fetched" if here is None else "here", stored.size)

    def _pin(self, connection: Connection, file: KeptFile, pinned_by: str) -> None:
        """Before its bytes are looked for, and with their rows taken: an eviction is over, or sees the pin."""
        for digest in (file.digest, file.metadata_digest):
            if digest is not None:
                try:
                    self._blobs.refer(connection, digest)
                except BlobMissing:  # it comes anew, and is kept then
                    continue
        pin(connection, file.id, pinned_by, self._clock.now())

    async def _bring_metadata(self, file: KeptFile) -> None:
        """A wheel's, where its upstream serves it; where not, it is read out of the wheel by another job.

        Raises:
            UpstreamDown: not now.
        """
        if file.metadata_digest is None and advertised_metadata(file, "all"):
            try:
                await self._metadata.fetch(file)
            except NoMetadata as error:  # the wheel is here all the same, and installs
                log.warning("index.no_metadata", project=file.project, file=file.filename, reason=str(error))


def _why_nothing(owner: Owner, withheld: Sequence[str | None]) -> str:
    """Why a project has no files to fetch: what is said of most of them; or its status, where it lists none."""
    reasons = Counter(reason for reason in withheld if reason is not None)
    if reasons:
        return f"its files are withheld here: {reasons.most_common(1)[0][0]}"
    if owner.status == "active":
        return "its page lists no files"
    because = f": {owner.status_reason}" if owner.status_reason else ""
    return f"its page lists no files; the project is {owner.status}{because}"
