"""How much a space may have, what of it is used, and what gives way when it has more.

The quota is a hard limit for files alone: a write that would bring more of them is refused. Versions and trash are
within it too, but never stand in a write's way: where all three together have more than it, a job removes what was
deleted first, and then what was overwritten first, until they fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from creamery.clock import Micros
from creamery.database import gather
from creamery.hive.ledger import Space, quota_of
from creamery.jobs import enqueue

PURGE_JOB = "hive.purge"


@dataclass(frozen=True, slots=True)
class Usage:
    """What people are told (RFC 4331).

    Attributes:
        files, versions, trash: bytes.
        quota: bytes that they may have; None: any.
        available: bytes that files may still have; None: nobody knows a limit.
    """

    files: int
    versions: int
    trash: int
    quota: int | None
    available: int | None

    @property
    def used(self) -> int:
        """All three together."""
        return self.files + self.versions + self.trash


def usage(row: Space, default: int | None, reserved: int = 0, disk: int | None = None) -> Usage:
    """How a space stands.

    Args:
        row: the space.
        default: see `quota_of`.
        reserved: bytes of uploads that are on their way.
        disk: bytes that the disk can still take; None: that is not asked.
    """
    quota = quota_of(row, default)
    bounds = [] if disk is None else [disk]
    if quota is not None:
        bounds.append(quota - row.used_files - reserved)
    available = max(0, min(bounds)) if bounds else None
    return Usage(row.used_files, row.used_versions, row.used_trash, quota, available)


def most_bytes(row: Space, default: int | None, reserved: int = 0, replaced: int = 0) -> int | None:
    """The most bytes that an upload may have which has not said how many it has; None: any.

    Args:
        row: the space.
        default: see `quota_of`.
        reserved: bytes of other uploads that are on their way.
        replaced: bytes of the file whose place it takes.
    """
    quota = quota_of(row, default)
    return None if quota is None else max(0, quota - row.used_files - reserved + replaced)


def excess(row: Space, default: int | None) -> int:
    """Bytes that a space's files, versions and trash together have beyond its quota."""
    quota = quota_of(row, default)
    if quota is None:
        return 0
    return max(0, row.used_files + row.used_versions + row.used_trash - quota)


def want_room(connection: Connection, row: Space, default: int | None, now: int) -> None:
    """After a write: where a space has more than it may, have the job make room once that is committed.

    For writes that gather: of a batch's there is one job.
    """
    if excess(row, default):
        gather(connection, _write_jobs, (row.id, now))


def enqueue_purge(connection: Connection, space_id: int, now: int) -> None:
    """Have the job look at a space. Not for writes that gather."""
    enqueue(connection, PURGE_JOB, {"space": space_id}, now=Micros(now), key=f"{PURGE_JOB}:{space_id}")


def _write_jobs(connection: Connection, items: Sequence[tuple[int, int]]) -> None:
    for space_id, now in sorted(dict(items).items()):
        enqueue_purge(connection, space_id, now)
