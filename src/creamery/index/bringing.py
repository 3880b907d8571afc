"""Having a file here because somebody wants it, without sending it to them: for prefetches, and for other doors.

What is withheld at its address is withheld here too, and what is not here comes by the flight that installers follow.
"""

from __future__ import annotations

from creamery.blobs import (
    BlobCorrupt,
    BlobError,
    BlobMissing,
    HashMismatch,
    LengthMismatch,
    NoSpace,
    NotDurable,
    ReadOnly,
    TooLong,
)
from creamery.contract import ProjectName
from creamery.database import DatabaseUnavailable, DiskFull, WritesBusy
from creamery.door import Hub
from creamery.egress import EgressError
from creamery.index.catalog import Catalog
from creamery.index.download import Downloads, FileGone, NotKept, WrongBytes
from creamery.index.freshness import Freshness, UnknownProject, View
from creamery.index.project import KeptFile, StoredFile
from creamery.index.upstream import UpstreamDown

SILENT = "its upstream does not answer"


class NotHad(Exception):
    """A file cannot be had; the text says why."""


class NotNow(Exception):
    """A file cannot be had now; the text says why."""


class Bringing:
    """Finds files that are offered, and fetches those that are not here. On the event loop only."""

    def __init__(self, hub: Hub, catalog: Catalog, freshness: Freshness, downloads: Downloads) -> None:
        self._catalog = catalog
        self._freshness = freshness
        self._downloads = downloads
        self._blobs = hub.blobs

    async def view(self, project: ProjectName) -> View:
        """A project as its page shows it.

        Raises:
            NotNow: its upstream cannot be asked, and nothing is known of it.
            NotHad: there is none.
        """
        try:
            return await self._freshness.view(project)
        except UpstreamDown as error:
            raise _not_now(error) from error
        except UnknownProject as error:
            reason = f"it is withheld here: {error.hidden}" if error.hidden else "no index has this project"
            raise NotHad(reason) from error

    async def find(self, project: ProjectName, filename: str) -> KeptFile:
        """A file's row, if the file is offered; an upstream is asked only for what nobody knows here.

        Raises:
            NotNow, NotHad: there is none.
        """
        file = await self._catalog.file(project, filename)
        if file is None:
            view = await self.view(project)
            file = await self._catalog.file(project, filename)
            if file is None and view.outcome == "stale":
                raise NotNow(view.reason or SILENT)
        if file is None:
            raise NotHad("its index does not list this file")
        offer = self._catalog.offers.of(file)
        if offer.withheld is not None:
            raise NotHad(f"it is withheld here: {offer.withheld}")
        return file

    async def stored(self, file: KeptFile) -> StoredFile | None:
        """Its bytes, where they are here; they count as used, so that the cache gives way to others first."""
        known = await self._catalog.file(file.project, file.filename)
        stored = None if known is None else known.stored
        if stored is None:
            return None
        try:
            await self._blobs.prepare(stored.digest, stored.size)
        except (BlobMissing, BlobCorrupt):
            return None
        self._blobs.used(stored.digest)
        return stored

    async def fetch(self, file: KeptFile) -> StoredFile:
        """Bring what is not here.

        Raises:
            NotNow, NotHad: it does not come.
        """
        if not file.is_fetchable:
            raise NotHad("its bytes are lost here, and they were nowhere else")
        try:
            return await self._downloads.bring(file)
        except UpstreamDown as error:
            raise _not_now(error) from error
        except (NoSpace, NotDurable, ReadOnly, NotKept, DatabaseUnavailable, DiskFull, WritesBusy) as error:
            raise NotNow(str(error)) from error
        except FileGone as error:
            raise NotHad("its upstream lists this file and does not have it") from error
        except (WrongBytes, HashMismatch, LengthMismatch, TooLong) as error:
            raise NotHad("its upstream sends other bytes than its page announces") from error
        except (BlobError, EgressError) as error:
            raise NotHad(str(error)) from error


def _not_now(error: UpstreamDown) -> NotNow:
    return NotNow(f"its upstream {error.reason}")
