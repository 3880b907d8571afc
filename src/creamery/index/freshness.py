"""Is what the hub knows of a project current? Asks upstream before a page is served, once for all who ask together.

The promise (Havarti's): the newest version is visible at once. The other promise: an upstream that is down, hangs or
talks nonsense slows nothing and takes nothing away; what is known is served stale within a second.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import Connection

from creamery.clock import Clock
from creamery.contract import ProjectName
from creamery.database import Committer, DatabaseUnavailable, DiskFull, WritesBusy
from creamery.index.catalog import Catalog, Entry
from creamery.index.metadata import enqueue_metadata
from creamery.index.project import KnownProject, ProjectPage
from creamery.index.refresh import Saved, save_page, unlist_project
from creamery.index.simple import Listing
from creamery.index.upstream import Fetched, UpstreamDown, Upstreams, Validators
from creamery.limits import Limits
from creamery.sharing import hear
from creamery.telemetry import Telemetry, log

RENEW_SECONDS = 2.0
"""How old a question is, at first, that was given up, when it is asked anew beside it; each time twice as old."""

Outcome = Literal["hit", "revalidated", "changed", "stale"]


class UnknownProject(Exception):
    """No such project, here or upstream; or a rule hides it (`hidden` says which), and no upstream was asked."""

    def __init__(self, name: ProjectName, hidden: str | None = None) -> None:
        super().__init__(name)
        self.name = name
        self.hidden = hidden


@dataclass(frozen=True, slots=True)
class View:
    """A project as it may be shown now.

    Attributes:
        outcome: how it was found; `stale`: the upstream could not be asked.
        reason: why it is stale.
        listing: which files a page shows.
        fresh_for: seconds for which nobody need ask again.
    """

    entry: Entry
    outcome: Outcome
    reason: str | None = None
    listing: Listing = "all"
    fresh_for: float = 0.0


@dataclass(slots=True)
class _Refresh:
    """A page asked for upstream.

    Attributes:
        began: when (`Clock.monotonic`).
        given_up: some have waited for it in vain, and nobody waits any longer.
        renewed_at: from then on whoever comes asks anew beside it: it may hang on a connection that is long dead.
    """

    task: asyncio.Task[tuple[Entry, Outcome] | None]
    began: float
    renewed_at: float
    given_up: bool = False


class Freshness:
    """Revalidates projects. Used on the event loop only."""

    def __init__(
        self,
        catalog: Catalog,
        upstreams: Upstreams,
        committer: Committer,
        clock: Clock,
        limits: Limits,
        telemetry: Telemetry,
        *,
        offline_listing: Listing,
    ) -> None:
        self._catalog = catalog
        self._upstreams = upstreams
        self._committer = committer
        self._clock = clock
        self._limits = limits
        self._offline_listing = offline_listing
        self._refreshes: dict[ProjectName, _Refresh] = {}
        self._unknown: dict[ProjectName, float] = {}
        views = telemetry.counter("index_pages", "Project pages asked for.", ["outcome"])
        self._views = {outcome: views.labels(outcome) for outcome in (*get_args(Outcome), "unknown")}

    async def view(self, name: ProjectName) -> View:
        """The project, current as far as its upstream can be asked.

        Raises:
            UnknownProject: it is not known here, and no upstream has it.
            UpstreamDown: it is not known here, and an upstream cannot be asked.
        """
        entry = await self._catalog.project(name)
        try:
            view = await self._view(name, entry)
        except UnknownProject:
            self._views["unknown"].inc()
            raise
        self._views[view.outcome].inc()
        return view

    def fresh_for(self, entry: Entry) -> float:
        """Seconds for which nobody need ask again; not above 0: somebody must."""
        if entry.checked is None or not entry.project.listed:
            return 0.0
        return entry.checked + self._upstreams.max_age(entry.project.upstream) - self._clock.monotonic()

    def current_for(self, entry: Entry) -> int | None:
        """Whole seconds for which nobody need ask again; 0: nobody ever need, it is hosted; None: somebody must."""
        if not entry.project.owner.is_asked_upstream:
            return 0
        seconds = int(self.fresh_for(entry))
        return seconds if seconds > 0 else None

    def count_hit(self) -> None:
        """A page was served without a `view`, for `fresh_for` said that none was needed."""
        self._views["hit"].inc()

    async def _view(self, name: ProjectName, entry: Entry | None) -> View:
        hosted = entry is not None and entry.project.owner.hosted
        hidden = self._catalog.offers.why_hidden(name, hosted=hosted)
        if hidden is not None:
            log.info("index.withheld", project=name, reason=hidden)
            raise UnknownProject(name, hidden)
        if entry is not None and not entry.project.owner.is_asked_upstream:
            return View(entry, "hit")
        if entry is not None and not entry.project.listed and not await self._catalog.has_copies(entry):
            entry = None
        if not self._upstreams.configured:
            if entry is None:
                raise UnknownProject(name)
            return self._stale(entry, "no upstream is configured")
        if entry is not None and (fresh_for := self.fresh_for(entry)) > 0:
            return View(entry, "hit", fresh_for=fresh_for)
        if entry is None and self._is_known_to_be_unknown(name):
            raise UnknownProject(name)
        down = self._upstreams.first_down(name, None if entry is None else entry.project.owner)
        if down is not None and down.outage is not None:
            down.wanted.set()
            if entry is None:
                raise UpstreamDown(down.host, down.outage.reason)
            return self._stale(entry, down.outage.reason)
        return await self._ask(name, entry)

    async def _ask(self, name: ProjectName, entry: Entry | None) -> View:
        refresh = self._refreshes.get(name)
        if refresh is None or (refresh.given_up and self._clock.monotonic() >= refresh.renewed_at):
            refresh = self._refreshes[name] = self._begin(name, refresh)
        if entry is not None:
            patience = 0.0 if refresh.given_up else self._upstreams.patience()
            done, _ = await asyncio.wait({refresh.task}, timeout=patience)
            if not done:
                refresh.given_up = True
                self._upstreams.silent(name)
                waited = f"within {patience:.1f} s" if patience else "yet"  # others have waited for this answer
                return self._stale(entry, f"gave no whole answer {waited}")
        try:
            found = await asyncio.shield(refresh.task)
        except UpstreamDown as error:
            if entry is None:
                raise
            return self._stale(entry, error.reason)
        except (DiskFull, WritesBusy, DatabaseUnavailable) as error:
            if entry is None:
                raise
            log.error("index.not_saved", project=name, reason=str(error))
            return self._stale(entry, "its news could not be written down")
        finally:
            del refresh  # the error that it may have ended with knows this frame
        if found is None:
            if entry is not None and await self._catalog.has_copies(entry):
                return View(entry, "revalidated")
            raise UnknownProject(name)
        return View(found[0], found[1], fresh_for=self._upstreams.max_age(found[0].project.upstream))

    def _begin(self, name: ProjectName, given_up: _Refresh | None) -> _Refresh:
        """Ask upstream, beside what was given up: that ends with this one's answer, for its own would be older."""
        seconds = RENEW_SECONDS if given_up is None else 2 * (given_up.renewed_at - given_up.began)
        task = asyncio.get_running_loop().create_task(self._refresh(name))
        now = self._clock.monotonic()
        refresh = _Refresh(task, now, now + seconds)

        def ended(task: asyncio.Task[tuple[Entry, Outcome] | None]) -> None:
            if self._refreshes.get(name) is refresh:
                del self._refreshes[name]
            hear(task)
            if given_up is not None and (task.cancelled() or task.exception() is None):
                given_up.task.cancel()  # and so on, back to the first

        task.add_done_callback(ended)
        return refresh

    def _stale(self, entry: Entry, reason: str) -> View:
        owner = entry.project.owner
        is_down = self._upstreams.first_down(owner.name, owner) is not None or not self._upstreams.asked_for(
            owner.name, owner
        )
        log.warning("index.stale", project=entry.project.name, reason=reason)
        return View(entry, "stale", reason=reason, listing=self._offline_listing if is_down else "all")

    def _is_known_to_be_unknown(self, name: ProjectName) -> bool:
        until = self._unknown.get(name)
        return until is not None and self._clock.monotonic() < until

    async def _refresh(self, name: ProjectName) -> tuple[Entry, Outcome] | None:
        entry = await self._catalog.project(name)
        started = self._clock.monotonic()
        owner, validators = (None, None) if entry is None else (entry.project.owner, _validators(entry.project))
        fetched = await self._upstreams.fetch(name, owner, validators)
        if fetched is None:
            self._remember_unknown(name)
            if entry is not None and entry.project.listed:
                entry = await self._unlist(name, entry)
            if entry is None or not entry.project.owner.hosted:
                return None
            entry.checked = started
            return entry, "revalidated"
        if fetched.page is None and entry is not None:
            entry.checked = started
            return entry, "revalidated"
        entry = await self._save(fetched)
        entry.checked = started
        return entry, "changed"

    async def _save(self, fetched: Fetched) -> Entry:
        page = fetched.page
        assert page is not None and fetched.page_digest is not None  # noqa: S101, PT018 - only a known page comes without
        digest, now = fetched.page_digest, self._clock.now()

        def write(connection: Connection) -> Saved:
            saved = save_page(
                connection,
                page,
                upstream=fetched.upstream,
                etag=fetched.etag,
                last_modified=fetched.last_modified,
                page_digest=digest,
                now=now,
            )
            if _lacks_metadata(page):
                enqueue_metadata(connection, page.name, now)
            return saved

        epoch = self._catalog.epoch
        saved = await self._committer.commit(write)
        for filename in saved.conflicts:
            log.error("index.hash_changed", project=page.name, file=filename, upstream=fetched.upstream)
        return self._catalog.remember(saved.project, epoch)

    async def _unlist(self, name: ProjectName, entry: Entry) -> Entry:
        now, keeps, epoch = self._clock.now(), self._catalog.offers.serves_deleted, self._catalog.epoch
        project = await self._committer.commit(
            lambda connection: unlist_project(connection, name, now, keeps_copies=keeps)
        )
        if project is None or project.revision == entry.project.revision:
            return entry
        log.warning("index.project_gone", project=name)
        return self._catalog.remember(project, epoch)

    def _remember_unknown(self, name: ProjectName) -> None:
        now = self._clock.monotonic()
        if len(self._unknown) >= self._limits.known_projects:
            self._unknown = {each: until for each, until in self._unknown.items() if until > now}
        if len(self._unknown) < self._limits.known_projects:
            self._unknown[name] = now + self._limits.unknown_seconds


def _validators(project: KnownProject) -> Validators | None:
    if project.upstream is None or not project.listed:
        return None
    return Validators(project.upstream, project.etag, project.last_modified, project.page_digest)


def _lacks_metadata(page: ProjectPage) -> bool:
    return any(file.filename.endswith(".whl") and not file.has_metadata for file in page.files)
