"""Mending what an audit found, without deleting the only copy of anything.

The data directory must be the caller's alone. What is wrong or unknown moves to `quarantine/`; references to what can
be fetched again become "known, not here"; what somebody has kept and is not there stays reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from creamery.blobs import tables
from creamery.blobs.findings import Finding, Kind
from creamery.blobs.holders import Holder, held_by
from creamery.blobs.local import ORPHANS, move_away
from creamery.blobs.ownership import Layout
from creamery.blobs.quarantine import Quarantine
from creamery.blobs.reader import Reader
from creamery.clock import Clock
from creamery.contract import Digest
from creamery.database import Committer, Database
from creamery.telemetry import Telemetry


class Repair:
    """Mends findings, one at a time."""

    def __init__(
        self, data: Path, database: Database, committer: Committer, holders: Sequence[Holder], clock: Clock
    ) -> None:
        self._layout = Layout(data)
        self._reader = Reader(self._layout, database)
        self._quarantine = Quarantine(self._reader, database, committer, clock, Telemetry())
        self._committer = committer
        self._holders = holders
        self._clock = clock

    def mend(self, finding: Finding) -> str | None:
        """What was done, for people; None where nothing can be, because somebody's only copy is concerned.

        Raises:
            OSError: the disk refused; other findings may be mended all the same.
            DatabaseUnavailable, DiskFull, WritesBusy: the database did.
        """
        if finding.kind is Kind.ORPHAN:
            return self._move_away(self._reader.files.path(Digest(finding.subject)))
        if finding.kind is Kind.STRANGER:
            return self._move_away(self._layout.data / finding.subject)
        if finding.kind is Kind.STALE_PART:
            (self._layout.data / finding.subject).unlink(missing_ok=True)
            return "deleted: it was never finished"
        return self._mend_blob(Digest(finding.subject))

    def _mend_blob(self, digest: Digest) -> str | None:
        """Wrong bytes go to quarantine; then the blob is forgotten, unless somebody has kept it."""
        target = self._quarantine.put(digest, "a repair found it wrong")
        if not self._committer.write(lambda connection: self._forget(connection, digest)):
            return None
        moved = f"moved to {target.relative_to(self._layout.data)}; " if target is not None else ""
        return f"{moved}forgotten: nobody holds it, or it can be fetched again"

    def _forget(self, connection: Connection, digest: Digest) -> bool:
        """Cached references become "known, not here"; True when nobody holds it any more, and its row is away."""
        for holder in self._holders:
            holder.forget(connection, [digest])
        if tables.holds(connection, held_by(self._holders, tables.this(digest))):
            return False
        tables.remove(connection, digest)
        return True

    def _move_away(self, path: Path) -> str:
        target = move_away(path, self._layout.quarantine / ORPHANS, self._clock.now())
        return "it is away already" if target is None else f"moved to {target.relative_to(self._layout.data)}"
