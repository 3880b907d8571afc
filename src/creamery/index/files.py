"""The index's files for the doors above: what they are, and their bytes as blobs of this hub.

Who may read the index may have them; the caller asks `may_be_read_by` first. What is offered, and how what is not here
comes, is as for installers (`bringing.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from creamery.accounts import Principal, Thing
from creamery.contract import Digest, InvalidName, ProjectName, check_filename, normalize
from creamery.door import Door, Hub
from creamery.index.access import READ
from creamery.index.bringing import Bringing, NotHad
from creamery.index.catalog import Catalog
from creamery.index.names import Names
from creamery.index.pages import Pages
from creamery.index.project import KeptFile, StoredFile
from creamery.index.routes import Routes
from creamery.index.tables import files_of, find_project, hosted_names, project_serials


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file of a project's page.

    Attributes:
        size: in bytes; None: nobody has said.
        uploaded: seconds since 1970, rounded down; None: nobody has said.
        sha256: what its bytes hash to; None: nobody has said, and they are not here.
        is_here: its bytes are a blob of this hub.
    """

    project: ProjectName
    filename: str
    size: int | None
    uploaded: int | None
    sha256: Digest | None
    is_here: bool


class Files:
    """What other doors may ask of the index. Coroutines run on the hub's event loop."""

    def __init__(self, hub: Hub, catalog: Catalog, bringing: Bringing, names: Names) -> None:
        self._catalog = catalog
        self._own = names
        self._bringing = bringing
        self._accounts = hub.accounts
        self._database = hub.database
        self._pools = hub.pools
        self._settling = hub.settling

    def may_be_read_by(self, principal: Principal) -> bool:
        """May they read the index?"""
        return self._accounts.may(principal, READ, Thing("project"))

    async def find(self, project: str, filename: str) -> PackageFile:
        """A file that is offered; an upstream is asked only for what nobody knows here.

        Raises:
            NotNow, NotHad: there is none.
        """
        await self._settling.settle()
        file = await self._bringing.find(*_names(project, filename))
        return _shown(file, await self._bringing.stored(file))

    async def here(self, project: str, filename: str) -> PackageFile | None:
        """A file that is offered and here; None: it is not. No upstream is asked."""
        await self._settling.settle()
        try:
            file = await self._catalog.file(*_names(project, filename))
        except NotHad:
            return None
        if file is None or self._catalog.offers.of(file).withheld is not None:
            return None
        stored = await self._bringing.stored(file)
        return None if stored is None else _shown(file, stored)

    async def bring(self, project: str, filename: str) -> PackageFile:
        """Have a file here; what is fetched already is not fetched again.

        Raises:
            NotNow, NotHad: it does not come.
        """
        await self._settling.settle()
        file = await self._bringing.find(*_names(project, filename))
        return _shown(file, await self._bringing.stored(file) or await self._bringing.fetch(file))

    async def projects(self) -> list[ProjectName]:
        """The projects that the hub knows, in order of their names."""
        await self._settling.settle()
        found = await self._pools.database.run(self._database.read, project_serials)
        hides = self._catalog.offers.why_hidden
        return [name for name, _, hosted in found if hides(name, hosted=hosted) is None]

    async def own_names(self) -> tuple[Sequence[str], Sequence[str]]:
        """The names that no upstream is asked for: those that are claimed, and the patterns of those reserved."""
        await self._settling.settle()
        return await self._pools.database.run(self._database.read, hosted_names), sorted(self._own.patterns)

    async def files(self, project: str) -> list[PackageFile]:
        """What the hub offers of a project that it knows, in order of their names. No upstream is asked.

        Raises:
            NotHad: it knows none of that name.
        """
        await self._settling.settle()
        return await self._pools.database.run(self._files, _project(project))

    def _files(self, name: ProjectName) -> list[PackageFile]:
        known = self._database.read(lambda connection: find_project(connection, name))
        offers = self._catalog.offers
        if known is None or not known.listed or offers.why_hidden(name, hosted=known.owner.hosted) is not None:
            raise NotHad("the hub knows no such project")
        files = self._database.read(lambda connection: files_of(connection, known.id))
        return sorted((_shown(file, file.stored) for file in offers.offered(files)), key=lambda file: file.filename)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDoor(Door):
    """The index, and what other doors may ask of it."""

    files: Files
    pages: Pages
    endpoints: Routes


def _names(project: str, filename: str) -> tuple[ProjectName, str]:
    try:
        return _project(project), check_filename(filename)
    except InvalidName as error:
        raise NotHad(str(error)) from error


def _project(written: str) -> ProjectName:
    try:
        return normalize(written)
    except InvalidName as error:
        raise NotHad(str(error)) from error


def _shown(file: KeptFile, stored: StoredFile | None) -> PackageFile:
    listed = file.listed_file
    return PackageFile(
        file.project,
        file.filename,
        listed.size if stored is None else stored.size,
        _seconds(listed.upload_time),
        listed.sha256 if stored is None else stored.digest,
        stored is not None,
    )


def _seconds(text: str | None) -> int | None:
    """What an upstream wrote as a time, where it is one."""
    try:
        return None if text is None else max(0, int(datetime.fromisoformat(text).timestamp()))
    except (ValueError, OverflowError):
        return None
