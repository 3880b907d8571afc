"""Where wrong bytes go: out of the store, never served again and never deleted."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from creamery.blobs import places, tables
from creamery.blobs.local import write_aside
from creamery.blobs.reader import Reader
from creamery.blobs.segments import Place
from creamery.clock import Clock
from creamery.contract import Digest
from creamery.database import Committer, Database, bump
from creamery.faults import reach
from creamery.telemetry import Telemetry, log


class _Replaced(Exception):
    """The right bytes came between the move and the row."""


class Quarantine:
    """Puts blobs away, beside a hub that runs. For threads."""

    def __init__(
        self, reader: Reader, database: Database, committer: Committer, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._reader = reader
        self._database = database
        self._committer = committer
        self._clock = clock
        self._put = telemetry.counter("blobs_quarantined", "Blobs that were found wrong and moved away.")

    def put(self, digest: Digest, reason: str) -> Path | None:
        """Move wrong bytes out of the way, to `quarantine/<sha256>.<micros>`; the row says `corrupt`.

        Returns where they are now; None where there were none.

        The file goes first: a row in `corrupt` means that what lies at the name, if anything, came afterwards. What
        lies in a segment is copied to quarantine; its row then names no place, and the segment stays as it is.
        """
        place = self._database.read(lambda connection: places.place_of(connection, digest))
        if place is None:
            target = self._reader.files.quarantine(digest, self._clock.now())
        else:
            target = self._copy(digest, place)
        if target is None:
            return None
        self._put.inc()
        log.error("blobs.quarantined", digest=digest, reason=reason, file=str(target))
        try:
            self._committer.write(lambda connection: self._mark_corrupt(connection, digest, place))
        except _Replaced:
            log.info("blobs.replaced", digest=digest)
        self._reader.forget(digest)
        return target

    def _copy(self, digest: Digest, place: Place) -> Path | None:
        try:
            data = b"".join(self._reader.segments.open(place))
        except FileNotFoundError:
            return None
        target = write_aside(self._reader.files.quarantined, digest, data, self._clock.now())
        reach("quarantine.moved")
        return target

    def _mark_corrupt(self, connection: Connection, digest: Digest, place: Place | None) -> None:
        if places.place_of(connection, digest) != place:
            raise _Replaced
        tables.set_corrupt(connection, digest, self._clock.now())
        if place is not None:
            bump(connection, "blobs")
        elif self._reader.files.size(digest) is not None:
            raise _Replaced
