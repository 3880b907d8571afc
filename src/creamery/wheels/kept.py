"""Built wheels as blobs of the hub, with a row each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from creamery.accounts import confirm
from creamery.contract import Digest, ProjectName, parse_filename
from creamery.door import Hub
from creamery.index import Artefact
from creamery.journal import record_by
from creamery.wheels import tables
from creamery.wheels.place import BuiltFile, NameTaken, Opened, Outcome, Pushed
from creamery.wheels.tables import BeingPushed

ATTEMPTS = 3
"""Whoever meets another process that pushes the same name looks again: it is there then."""


class KeptWheels:
    """A `Place`."""

    def __init__(self, hub: Hub) -> None:
        self._blobs = hub.blobs
        self._database = hub.database
        self._pools = hub.pools

    async def projects(self) -> Sequence[ProjectName]:
        """As promised."""
        return await self._pools.database.run(self._database.read, tables.projects)

    async def files_of(self, project: ProjectName, *, hashed: bool) -> Sequence[BuiltFile]:
        """As promised."""
        return await self._pools.database.run(self._database.read, partial(tables.wheels_of, project=project))

    async def find(self, filename: str) -> BuiltFile | None:
        """As promised."""
        return await self._pools.database.run(self._database.read, partial(tables.find_wheel, filename=filename))

    async def open(self, file: BuiltFile) -> Opened:
        """As promised."""
        digest = file.digest
        assert digest is not None  # noqa: S101 - rows without one are not found
        extent = await self._blobs.prepare(digest, file.size)
        self._blobs.used(digest)
        return Opened(extent, digest, self._blobs.check_of(digest), partial(self._blobs.lease, digest))

    async def keep(self, pushed: Pushed, artefact: Artefact) -> Outcome:
        """As promised."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._blobs.keep(pushed.part, partial(_list, pushed, artefact))
            except BeingPushed:
                continue
        return await self._blobs.keep(pushed.part, partial(_list, pushed, artefact))


def _list(pushed: Pushed, artefact: Artefact, connection: Connection, digest: Digest) -> Outcome:
    """In the transaction."""
    confirm(connection, pushed.principal, pushed.by.now)
    known = tables.locked_wheel(connection, pushed.filename)
    if known is not None and known.digest == digest:
        return "same"
    if known is not None and known.digest is not None:
        raise NameTaken(pushed.filename, known.digest, digest)
    version, size = str(parse_filename(pushed.filename).version), pushed.part.written
    tables.set_wheel(connection, BuiltFile(pushed.filename, artefact.project, version, size, digest), pushed.by)
    record_by(connection, "wheels", "pushed", pushed.filename, pushed.by, {"sha256": digest, "size": size})
    return "new"
