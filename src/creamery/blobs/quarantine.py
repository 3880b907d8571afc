"""Where wrong bytes go: out of the store, never served again and never deleted."""

from __future__ import annotations

from sqlalchemy import Connection

from creamery.blobs import tables
from creamery.blobs.local import LocalStore
from creamery.clock import Clock
from creamery.contract import Digest
from creamery.database import Committer
from creamery.telemetry import Telemetry, log


class _Replaced(Exception):
    """The right bytes came between the move and the row."""


class Quarantine:
    """Puts blobs away, beside a hub that runs. For threads."""

    def __init__(self, store: LocalStore, committer: Committer, clock: Clock, telemetry: Telemetry) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._put = telemetry.counter("blobs_quarantined", "Blobs that were found wrong and moved away.")

    def put(self, digest: Digest, reason: str) -> None:
        """Move wrong bytes out of the way, to `quarantine/<sha256>.<micros>`; the row says `corrupt`.

        The file goes first: a row in `corrupt` means that what lies at the name, if anything, came afterwards.
        """
        target = self._store.quarantine(digest, self._clock.now())
        if target is None:
            return
        self._put.inc()
        log.error("blobs.quarantined", digest=digest, reason=reason, file=str(target))
        try:
            self._committer.write(lambda connection: self._mark_corrupt(connection, digest))
        except _Replaced:
            log.info("blobs.replaced", digest=digest)

    def _mark_corrupt(self, connection: Connection, digest: Digest) -> None:
        tables.set_corrupt(connection, digest, self._clock.now())
        if self._store.size(digest) is not None:
            raise _Replaced
