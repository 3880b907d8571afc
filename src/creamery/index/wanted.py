"""What is to be fetched before anybody asks for it: a row for each file, so that a restart goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Row,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)

from creamery.clock import Micros
from creamery.contract import Digest, ProjectName
from creamery.database import TABLE_OPTIONS, BigId, DigestColumn, LongText, insert_unless_there, metadata
from creamery.jobs import State as JobState
from creamery.jobs import find_job

State = Literal["left", "here", "fetched", "failed", "listed"]
"""`here`: it was here already; `listed`: a whole project, whose files have rows of their own now."""

EVERY_FILE = ""
"""In place of a file's name: all that the project's page lists."""

REASONS_SHOWN = 100

index_prefetch = Table(
    "index_prefetch",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("job_id", BigInteger),
    Column("pins", Boolean, nullable=False),
    Column("asked_by", String(255), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("finished", BigInteger),
    **TABLE_OPTIONS,
    sqlite_autoincrement=True,
)

index_wanted = Table(
    "index_wanted",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("prefetch_id", BigInteger, ForeignKey("index_prefetch.id"), nullable=False),
    Column("project", String(255), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("sha256", DigestColumn),
    Column("state", String(8), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("reason", LongText),
    UniqueConstraint("prefetch_id", "project", "filename"),
    Index(None, "prefetch_id", "state"),
    **TABLE_OPTIONS,
)


@dataclass(frozen=True, slots=True)
class File:
    """A file that somebody wants here.

    Attributes:
        filename: `EVERY_FILE`: all of the project's.
        sha256: what it must be; None: whatever the index says.
    """

    project: ProjectName
    filename: str
    sha256: Digest | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row of what is left."""

    id: int
    file: File


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file.

    Attributes:
        state: `left`: it is tried again.
        size: bytes, where it is here now.
        reason: why it is not.
    """

    state: State
    size: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a file is not here."""

    project: ProjectName
    filename: str
    text: str


@dataclass(frozen=True, slots=True)
class Prefetch:
    """What became of it so far.

    Attributes:
        pins: its files stay here.
        files: how many, by state; without those that stand for a whole project, until they are `listed`.
        fetched_bytes: of the files that were fetched.
        job: the state of its job; None: its row is away.
        failures: why files failed; waits: why some are tried again later. The first of each.
    """

    id: int
    job_id: int | None
    pins: bool
    asked_by: str
    created: Micros
    finished: Micros | None
    files: dict[State, int]
    fetched_bytes: int
    job: JobState | None
    failures: tuple[Reason, ...]
    waits: tuple[Reason, ...]


def add_prefetch(connection: Connection, files: Sequence[File], asked_by: str, now: Micros, *, pins: bool) -> int:
    """Write down what is wanted; its number. The caller enqueues the job in the same transaction."""
    row = {"pins": pins, "asked_by": asked_by, "created": now}
    key = connection.execute(insert(index_prefetch).values(row)).inserted_primary_key
    assert key is not None  # noqa: S101 - a row that was inserted has one
    number = int(key[0])
    _add_files(connection, number, files)
    return number


def set_job(connection: Connection, number: int, job_id: int | None) -> None:
    """Which job does it."""
    connection.execute(update(index_prefetch).where(index_prefetch.c.id == number).values(job_id=job_id))


def find_prefetch(connection: Connection, number: int) -> Prefetch | None:
    """A prefetch, and what became of it: one range of an index, counted."""
    row = connection.execute(select(index_prefetch).where(index_prefetch.c.id == number)).first()
    if row is None:
        return None
    its = index_wanted.c.prefetch_id == number
    counted = select(index_wanted.c.state, func.count(), func.sum(index_wanted.c.size)).where(its)
    counts = {state: (int(count), int(size)) for state, count, size in connection.execute(counted.group_by("state"))}
    found = None if row.job_id is None else find_job(connection, row.job_id)
    return Prefetch(
        id=row.id,
        job_id=row.job_id,
        pins=row.pins,
        asked_by=row.asked_by,
        created=row.created,
        finished=row.finished,
        files={state: count for state, (count, _) in counts.items() if state != "listed"},
        fetched_bytes=counts.get("fetched", (0, 0))[1],
        job=None if found is None else found.state,
        failures=_reasons(connection, number, "failed"),
        waits=_reasons(connection, number, "left"),
    )


def files_left(connection: Connection, number: int, *, after: int, limit: int, is_second_try: bool) -> list[Wanted]:
    """What is left to do behind a row: what nobody has tried yet, or what could not be had then.

    One range of an index.
    """
    tried = index_wanted.c.reason.is_not(None) if is_second_try else index_wanted.c.reason.is_(None)
    query = (
        select(index_wanted)
        .where(index_wanted.c.prefetch_id == number, index_wanted.c.state == "left", tried, index_wanted.c.id > after)
        .order_by(index_wanted.c.id)
        .limit(limit)
    )
    return [Wanted(row.id, _file(row)) for row in connection.execute(query)]


def settle(connection: Connection, wanted: Wanted, outcome: Outcome) -> None:
    """What became of a file."""
    values = {"state": outcome.state, "size": outcome.size, "reason": outcome.reason}
    connection.execute(update(index_wanted).where(index_wanted.c.id == wanted.id).values(values))


def settle_project(connection: Connection, number: int, wanted: Wanted, filenames: Sequence[str]) -> None:
    """A whole project was asked for, and these are its files."""
    _add_files(connection, number, [File(wanted.file.project, filename) for filename in filenames])
    settle(connection, wanted, Outcome("listed"))


def give_up(connection: Connection, number: int) -> None:
    """What is left counts as failed, for the reason that it was left for."""
    left = (index_wanted.c.prefetch_id == number) & (index_wanted.c.state == "left")
    connection.execute(update(index_wanted).where(left).values(state="failed"))


def finish(connection: Connection, number: int, now: Micros) -> None:
    """Nothing is left."""
    connection.execute(update(index_prefetch).where(index_prefetch.c.id == number).values(finished=now))


def forget_prefetches(connection: Connection, before: Micros, at_most: int) -> int:
    """Delete the oldest of those that ended before a moment; returns how many went."""
    query = select(index_prefetch.c.id).where(index_prefetch.c.finished < before).order_by(index_prefetch.c.id)
    numbers = list(connection.execute(query.limit(at_most)).scalars())
    connection.execute(delete(index_wanted).where(index_wanted.c.prefetch_id.in_(numbers)))
    connection.execute(delete(index_prefetch).where(index_prefetch.c.id.in_(numbers)))
    return len(numbers)


def _add_files(connection: Connection, number: int, files: Sequence[File]) -> None:
    """A file that is wanted twice has one row."""
    rows = [
        {
            "prefetch_id": number,
            "project": file.project,
            "filename": file.filename,
            "sha256": file.sha256,
            "state": "left",
            "size": 0,
        }
        for file in files
    ]
    if rows:
        connection.execute(insert_unless_there(connection, index_wanted), rows)


def _reasons(connection: Connection, number: int, state: State) -> tuple[Reason, ...]:
    query = (
        select(index_wanted)
        .where(index_wanted.c.prefetch_id == number, index_wanted.c.state == state, index_wanted.c.reason.is_not(None))
        .order_by(index_wanted.c.id)
        .limit(REASONS_SHOWN)
    )
    return tuple(Reason(row.project, row.filename, row.reason) for row in connection.execute(query))


def _file(row: Row[tuple[object, ...]]) -> File:
    return File(row.project, row.filename, row.sha256)
