"""The rows of built wheels, and every question that is asked of them.

One row a file name. What it refers to is `cached`, unless it is pinned: whoever needs a wheel that went can build it
again. A row whose wheel was evicted keeps its name and loses its digest; to whoever asks it is not there, and whoever
pushes may fill it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Row,
    String,
    Table,
    bindparam,
    delete,
    exists,
    false,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from creamery.accounts import Principal, confirm
from creamery.blobs import Holder
from creamery.clock import Micros
from creamery.contract import Digest, ProjectName
from creamery.database import TABLE_OPTIONS, BigId, DigestColumn, metadata
from creamery.journal import By, record_by
from creamery.wheels.place import BuiltFile

built_wheel = Table(
    "built_wheel",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("filename", String(255), nullable=False, unique=True),
    Column("project", String(255), nullable=False, index=True),
    Column("version", String(255), nullable=False),
    Column("digest", DigestColumn, nullable=True, index=True),
    Column("size", BigInteger, nullable=False),
    Column("pushed", BigInteger, nullable=False),
    Column("pushed_by", String(255), nullable=False),
    Column("pinned", Boolean, nullable=False),
    sqlite_autoincrement=True,
    **TABLE_OPTIONS,
)


class BeingPushed(Exception):
    """Another process of this hub has just written a row for the same name."""


def projects(connection: Connection) -> list[ProjectName]:
    """The names of all projects of which a wheel is here, in order."""
    return [ProjectName(name) for name in connection.execute(_PROJECTS).scalars()]


def wheels_of(connection: Connection, project: ProjectName) -> list[BuiltFile]:
    """A project's wheels that are here, in the order in which their names first came."""
    return [_wheel(row) for row in connection.execute(_WHEELS_OF, {"of": project})]


def find_wheel(connection: Connection, filename: str) -> BuiltFile | None:
    """The wheel of that name; None: it is not here, or no more."""
    row = connection.execute(_WHEEL, {"called": filename}).first()
    return None if row is None else _wheel(row)


@dataclass(frozen=True, slots=True)
class Listed:
    """A wheel in a list: when it came, who brought it, whether it stays whatever the cache gives way to."""

    file: BuiltFile
    pushed: Micros
    pushed_by: str
    pinned: bool


def listed(connection: Connection, project: str | None, after: str, limit: int) -> list[Listed]:
    """The next wheels behind a file name, in the order of those."""
    query = _ALL.where(_HERE, built_wheel.c.filename > after).order_by(built_wheel.c.filename).limit(limit)
    if project is not None:
        query = query.where(built_wheel.c.project == project)
    return [
        Listed(_wheel(row), Micros(row.pushed), row.pushed_by, bool(row.pinned)) for row in connection.execute(query)
    ]


def remove(connection: Connection, filename: str, principal: Principal, by: By) -> bool:
    """Take a wheel away; its bytes go with the next sweep. False: it is not here.

    Raises:
        RightEnded: whoever asks may no longer.
    """
    confirm(connection, principal, by.now)
    gone = delete(built_wheel).where(built_wheel.c.filename == filename, _HERE)
    if not connection.execute(gone).rowcount:
        return False
    record_by(connection, "wheels", "removed", filename, by)
    return True


def set_pinned(connection: Connection, filename: str, principal: Principal, by: By, *, pinned: bool) -> bool:
    """Let a wheel stay whatever the cache gives way to, or no more. False: it is not here.

    Raises:
        RightEnded: whoever asks may no longer.
    """
    confirm(connection, principal, by.now)
    row = update(built_wheel).where(built_wheel.c.filename == filename, _HERE)
    if not connection.execute(row.values(pinned=pinned)).rowcount:
        return False
    record_by(connection, "wheels", "pinned" if pinned else "unpinned", filename, by)
    return True


def set_wheel(connection: Connection, file: BuiltFile, by: By) -> None:
    """A name has these bytes from now on, in the transaction that makes them a blob.

    Raises:
        BeingPushed: the name was free a moment ago, and is not any more.
    """
    values = {"project": file.project, "version": file.version, "digest": file.digest, "size": file.size}
    values |= {"pushed": by.now, "pushed_by": by.actor}
    known = update(built_wheel).where(built_wheel.c.filename == file.filename)
    if connection.execute(known.values(**values)).rowcount:
        return
    try:
        connection.execute(_INSERT, {"filename": file.filename, "pinned": False, **values})
    except IntegrityError as error:
        raise BeingPushed(file.filename) from error


def locked_wheel(connection: Connection, filename: str) -> BuiltFile | None:
    """As `find_wheel`; its row, if there is one, stays as it is until the transaction ends."""
    row = connection.execute(_LOCKED, {"called": filename}).first()
    return None if row is None or row.digest is None else _wheel(row)


def holder() -> Holder:
    """Which blobs built wheels are: all but those that are pinned can be built again."""

    def kept(digest: ColumnElement[Digest]) -> ColumnElement[bool]:
        return exists().where(built_wheel.c.digest == digest, built_wheel.c.pinned == true())

    def cached(digest: ColumnElement[Digest]) -> ColumnElement[bool]:
        return exists().where(built_wheel.c.digest == digest, built_wheel.c.pinned == false())

    def forget(connection: Connection, digests: Sequence[Digest]) -> None:
        connection.execute(update(built_wheel).where(built_wheel.c.digest.in_(digests)).values(digest=None))

    def audit(connection: Connection) -> Iterator[tuple[Digest, str]]:
        query = select(built_wheel.c.digest, built_wheel.c.filename).where(built_wheel.c.digest.is_not(None))
        for digest, filename in connection.execute(query):
            yield digest, f"built wheel {filename}"

    return Holder(name="wheels", kept=kept, cached=cached, forget=forget, audit=audit)


_HERE = built_wheel.c.digest.is_not(None)
_ALL = select(built_wheel)

# Made once: to build a statement anew costs more than to run it.
_PROJECTS = select(built_wheel.c.project).where(_HERE).distinct().order_by(built_wheel.c.project)
_WHEELS_OF = _ALL.where(built_wheel.c.project == bindparam("of"), _HERE).order_by(built_wheel.c.id)
_WHEEL = _ALL.where(built_wheel.c.filename == bindparam("called"), _HERE)
_LOCKED = _ALL.where(built_wheel.c.filename == bindparam("called")).with_for_update()
_INSERT = insert(built_wheel)


def _wheel(row: Row[Any]) -> BuiltFile:
    return BuiltFile(row.filename, ProjectName(row.project), row.version, row.size, row.digest)
