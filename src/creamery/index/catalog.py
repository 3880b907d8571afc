"""What the index keeps in memory: projects with their rendered pages, and files that are here.

A warm page and a cached file cost no statement. Everything here can be dropped at any time; it is doubted when
another process has changed the index (`Generations`), and then each project costs one point read to be believed again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from creamery.contract import ProjectName
from creamery.door import Hub
from creamery.index.offers import Offers
from creamery.index.project import KeptFile, KnownProject, StoredFile
from creamery.index.shelf import Held, Shelf
from creamery.index.simple import Added, Encoding, Format, Listing, Page, render, render_projects
from creamery.index.tables import DOUBTED, files_of, find_file, find_project, has_copies, project_serials
from creamery.sharing import Sharing

T = TypeVar("T")

PageKey = tuple[Format, Listing, Added]

MOST_MERGED = 16
"""Pages of one project, with something added, that are kept: there are few lists that differ at one time."""


@dataclass(slots=True)
class Entry:
    """A project in memory.

    Attributes:
        checked: when its upstream last said that this is current (`Clock.monotonic`); None: not in this process.
        pages: what is rendered of it, for the index itself and for doors that add to it.
        added: what these add, by whose page it is, with the revision of what there was to add.
        answers: responses made of those pages, by what was asked; they live as long as the pages.
    """

    project: KnownProject
    epoch: int
    checked: float | None = None
    pages: dict[PageKey, Page] = field(default_factory=dict)
    added: dict[Hashable, tuple[Hashable, Added]] = field(default_factory=dict)
    answers: dict[object, object] = field(default_factory=dict)


class Catalog:
    """Projects and files in memory, bounded. Used on the event loop only, but for `doubt_from_thread`."""

    def __init__(self, hub: Hub, offers: Offers) -> None:
        self._database = hub.database
        self._pools = hub.pools
        self._limits = limits = hub.settings.limits
        self._settling = hub.settling
        self.offers = offers
        self._epoch = 0
        self._entries: OrderedDict[ProjectName, Entry] = OrderedDict()
        self._files: OrderedDict[tuple[str, str], StoredFile] = OrderedDict()
        self.shelf = Shelf(limits, hub.telemetry)
        self._making: Sharing[Any] = Sharing()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._renders = hub.telemetry.counter("index_renders", "Pages rendered.", ["format"])
        self._page_bytes = hub.telemetry.gauge("index_page_bytes", "Rendered pages in memory, in bytes.")
        self._bytes = 0
        hub.generations.on_change("index", self.doubt_from_thread)
        hub.committer.on_commit(lambda announced: self.doubt_from_thread() if DOUBTED in announced else None)

    def start(self) -> None:
        """Remember the loop that everything here belongs to."""
        self._loop = asyncio.get_running_loop()

    @property
    def epoch(self) -> int:
        """Changes when what is in memory is doubted: what was found before is not to be remembered after."""
        return self._epoch

    def doubt(self) -> None:
        """Believe nothing that is in memory without asking the database once more."""
        self._epoch += 1
        self._files.clear()
        self.shelf.clear()

    def doubt_from_thread(self) -> None:
        """`doubt`, from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.doubt)

    def believed(self, name: str) -> Entry | None:
        """A project in memory that nobody has changed since, by its normalised name."""
        entry = self._entries.get(cast("ProjectName", name))
        if entry is None or entry.epoch != self._epoch:
            return None
        self._entries.move_to_end(entry.project.name)
        return entry

    async def project(self, name: ProjectName) -> Entry | None:
        """A project that the hub knows; no statement when it is in memory, else one point read."""
        entry = self.believed(name)
        if entry is not None:
            return entry
        epoch = self._epoch
        project = await self._pools.database.run(self._database.read, lambda connection: find_project(connection, name))
        return None if project is None else self.remember(project, epoch)

    def remember(self, project: KnownProject, epoch: int) -> Entry:
        """Take in a project's row as it was read or written in that epoch; pages that it makes untrue are dropped."""
        entry = self._entries.get(project.name)
        if entry is None:
            entry = self._entries[project.name] = Entry(project, epoch)
        elif project.revision < entry.project.revision:
            return entry  # read before a change that is known already
        elif project.revision != entry.project.revision:
            self._drop_pages(entry, ("all", "here"))
        elif project.here_revision != entry.project.here_revision:
            self._drop_pages(entry, ("here",))
        if (entry.project.upstream, entry.project.owner.merged) != (project.upstream, project.owner.merged):
            entry.checked = None  # somebody else answers for it now
        entry.project = project
        entry.epoch = epoch
        self._entries.move_to_end(project.name)
        while len(self._entries) > self._limits.known_projects:
            _, oldest = self._entries.popitem(last=False)
            self._drop_pages(oldest, ("all", "here"))
        return entry

    def remember_from_thread(self, project: KnownProject, epoch: int) -> None:
        """`remember`, from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.remember, project, epoch)

    async def why_private(self, name: ProjectName) -> str | None:
        """Why no upstream may hear a name at this moment, by what all processes have committed; None: it may."""
        await self._settling.settle()
        entry = await self.project(name)
        if entry is not None and not entry.project.owner.is_asked_upstream:
            return "the name is claimed here"
        return self.offers.why_hidden(name, hosted=entry is not None and entry.project.owner.hosted)

    async def page(
        self, entry: Entry, page_format: Format, listing: Listing, encoding: Encoding, added: Added = ()
    ) -> tuple[Page, bytes]:
        """A project's page and its bytes; rendered and compressed once, however many ask at the same time."""
        kind = (page_format, listing, added)
        page = entry.pages.get(kind)
        if page is None:
            key = (entry.project.name, entry.project.revision, entry.project.here_revision, kind)
            page = await self._making.once(key, lambda: self._render(entry, kind))
        body = page.body(encoding)
        if body is None:
            body = await self._making.once((id(page), encoding), lambda: self._encode(page, encoding))
            self._make_room(entry)
        return page, body

    async def files(self, project: KnownProject) -> list[KeptFile]:
        """All its files' rows: one statement."""
        return await self._pools.database.run(self._database.read, lambda connection: files_of(connection, project.id))

    async def projects_page(self, page_format: Format) -> Page:
        """The list of all projects that the hub knows; rendered at each request, for it is seldom asked."""
        projects = await self._pools.database.run(self._database.read, project_serials)
        shown = [(name, serial) for name, serial, hosted in projects if not self.offers.why_hidden(name, hosted=hosted)]
        return await self._pools.cpu.run(render_projects, shown, page_format)

    async def has_copies(self, entry: Entry) -> bool:
        """Are copies here of what its upstream has no more, and are they served? One point read."""
        return self.offers.serves_deleted and await self._pools.database.run(
            self._database.read, lambda connection: has_copies(connection, entry.project.id)
        )

    def stored(self, project: str, filename: str) -> StoredFile | None:
        """A file that is known to be here, without a statement."""
        key = (project, filename)
        stored = self._files.get(key)
        if stored is not None:
            self._files.move_to_end(key)
        return stored

    def remember_file(self, project: str, filename: str, stored: StoredFile, epoch: int) -> None:
        """This file is here, or was in that epoch: then it may have been deleted or withheld since."""
        if epoch != self._epoch:
            return
        self._files[project, filename] = stored
        while len(self._files) > self._limits.known_files:
            self._files.popitem(last=False)

    def shelve(self, project: str, filename: str, held: Held, epoch: int) -> None:
        """Keep a small file in memory, unless something has changed since that epoch."""
        if epoch == self._epoch:
            self.shelf.put((project, filename), held)

    def forget_file(self, project: str, filename: str) -> None:
        """This file is here no more, or not as it should be."""
        self._files.pop((project, filename), None)
        self.shelf.remove((project, filename))

    async def file(self, project: ProjectName, filename: str) -> KeptFile | None:
        """A file's row: one point read."""
        return await self._pools.database.run(
            self._database.read, lambda connection: find_file(connection, project, filename)
        )

    async def _render(self, entry: Entry, kind: PageKey) -> Page:
        project = entry.project
        files = await self.files(project)
        page = await self._pools.cpu.run(self._rendered, project, files, kind)
        self._renders.labels(page.format).inc()
        if entry.project is project:
            entry.pages[kind] = page
            self._account(page.size)
            self._make_room(entry)
        return page

    def _rendered(self, project: KnownProject, files: list[KeptFile], kind: PageKey) -> Page:
        page_format, listing, added = kind
        return render(*self.offers.listing(project, files), page_format, listing, added)

    async def _encode(self, page: Page, encoding: Encoding) -> bytes:
        before = page.size
        body = await self._pools.cpu.run(page.encode, encoding)
        self._account(page.size - before)
        return body

    def _drop_pages(self, entry: Entry, listings: tuple[Listing, ...]) -> None:
        entry.answers.clear()
        entry.added.clear()
        for key in [key for key in entry.pages if key[1] in listings]:
            self._account(-entry.pages.pop(key).size)

    def _make_room(self, keep: Entry) -> None:
        """Drop the pages that were not asked for the longest, until all fit; of `keep` those with something added."""
        if self._bytes > self._limits.page_cache_bytes:
            for entry in list(self._entries.values()):
                if entry is not keep and entry.pages:
                    self._drop_pages(entry, ("all", "here"))
                    if self._bytes <= self._limits.page_cache_bytes:
                        break
        merged = [key for key in keep.pages if key[2]]
        for key in merged[:-1]:
            if len(merged) <= MOST_MERGED and self._bytes <= self._limits.page_cache_bytes:
                return
            merged.remove(key)
            keep.answers.clear()
            self._account(-keep.pages.pop(key).size)

    def _account(self, size: int) -> None:
        self._bytes += size
        self._page_bytes.set(self._bytes)
