"""What doors above the index list beside its files, on pages of their own; the index's own pages never show it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from creamery.index.answers import MOST_WAYS
from creamery.index.catalog import Catalog, Entry
from creamery.index.offers import Offers, is_kept_back
from creamery.index.project import KeptFile, KnownProject, ListedFile
from creamery.index.simple import Added
from creamery.sharing import Sharing
from creamery.threads import Pools

T = TypeVar("T")

Published = Callable[[], Awaitable[Sequence[ListedFile]]]
"""Brings what the index offers of the project; asked for only where there is something to weigh against it."""


@dataclass(slots=True)  # not frozen: it is made for each request, and that costs a microsecond
class Adding:
    """What a door adds to a project's page, for one who asks.

    Attributes:
        way: the same for all to whom the same is listed.
        revision: another one whenever there may be other things to list. It is read before `files` reads them.
        files: what is listed, with addresses as seen from the door's page; called once for a way and a revision, and
            again when the project changes. None: nothing, so the page is the index's own.
        is_open: anyone may have the page.
    """

    way: Hashable
    revision: Hashable
    files: Callable[[Published], Awaitable[Sequence[ListedFile]]] | None
    is_open: bool


class Additions:
    """Asks doors what they add, and remembers it with the project's pages. Used on the event loop only."""

    def __init__(self, catalog: Catalog, pools: Pools) -> None:
        self._catalog = catalog
        self._pools = pools
        self._asking: Sharing[Added] = Sharing()

    async def of(self, entry: Entry, adding: Adding) -> Added:
        """What is added for this way of asking."""
        add = adding.files
        if add is None:
            return ()
        known = entry.added.get(adding.way)
        if known is not None and known[0] == adding.revision:
            return known[1]
        project = entry.project
        key = (project.name, project.revision, adding.way, adding.revision)

        async def ask() -> Added:
            added = tuple(await add(lambda: self.published(project)))
            if entry.project is project:
                if len(entry.added) >= MOST_WAYS:
                    entry.added.clear()
                entry.added[adding.way] = adding.revision, added
            return added

        return await self._asking.once(key, ask)

    def holds(self, entry: Entry, adding: Adding, added: Added) -> bool:
        """Is this still what is added?"""
        return adding.files is None or entry.added.get(adding.way) == (adding.revision, added)

    async def published(self, project: KnownProject) -> list[ListedFile]:
        """What the index offers of a project, whether it is here or not; nothing of what is quarantined.

        One statement; a file whose upstream names no SHA-256 has that of its bytes, where they are here.
        """
        files = await self._catalog.files(project)
        return await self._pools.cpu.run(_published, self._catalog.offers, project, files)


def _published(offers: Offers, project: KnownProject, files: Sequence[KeptFile]) -> list[ListedFile]:
    if project.status == "quarantined":
        return []
    return [
        replace(file.listed_file, sha256=file.listed_file.sha256 or file.digest)
        for file in offers.offered(files)
        if not is_kept_back(file)
    ]
