"""A folder full of wheels, as `curd-server` serves it: what lies in it is offered, whoever put it there.

It may have sdists as well, and anything else, which is passed over. The names are read once; what has come or gone is
the difference between two looks.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Sequence
from functools import partial

from creamery.accounts import confirm
from creamery.blobs import Folder
from creamery.blobs import Found as FoundFile
from creamery.contract import Digest, Distribution, InvalidName, ProjectName, parse_filename
from creamery.door import Hub
from creamery.journal import record_by
from creamery.telemetry import log
from creamery.wheels.place import BuiltFile, FileGone, Found, NameTaken, Opened, Outcome, Pushed, Sight


class FolderWheels:
    """A `Place`."""

    def __init__(self, hub: Hub, folder: Folder) -> None:
        self._folder = folder
        self._committer = hub.committer
        self._database = hub.database
        self._pools = hub.pools
        self._served = hub.telemetry.counter("wheels_served", "Built wheels that were sent.")
        self._lock = threading.Lock()
        self._names: frozenset[str] = frozenset()
        self._said: dict[str, Distribution] = {}
        self._projects: dict[ProjectName, list[str]] = {}

    def look(self) -> None:
        """See what has come and gone. For threads.

        Raises:
            FolderGone: the folder cannot be read.
        """
        names = self._folder.look()
        with self._lock:
            if names is self._names:
                return
            for name in self._names - names:
                self._remove(name)
            unread = sum(not self._put(name) for name in names - self._names)
            self._names = names
        if unread:
            log.info("wheels.passed_over", files=unread, folder=str(self._folder.path), reason="no names of wheels")

    async def projects(self, sight: Sight) -> Sequence[ProjectName]:
        """As promised."""
        return await self._pools.disk.run(self._all_projects)

    async def files_of(self, project: ProjectName, sight: Sight, *, hashed: bool) -> Sequence[BuiltFile]:
        """As promised."""
        return await self._pools.disk.run(partial(self._files_of, project, hashed=hashed))

    async def find(self, filename: str, sight: Sight) -> BuiltFile | None:
        """As promised."""
        return await self._pools.disk.run(self._find, filename)

    async def open(self, file: BuiltFile) -> Opened:
        """As promised."""
        found = await self._pools.disk.run(self._folder.find, file.filename)
        if found is None:
            raise FileGone(file.filename)
        self._served.inc()
        return Opened(self._folder.locate(found), f"{found.changed:x}-{found.size:x}")

    async def keep(self, pushed: Pushed, found: Found) -> Outcome:
        """As promised. The folder first, then the journal: what is in the folder is here, whatever happens."""
        outcome = await self._pools.disk.run(self._keep, pushed)
        if outcome == "new":
            said = {"sha256": pushed.part.kept_digest(), "size": pushed.part.written}
            await self._committer.commit(
                lambda connection: record_by(connection, "wheels", "pushed", pushed.filename, pushed.by, said)
            )
        await pushed.part.drop_soon()
        return outcome

    def _keep(self, pushed: Pushed) -> Outcome:
        self._database.read(lambda connection: confirm(connection, pushed.principal, pushed.by.now))
        came = pushed.part.kept_digest()
        if self._folder.add(pushed.part, pushed.filename):
            return "new"
        found = self._folder.find(pushed.filename)
        files = {} if found is None else {pushed.filename: found}
        here = self._folder.digests(files).get(pushed.filename)
        if here != came:
            raise NameTaken(pushed.filename, here, came)
        return "same"

    def _all_projects(self) -> list[ProjectName]:
        self.look()
        with self._lock:
            return sorted(self._projects)

    def _files_of(self, project: ProjectName, *, hashed: bool) -> list[BuiltFile]:
        self.look()
        with self._lock:
            names = list(self._projects.get(project, ()))
        files = {name: found for name in names if (found := self._folder.find(name)) is not None}
        if not hashed:
            return [self._file(found, None) for found in files.values()]
        digests = self._folder.digests(files)
        return [self._file(files[name], digest) for name, digest in digests.items()]

    def _find(self, filename: str) -> BuiltFile | None:
        self.look()
        if filename not in self._said:
            return None
        found = self._folder.find(filename)
        return None if found is None else self._file(found, None)

    def _file(self, found: FoundFile, digest: Digest | None) -> BuiltFile:
        said = parse_filename(found.name)
        return BuiltFile(found.name, said.project, str(said.version), found.size, digest)

    def _put(self, name: str) -> bool:
        """False: it is nothing that is offered."""
        try:
            said = parse_filename(name)
        except InvalidName:
            return False
        self._said[name] = said
        insort(self._projects.setdefault(said.project, []), name)
        return True

    def _remove(self, name: str) -> None:
        said = self._said.pop(name, None)
        if said is None:
            return
        others = self._projects[said.project]
        others.remove(name)
        if not others:
            del self._projects[said.project]
