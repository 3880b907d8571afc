"""Which built wheels go: those that nobody has used for long, and where there are too many, those that cost least.

The hub's cache evicts by use alone, whatever a file is. Built wheels have a limit of their own besides: what a wheel is
worth is how long its build took, and how lately somebody wanted it, for each byte that it takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, case, false, select, update

from creamery.clock import SECOND, Micros
from creamery.door import Hub
from creamery.jobs import Job, Schedule
from creamery.telemetry import log
from creamery.wheels import leases, promotion
from creamery.wheels.checking import Checking
from creamery.wheels.tables import FILES, changed, wheel_entry

THIN_JOB = "wheels.thin"
SCHEDULE = Schedule("wheels.thin", 600.0, THIN_JOB)
TOGETHER = 500

LEAST_MILLIS = 1_000
"""Of a build that nobody has timed: to ask for it and to unpack it costs as much."""


@dataclass(frozen=True, slots=True)
class Held:
    """A wheel that may go."""

    id: int
    size: int
    millis: int
    used: Micros

    def worth(self, now: Micros) -> float:
        """Milliseconds of building for each byte, less the longer nobody has wanted it."""
        age = max(now - self.used, SECOND) / SECOND
        return max(self.millis, LEAST_MILLIS) / max(self.size, 1) / age


def leaving(held: Iterable[Held], now: Micros, *, max_bytes: int | None, max_unused: float | None) -> list[Held]:
    """Those that go, of all that may."""
    oldest = None if max_unused is None else now - round(max_unused * SECOND)
    gone: list[Held] = []
    stay: list[Held] = []
    for each in held:
        (gone if oldest is not None and each.used < oldest else stay).append(each)
    if max_bytes is None:
        return gone
    total = sum(each.size for each in stay)
    for each in sorted(stay, key=lambda each: each.worth(now)):
        if total <= max_bytes:
            break
        total -= each.size
        gone.append(each)
    return gone


class Thinning:
    """The handler of `THIN_JOB`. For threads."""

    def __init__(self, hub: Hub, checking: Checking) -> None:
        self._checking = checking
        self._clock = hub.clock
        self._committer = hub.committer
        self._database = hub.database
        self._limits = hub.settings.limits
        self._settings = hub.settings.wheels
        self._gone = hub.telemetry.counter("wheels_gone", "Built wheels that went for their age, or to make room.")

    def run(self, _: Job) -> None:
        """Let go of what has to go; its bytes go with a sweep, unless something else holds them."""
        now = self._clock.now()
        held = self._database.read(partial(_held, now=now))
        settings = self._settings
        gone = leaving(held, now, max_bytes=settings.max_bytes, max_unused=settings.max_unused_seconds)
        for start in range(0, len(gone), TOGETHER):
            self._committer.write(partial(_let_go, ids=[each.id for each in gone[start : start + TOGETHER]], now=now))
        self._committer.write(partial(leases.thin, now=now, limits=self._limits))
        self._committer.write(partial(promotion.thin, now=now))
        if gone:
            self._gone.inc(len(gone))
            log.info("wheels.gone", wheels=len(gone), size=sum(each.size for each in gone))
        self._checking.resume()  # what this machine could not look at some time ago


def _held(connection: Connection, now: Micros) -> list[Held]:
    """All that may go: a walk through the table."""
    table = wheel_entry.c
    size = table.size + case((table.listed_digest.is_not(None), table.listed_size), else_=0)
    query = select(table.id, size.label("size"), table.millis, table.used).where(
        table.digest.is_not(None), table.pinned == false(), table.kept_until <= now
    )
    return [Held(row.id, int(row.size), row.millis, Micros(row.used)) for row in connection.execute(query)]


def _let_go(connection: Connection, ids: list[int], now: Micros) -> None:
    """Unless it was pinned, or handed out, meanwhile."""
    meant = wheel_entry.c.id.in_(ids), wheel_entry.c.pinned == false(), wheel_entry.c.kept_until <= now
    projects = list(connection.execute(select(wheel_entry.c.project).where(*meant).distinct()).scalars())
    nothing = {column.name: None for column in (*FILES, wheel_entry.c.metadata_digest, wheel_entry.c.log_digest)}
    connection.execute(update(wheel_entry).where(*meant).values(**nothing))
    changed(connection, projects)
