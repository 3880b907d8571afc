"""A pause of all deleting: while it lasts, every blob that a snapshot of the database names keeps its file.

A row, so that every process and every machine respects it: sweeps and evictions begin nothing, and the step that lets
a blob become `gone` looks for it in its own transaction. Whoever holds it renews it; after a crash it ends by itself.
"""

from __future__ import annotations

import threading
import uuid
from types import TracebackType
from typing import Self

from sqlalchemy import Connection

from creamery.blobs import pauses
from creamery.blobs.store import BlobError
from creamery.clock import SECOND, Clock, Micros
from creamery.database import Committer, DatabaseUnavailable, DiskFull, WritesBusy
from creamery.limits import Limits
from creamery.telemetry import log

RENEWALS = 4
"""So often is it renewed in the time that it lasts without."""


class PauseLost(BlobError):
    """The pause ended before its holder was done: what was read since may lack files."""


def latest_end(now: Micros, limits: Limits) -> Micros:
    """No pause that is renewed now ends later than this; twice, because machines' clocks differ."""
    return Micros(now + int(2 * limits.pause_seconds * SECOND))


class Pause:
    """Lasts from entering to leaving; `check` says whether it still does."""

    def __init__(self, committer: Committer, limits: Limits, clock: Clock) -> None:
        self._committer = committer
        self._limits = limits
        self._clock = clock
        self._holder = str(uuid.uuid4())
        self._seen = clock.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="blob-pause", daemon=True)

    def __enter__(self) -> Self:
        """Begin it.

        Raises:
            WritesBusy, DiskFull, DatabaseUnavailable: there is none.
        """
        now = self._clock.now()
        self._seen = self._clock.monotonic()
        self._committer.write(lambda c: pauses.hold_pause(c, self._holder, now, self._until(now)))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        try:
            self._committer.write(lambda connection: pauses.end_pause(connection, self._holder))
        except (WritesBusy, DiskFull, DatabaseUnavailable) as reason:
            log.warning("blobs.pause_not_ended", error=str(reason))  # it ends by itself

    def check(self) -> None:
        """Has it lasted until now?

        Raises:
            PauseLost: it has not, or nobody can say.
        """
        if self._clock.monotonic() - self._seen > self._limits.pause_seconds:
            raise PauseLost(
                f"deleting could not be held up: the database took no word of it for {self._limits.pause_seconds:g} s"
                " (limits.pause_seconds); begin anew, and what was copied is not copied again"
            )

    def _until(self, now: Micros) -> Micros:
        return Micros(now + int(self._limits.pause_seconds * SECOND))

    def _renew(self, connection: Connection) -> bool:
        now = self._clock.now()
        return pauses.renew_pause(connection, self._holder, now, self._until(now))

    def _run(self) -> None:
        while not self._ending.wait(self._limits.pause_seconds / RENEWALS):
            begun = self._clock.monotonic()
            try:
                if self._committer.write(self._renew):
                    self._seen = begun
                else:
                    self._seen -= self._limits.pause_seconds  # it has ended: `check` must not wait to say so
                    return
            except (WritesBusy, DiskFull, DatabaseUnavailable) as error:
                log.warning("blobs.pause_not_renewed", error=str(error))
