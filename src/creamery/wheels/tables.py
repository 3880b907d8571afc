"""The rows of built wheels, and every question that is asked of them.

One row a ring and key. What it refers to is `cached`, unless it is pinned or was handed to somebody who may have
written it into a lock: whoever needs a wheel that went can build it again. A row whose wheel was evicted keeps its key
and loses its digests; to whoever asks it is not there, and whoever pushes may fill it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from packaging.utils import canonicalize_version
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from creamery.accounts import Principal, confirm
from creamery.clock import Micros
from creamery.contract import Digest, ProjectName
from creamery.database import (
    TABLE_OPTIONS,
    BigId,
    DigestColumn,
    LongText,
    announce,
    bump,
    insert_unless_there,
    metadata,
)
from creamery.journal import By, record_by
from creamery.wheels.place import BuiltFile, Ring, Sight

CHANGED = "wheels.changed:"
"""What a transaction announces that changes which wheels are here, and then whose."""

State = Literal["checking", "listed", "unlisted"]

MOST_CONFLICTS = 100
"""Of one key; what more tell is no news."""

wheel_entry = Table(
    "wheel_entry",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("ring", String(64), nullable=False),
    Column("key", DigestColumn, nullable=False, index=True),
    Column("project", String(255), nullable=False, index=True),
    Column("version", String(255), nullable=False),
    Column("filename", String(255), nullable=False, index=True),
    Column("digest", DigestColumn, nullable=True, index=True),
    Column("size", BigInteger, nullable=False),
    Column("pushed", BigInteger, nullable=False),
    Column("pushed_by", String(255), nullable=False),
    Column("user_id", BigInteger, nullable=True),
    Column("pinned", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", LongText, nullable=False),
    Column("listed_name", String(255), nullable=False),
    Column("listed_digest", DigestColumn, nullable=True, index=True),
    Column("listed_size", BigInteger, nullable=False),
    Column("metadata_digest", DigestColumn, nullable=True, index=True),
    Column("metadata_size", BigInteger, nullable=False),
    Column("requires_python", LongText, nullable=True),
    Column("source", DigestColumn, nullable=True),
    Column("neutral", Boolean, nullable=False),
    Column("libc", String(32), nullable=True),
    Column("record", LongText, nullable=True),
    Column("log_digest", DigestColumn, nullable=True, index=True),
    Column("log_size", BigInteger, nullable=False),
    Column("millis", BigInteger, nullable=False),
    Column("hits", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("kept_until", BigInteger, nullable=False),
    UniqueConstraint("ring", "key"),
    sqlite_autoincrement=True,
    **TABLE_OPTIONS,
)

wheel_conflict = Table(
    "wheel_conflict",
    metadata,
    Column("ring", String(64), primary_key=True),
    Column("key", DigestColumn, primary_key=True),
    Column("digest", DigestColumn, primary_key=True),
    Column("filename", String(255), nullable=False),
    Column("came", BigInteger, nullable=False),
    Column("pushed_by", String(255), nullable=False),
    **TABLE_OPTIONS,
)


class BeingPushed(Exception):
    """Another process of this hub has just written a row for the same key."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A wheel that is here, and all that is known of it.

    Attributes:
        id: of the row; later ones are larger.
        ring: where it was pushed to.
        key: what it is found by.
        file: as it was pushed.
        pushed, pushed_by, user_id: when it came, and who brought it; `user_id` only of the hub's own users.
        pinned: it stays, whatever the cache gives way to.
        state, reason: whether it may be listed on pages, and why not.
        listed_name, listed_digest, listed_size: the file that pages list; another one where its tags were corrected.
        metadata_digest, metadata_size: its METADATA; None: not known yet.
        requires_python: as METADATA has it.
        source: SHA-256 of the sdist that it was built from; None: nobody has said.
        neutral: nobody has set anything on purpose for its build.
        libc: of the machine that built it, such as `glibc 2.36`.
        record: what was said of its build.
        log_digest, log_size: the build's log, compressed; None: there is none.
        millis: how long the build took, in milliseconds; 0: nobody has said.
        hits, used: how often it was served, and when last.
        kept_until: until when it stays because somebody may have written it into a lock.
    """

    id: int
    ring: Ring
    key: Digest
    file: BuiltFile
    pushed: Micros
    pushed_by: str
    user_id: int | None
    pinned: bool
    state: State
    reason: str
    listed_name: str
    listed_digest: Digest
    listed_size: int
    metadata_digest: Digest | None
    metadata_size: int
    requires_python: str | None
    source: Digest | None
    neutral: bool
    libc: str | None
    record: Mapping[str, Any] | None
    log_digest: Digest | None
    log_size: int
    millis: int
    hits: int
    used: Micros
    kept_until: Micros


@dataclass(frozen=True, slots=True)
class Conflict:
    """Other bytes that came for a key that had some."""

    ring: Ring
    key: Digest
    digest: Digest
    filename: str
    came: Micros
    pushed_by: str


def rings(connection: Connection) -> list[Ring]:
    """All that somebody has pushed to."""
    return [Ring(ring) for ring in connection.execute(select(wheel_entry.c.ring).distinct()).scalars()]


def projects(connection: Connection, sight: Sight) -> list[ProjectName]:
    """The names of all projects of which a wheel is here, in order."""
    return [ProjectName(name) for name in connection.execute(_PROJECTS, {"rings": sight}).scalars()]


def entries_of(connection: Connection, project: ProjectName, sight: Sight) -> list[Entry]:
    """A project's wheels that are here, in the order in which their keys first came."""
    return [_entry(row) for row in connection.execute(_OF_PROJECT, {"of": project, "rings": sight})]


def entries_called(connection: Connection, filename: str, sight: Sight) -> list[Entry]:
    """Those that were pushed under that name, likewise."""
    return [_entry(row) for row in connection.execute(_CALLED, {"called": filename, "rings": sight})]


def entries_by_key(connection: Connection, keys: Sequence[Digest], sight: Sight) -> list[Entry]:
    """Those that have one of the keys, likewise; one range of an index a key."""
    return [_entry(row) for row in connection.execute(_BY_KEY, {"keys": keys, "rings": sight})]


def entries_by_file(connection: Connection, digest: Digest) -> list[Entry]:
    """Those whose pushed or listed file hashes to that, in whatever ring."""
    return [_entry(row) for row in connection.execute(_BY_FILE, {"hash": digest})]


def entry_by_id(connection: Connection, entry_id: int) -> Entry | None:
    """One; None: it is not here, or no more."""
    row = connection.execute(_ALL.where(wheel_entry.c.id == entry_id, _HERE)).first()
    return None if row is None else _entry(row)


def entries_meant(connection: Connection, meant: ColumnElement[bool]) -> list[Entry]:
    """Those that `is_meant` means, in whatever ring."""
    return [_entry(row) for row in connection.execute(_ALL.where(_HERE, meant).order_by(wheel_entry.c.id))]


def unchecked(connection: Connection) -> list[int]:
    """The numbers of those that are still to be checked."""
    query = select(wheel_entry.c.id).where(wheel_entry.c.state == "checking", _HERE).order_by(wheel_entry.c.id)
    return list(connection.execute(query).scalars())


def listed(connection: Connection, project: str | None, after: int, limit: int, sight: Sight) -> list[Entry]:
    """The next wheels with larger numbers, in their order."""
    query = _ALL.where(_HERE, wheel_entry.c.id > after, wheel_entry.c.ring.in_(sight))
    if project is not None:
        query = query.where(wheel_entry.c.project == project)
    return [_entry(row) for row in connection.execute(query.order_by(wheel_entry.c.id).limit(limit))]


def listed_of(connection: Connection, versions: Sequence[tuple[str, str]], sight: Sight) -> list[Entry]:
    """Those that pages may list of these projects and versions, however the versions are written (1 is 1.0)."""
    wanted = {(project, canonicalize_version(version)) for project, version in versions}
    query = _ALL.where(
        _HERE,
        wheel_entry.c.state == "listed",
        wheel_entry.c.ring.in_(sight),
        wheel_entry.c.project.in_({project for project, _ in wanted}),
    )
    found = [_entry(row) for row in connection.execute(query.order_by(wheel_entry.c.id))]
    return [each for each in found if (each.file.project, canonicalize_version(each.file.version)) in wanted]


def conflicts_of(connection: Connection, keys: Sequence[Digest], sight: Sight) -> list[Conflict]:
    """Who came too late with other bytes, in the order in which they came."""
    query = select(wheel_conflict).where(wheel_conflict.c.key.in_(keys), wheel_conflict.c.ring.in_(sight))
    return [Conflict(*row) for row in connection.execute(query.order_by(wheel_conflict.c.came))]


def locked_entry(connection: Connection, ring: Ring, key: Digest) -> tuple[int | None, Entry | None]:
    """The row's number and its wheel; the row, if there is one, stays as it is until the transaction ends."""
    row = connection.execute(_LOCKED, {"of_ring": ring, "of_key": key}).first()
    if row is None:
        return None, None
    return int(row.id), None if row.digest is None else _entry(row)


def fill(connection: Connection, row_id: int | None, values: Mapping[str, Any]) -> int:
    """A key has these bytes from now on, in the transaction that makes them a blob; `row_id`: of the row that it has.

    Raises:
        BeingPushed: the key was free a moment ago, and is not any more.
    """
    changed(connection, [values["project"]])
    if row_id is not None:
        connection.execute(update(wheel_entry).where(wheel_entry.c.id == row_id).values(**_FRESH, **values))
        return row_id
    try:
        done = connection.execute(_INSERT, {**_FRESH, "pinned": False, **values})
    except IntegrityError as error:
        raise BeingPushed(values["filename"]) from error
    assert done.inserted_primary_key is not None  # noqa: S101 - it was one row
    return int(done.inserted_primary_key[0])


def settle(connection: Connection, entry: Entry, values: Mapping[str, Any]) -> bool:
    """What a check has found, unless other bytes have taken the key meanwhile (False)."""
    row = update(wheel_entry).where(wheel_entry.c.id == entry.id, wheel_entry.c.digest == entry.file.digest)
    changed(connection, [entry.file.project])
    return bool(connection.execute(row.values(**values)).rowcount)


def add_conflict(connection: Connection, ring: Ring, key: Digest, digest: Digest, filename: str, by: By) -> None:
    """Remember who came too late with other bytes."""
    record_by(connection, "wheels", "conflict", filename, by, {"sha256": digest, "ring": ring})
    if len(conflicts_of(connection, [key], (ring,))) < MOST_CONFLICTS:
        values = {"ring": ring, "key": key, "digest": digest, "filename": filename, "came": by.now}
        connection.execute(insert_unless_there(connection, wheel_conflict), {**values, "pushed_by": by.actor})


def remove(connection: Connection, meant: ColumnElement[bool], principal: Principal, by: By) -> list[str]:
    """Take wheels away; their bytes go with the next sweep. Returns their names.

    Raises:
        RightEnded: whoever asks may no longer.
    """
    confirm(connection, principal, by.now)
    entries = entries_meant(connection, meant)
    connection.execute(delete(wheel_entry).where(wheel_entry.c.id.in_([entry.id for entry in entries])))
    for entry in entries:
        detail = {"sha256": entry.file.digest, "ring": entry.ring}
        record_by(connection, "wheels", "removed", entry.file.filename, by, detail)
    if entries:
        changed(connection, [entry.file.project for entry in entries])
    return [entry.file.filename for entry in entries]


def set_pinned(
    connection: Connection, meant: ColumnElement[bool], principal: Principal, by: By, *, pinned: bool
) -> list[str]:
    """Let wheels stay whatever the cache gives way to, or no more. Returns their names.

    Raises:
        RightEnded: whoever asks may no longer.
    """
    confirm(connection, principal, by.now)
    entries = entries_meant(connection, meant)
    ids = [entry.id for entry in entries]
    connection.execute(update(wheel_entry).where(wheel_entry.c.id.in_(ids)).values(pinned=pinned))
    for entry in entries:
        detail = {"sha256": entry.file.digest, "ring": entry.ring}
        record_by(connection, "wheels", "pinned" if pinned else "unpinned", entry.file.filename, by, detail)
    return [entry.file.filename for entry in entries]


def is_meant(filename: str, digest: Digest | None) -> ColumnElement[bool]:
    """Those of that name; of those the one with that digest, where it is said."""
    of_name = wheel_entry.c.filename == filename
    return of_name if digest is None else and_(of_name, wheel_entry.c.digest == digest)


def keep_until(connection: Connection, ids: Sequence[int], until: Micros) -> None:
    """They stay as long, whatever the cache gives way to."""
    row = update(wheel_entry).where(wheel_entry.c.id.in_(ids), wheel_entry.c.kept_until < until)
    connection.execute(row.values(kept_until=until))


def count_hits(connection: Connection, hits: Mapping[int, int], now: Micros) -> None:
    """So often they were served since the last time."""
    counted = [{"of_id": entry_id, "more": count, "now": now} for entry_id, count in hits.items()]
    if counted:
        connection.execute(_COUNT, counted)


def changed(connection: Connection, projects: Iterable[str]) -> None:
    """What is in memory of these projects' built wheels, in whatever process, is to be asked for anew."""
    bump(connection, "wheels")
    for project in set(projects):
        announce(connection, f"{CHANGED}{project}")


FILES = (wheel_entry.c.digest, wheel_entry.c.listed_digest)
"""The columns of a wheel's own bytes."""

_HERE = wheel_entry.c.digest.is_not(None)
_SEEN = wheel_entry.c.ring.in_(bindparam("rings", expanding=True))
_FRESH = {"hits": 0, "kept_until": 0}

# Made once: to build a statement anew costs more than to run it.
_ALL: Select[Any] = select(wheel_entry)
_PROJECTS = select(wheel_entry.c.project).where(_HERE, _SEEN).distinct().order_by(wheel_entry.c.project)
_OF_PROJECT = _ALL.where(wheel_entry.c.project == bindparam("of"), _HERE, _SEEN).order_by(wheel_entry.c.id)
_CALLED = _ALL.where(wheel_entry.c.filename == bindparam("called"), _HERE, _SEEN).order_by(wheel_entry.c.id)
_BY_KEY = _ALL.where(wheel_entry.c.key.in_(bindparam("keys", expanding=True)), _HERE, _SEEN).order_by(wheel_entry.c.id)
_BY_FILE = _ALL.where(or_(*(column == bindparam("hash") for column in FILES)), _HERE).order_by(wheel_entry.c.id)
_LOCKED = _ALL.where(
    wheel_entry.c.ring == bindparam("of_ring"), wheel_entry.c.key == bindparam("of_key")
).with_for_update()
_INSERT = insert(wheel_entry)
_COUNT = (
    update(wheel_entry)
    .where(wheel_entry.c.id == bindparam("of_id"))
    .values(hits=wheel_entry.c.hits + bindparam("more"), used=bindparam("now"))
)


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        id=row.id,
        ring=Ring(row.ring),
        key=row.key,
        file=BuiltFile(row.filename, ProjectName(row.project), row.version, row.size, row.digest, row.id, row.millis),
        pushed=Micros(row.pushed),
        pushed_by=row.pushed_by,
        user_id=row.user_id,
        pinned=bool(row.pinned),
        state=row.state,
        reason=row.reason,
        listed_name=row.listed_name,
        listed_digest=row.listed_digest or row.digest,
        listed_size=row.listed_size,
        metadata_digest=row.metadata_digest,
        metadata_size=row.metadata_size,
        requires_python=row.requires_python,
        source=row.source,
        neutral=bool(row.neutral),
        libc=row.libc,
        record=None if row.record is None else orjson.loads(row.record),
        log_digest=row.log_digest,
        log_size=row.log_size,
        millis=row.millis,
        hits=row.hits,
        used=Micros(row.used),
        kept_until=Micros(row.kept_until),
    )
