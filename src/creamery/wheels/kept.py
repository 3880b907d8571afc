"""Built wheels as blobs of the hub, with a row each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from creamery.accounts import confirm
from creamery.contract import Digest, ProjectName, digest_of, key_of_name, parse_filename
from creamery.door import Hub
from creamery.journal import By, record_by
from creamery.telemetry import log
from creamery.wheels import leases, promotion, tables
from creamery.wheels.checking import enqueue_check
from creamery.wheels.place import BuiltFile, Found, KeyTaken, NameTaken, Opened, Outcome, Pushed, Ring, Sight
from creamery.wheels.tables import BeingPushed, Entry
from creamery.wheels.uses import Uses

ATTEMPTS = 3
"""Whoever meets another process that pushes the same key looks again: it is there then."""


class KeptWheels:
    """A `Place`."""

    def __init__(self, hub: Hub, uses: Uses) -> None:
        self._uses = uses
        self._agree = hub.settings.wheels.agree
        self._ring = Ring(hub.settings.wheels.ring)
        self._blobs = hub.blobs
        self._database = hub.database
        self._committer = hub.committer
        self._pools = hub.pools

    async def projects(self, sight: Sight) -> Sequence[ProjectName]:
        """As promised."""
        return await self._pools.database.run(self._database.read, partial(tables.projects, sight=sight))

    async def files_of(self, project: ProjectName, sight: Sight, *, hashed: bool) -> Sequence[BuiltFile]:
        """As promised; of several of one name the one that goes first."""
        entries = await self._pools.database.run(
            self._database.read, partial(tables.entries_of, project=project, sight=sight)
        )
        found: dict[str, BuiltFile] = {}
        for entry in in_order(entries, sight):
            found.setdefault(entry.file.filename, entry.file)
        return list(found.values())

    async def find(self, filename: str, sight: Sight) -> BuiltFile | None:
        """As promised; of several of one name the one that goes first."""
        entries = await self._pools.database.run(
            self._database.read, partial(tables.entries_called, filename=filename, sight=sight)
        )
        ordered = in_order(entries, sight)
        return ordered[0].file if ordered else None

    async def open(self, file: BuiltFile) -> Opened:
        """As promised."""
        digest = file.digest
        assert digest is not None  # noqa: S101 - rows without one are not found
        extent = await self._blobs.prepare(digest, file.size)
        self._blobs.used(digest)
        self._uses.note(file)
        return Opened(extent, digest, self._blobs.check_of(digest), partial(self._blobs.lease, digest))

    async def keep(self, pushed: Pushed, found: Found) -> Outcome:
        """As promised."""
        told, metadata = pushed.told, found.artefact.metadata
        beside = [metadata] if told is None or told.log is None else [metadata, told.log]
        write = partial(self._list, pushed, found)
        try:
            for _ in range(ATTEMPTS - 1):
                try:
                    return await self._blobs.keep(pushed.part, write, beside=beside)
                except BeingPushed:
                    continue
            return await self._blobs.keep(pushed.part, write, beside=beside)
        except (NameTaken, KeyTaken):
            await self._committer.commit(partial(_remember_conflict, pushed))
            raise

    def _list(self, pushed: Pushed, found: Found, connection: Connection, digest: Digest) -> Outcome:
        """In the transaction."""
        confirm(connection, pushed.principal, pushed.by.now)
        key = key_of(pushed)
        row_id, known = tables.locked_entry(connection, pushed.ring, key)
        if known is not None and known.file.digest != digest:
            assert known.file.digest is not None  # noqa: S101 - what is not here is no entry
            if pushed.told is None:
                raise NameTaken(pushed.filename, known.file.digest, digest)
            raise KeyTaken(pushed.filename, key, known.file.digest, digest)
        if known is not None:
            self._vouched(connection, pushed, known)
            return "same"
        entry_id = tables.fill(connection, row_id, _row(pushed, found, key, digest))
        if found.has_elf:
            enqueue_check(connection, entry_id, pushed.by.now)
        if pushed.told is not None:  # else nobody could promise to build it
            leases.give_back(connection, pushed.ring, key)
            leases.forget_failure(connection, key, pushed.ring)
        detail = {"sha256": digest, "size": pushed.part.written, "ring": pushed.ring, "key": key}
        record_by(connection, "wheels", "pushed", pushed.filename, pushed.by, detail)
        if self._agree:
            self._vouched(connection, pushed, tables.entry_by_id(connection, entry_id))
        return "new"

    def _vouched(self, connection: Connection, pushed: Pushed, entry: Entry | None) -> None:
        """Enough users who have built the same make everybody trust it."""
        user_id = pushed.principal.user_id
        if not self._agree or pushed.told is None or user_id is None or entry is None or entry.file.digest is None:
            return
        key, digest, now = entry.key, entry.file.digest, pushed.by.now
        is_agreed = promotion.vouch(connection, key, digest, user_id, now, self._agree)
        if not is_agreed or entry.ring == self._ring:
            return
        try:
            promotion.promote(connection, entry, self._ring, By(now), f"{self._agree} users have built it")
        except KeyTaken as error:
            tables.add_conflict(connection, self._ring, key, digest, entry.file.filename, pushed.by)
            log.warning("wheels.not_promoted", file=entry.file.filename, reason=str(error))


def in_order(entries: Sequence[Entry], sight: Sight) -> list[Entry]:
    """Those of an earlier ring first; of one ring those that were pushed by their name alone, then who came first."""
    return sorted(entries, key=lambda entry: (sight.index(entry.ring), entry.record is not None, entry.id))


def key_of(pushed: Pushed) -> Digest:
    """What a wheel is found by."""
    return key_of_name(pushed.filename) if pushed.told is None else pushed.told.build.key()


def _row(pushed: Pushed, found: Found, key: Digest, digest: Digest) -> dict[str, Any]:
    told, artefact, size = pushed.told, found.artefact, pushed.part.written
    return {
        "ring": pushed.ring,
        "key": key,
        "project": artefact.project,
        "version": str(parse_filename(pushed.filename).version),
        "filename": pushed.filename,
        "digest": digest,
        "size": size,
        "pushed": pushed.by.now,
        "pushed_by": pushed.by.actor,
        "user_id": pushed.principal.user_id,
        "state": "checking" if found.has_elf else "listed",
        "reason": "",
        "listed_name": pushed.filename,
        "listed_digest": None,
        "listed_size": size,
        "metadata_digest": digest_of(artefact.metadata),
        "metadata_size": len(artefact.metadata),
        "requires_python": artefact.requires_python,
        "source": None if told is None else told.sdist,
        "neutral": told is None or told.build.is_neutral,
        "libc": None if told is None else told.build.libc,
        "record": None if told is None else told.record.decode(),
        "log_digest": None if told is None or told.log is None else digest_of(told.log),
        "log_size": 0 if told is None else told.log_size,
        "millis": 0 if told is None else told.millis,
        "used": pushed.by.now,
    }


def _remember_conflict(pushed: Pushed, connection: Connection) -> None:
    digest = pushed.part.kept_digest()
    tables.add_conflict(connection, pushed.ring, key_of(pushed), digest, pushed.filename, pushed.by)
