"""Pins: files that stay here, whatever the cache has to give way to.

A pin is on a file's name, so it may come before the file's bytes: they are kept from the moment they are here. Not to
be taken for `index_file.pinned`, which says that a file's hash was believed at first sight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from packaging.version import InvalidVersion, Version
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Row,
    Select,
    String,
    Table,
    and_,
    delete,
    exists,
    or_,
    select,
)

from creamery.blobs import Holder
from creamery.clock import Clock, Micros
from creamery.contract import Digest, InvalidName, ProjectName, parse_filename
from creamery.database import TABLE_OPTIONS, insert_unless_there, metadata
from creamery.index import tables
from creamery.index.tables import index_file, index_project
from creamery.journal import By, record_by

index_pin = Table(
    "index_pin",
    metadata,
    Column("file_id", BigInteger, ForeignKey("index_file.id"), primary_key=True, autoincrement=False),
    Column("pinned_by", String(255), nullable=False),
    Column("created", BigInteger, nullable=False),
    **TABLE_OPTIONS,
)


@dataclass(frozen=True, slots=True)
class Pin:
    """A file that stays here.

    Attributes:
        file_id: of its row; lists are in order of it.
        size: bytes; None where nobody has said.
        is_here: False: it is on its way, or was lost and has to be fetched again.
    """

    file_id: int
    project: ProjectName
    filename: str
    size: int | None
    is_here: bool
    pinned_by: str
    created: Micros


def pin(connection: Connection, file_id: int, pinned_by: str, now: Micros) -> None:
    """Keep a file. The blob of one that is here already is to be taken by `Blobs.refer` in the same transaction."""
    row = {"file_id": file_id, "pinned_by": pinned_by, "created": now}
    connection.execute(insert_unless_there(connection, index_pin).values(row))


def unpin(connection: Connection, project: ProjectName, what: str | None, by: By) -> list[str]:
    """Let go of a project's files: of one, by its name; of a version's; of all. Returns those that were pinned.

    They are cached from here on, as whatever else came from an upstream.
    """
    found = [row for row in connection.execute(_PINS.where(index_project.c.name == project)) if _is_meant(row, what)]
    connection.execute(delete(index_pin).where(index_pin.c.file_id.in_([row.file_id for row in found])))
    if found:
        detail = {"files": [row.filename for row in found]}
        record_by(connection, "index", "unpinned", project, by, detail)
    return [row.filename for row in found]


def drop_pins(connection: Connection, file_ids: Sequence[int]) -> None:
    """Of files that were deleted for good: nothing is left to be kept. Their deletion is in the journal already."""
    connection.execute(delete(index_pin).where(index_pin.c.file_id.in_(file_ids)))


def pins(connection: Connection, *, after: int, limit: int) -> list[Pin]:
    """Pinned files with larger numbers than `after`, in order: one range of the primary key."""
    query = _PINS.where(index_pin.c.file_id > after).order_by(index_pin.c.file_id).limit(limit)
    return [_pin(row) for row in connection.execute(query)]


def holder(clock: Clock) -> Holder:
    """The index's references to blobs; those of pinned files, and of their METADATA, are kept."""

    def kept(digest: ColumnElement[Digest]) -> ColumnElement[bool]:
        return or_(
            *(
                exists().where(and_(column == digest, index_pin.c.file_id == index_file.c.id))
                for column in (index_file.c.digest, index_file.c.metadata_digest)
            )
        )

    unpinned = tables.holder(clock)
    return replace(unpinned, kept=lambda digest: or_(unpinned.kept(digest), kept(digest)))


_PINS: Select[tuple[object, ...]] = select(
    index_pin,
    index_project.c.name.label("project"),
    index_file.c.filename,
    index_file.c.size,
    index_file.c.digest,
).select_from(
    index_pin.join(index_file, index_file.c.id == index_pin.c.file_id).join(
        index_project, index_project.c.id == index_file.c.project_id
    )
)


def _pin(row: Row[tuple[object, ...]]) -> Pin:
    return Pin(
        row.file_id, row.project, row.filename, row.size, row.digest is not None, row.pinned_by, Micros(row.created)
    )


def _is_meant(row: Row[tuple[object, ...]], what: str | None) -> bool:
    if what in {None, row.filename}:
        return True
    try:
        return parse_filename(row.filename).version == Version(what or "")
    except (InvalidName, InvalidVersion):
        return False
