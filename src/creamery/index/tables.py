"""The index's tables and their queries. A project has one row, and so has every file name it ever had, for ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Row,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    exists,
    select,
    update,
)

from creamery.blobs import Holder
from creamery.clock import SECOND, Clock, Micros
from creamery.contract import Digest, ProjectName, ultranormalize
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
from creamery.index.project import KeptFile, KnownProject, ListedFile, Owner
from creamery.jobs import enqueue
from creamery.journal import record

DOUBTED = "index.doubted"
"""What the committer announces after something changed that memory has: files were evicted, names got owners."""

TELL_JOB = "index.tell"
TELL_AFTER_SECONDS = 10

index_project = Table(
    "index_project",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("name", String(255), nullable=False),
    Column("confusable", String(255), nullable=False),
    Column("hosted", Boolean, nullable=False),
    Column("merged", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_reason", LongText),
    Column("versions", LongText),
    Column("quarantined", LongText),
    Column("tracks", LongText),
    Column("alternate_locations", LongText),
    Column("upstream", String(1024)),
    Column("etag", String(1024)),
    Column("last_modified", String(64)),
    Column("page_digest", DigestColumn),
    Column("listed", Boolean, nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("here_revision", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    UniqueConstraint("name"),
    Index(None, "confusable"),
    **TABLE_OPTIONS,
)


def _said() -> tuple[Column[Any], ...]:
    """What a page says of a file, and may say otherwise tomorrow; with what tells its bytes."""
    return (
        Column("origin", String(1024)),
        Column("url", LongText, nullable=False),
        Column("sha256", DigestColumn),
        Column("hashes", LongText),
        Column("size", BigInteger),
        Column("upload_time", String(40)),
        Column("requires_python", LongText),
        Column("yanked", LongText),
        Column("has_metadata", Boolean, nullable=False),
        Column("metadata_sha256", DigestColumn),
        Column("provenance", LongText),
        Column("gpg_sig", Boolean),
    )


SAID = tuple(column.name for column in _said())

index_file = Table(
    "index_file",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("project_id", BigInteger, ForeignKey("index_project.id"), nullable=False),
    Column("filename", String(255), nullable=False),
    *_said(),
    Column("digest", DigestColumn),
    Column("metadata_digest", DigestColumn),
    Column("metadata_size", BigInteger),
    Column("pinned", Boolean, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("metadata_failed", Boolean, nullable=False),
    Column("born", BigInteger, nullable=False),
    Column("deleted", BigInteger),
    Column("uploaded_by", String(255)),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    UniqueConstraint("project_id", "filename"),
    Index(None, "filename"),
    Index(None, "digest"),
    Index(None, "metadata_digest"),
    **TABLE_OPTIONS,
)

index_file_past = Table(
    "index_file_past",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("file_id", BigInteger, ForeignKey("index_file.id"), nullable=False),
    Column("born", BigInteger, nullable=False),
    Column("died", BigInteger, nullable=False),
    *_said(),
    Index(None, "file_id"),
    **TABLE_OPTIONS,
)
"""What pages said of files before: from the serial `born` to the serial before `died`."""

NO_VALIDATORS: dict[str, None] = dict.fromkeys(("etag", "last_modified", "page_digest"))
"""A project's row whose upstream is to be asked as if for the first time."""

index_role = Table(
    "index_role",
    metadata,
    Column("project_id", BigInteger, ForeignKey("index_project.id"), primary_key=True),
    Column("holder", String(255), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("created", BigInteger, nullable=False),
    **TABLE_OPTIONS,
)

index_reserved = Table(
    "index_reserved",
    metadata,
    Column("pattern", String(255), primary_key=True),
    Column("created", BigInteger, nullable=False),
    **TABLE_OPTIONS,
)


class HashChanged(Exception):
    """An upstream named another SHA-256 for a file while its bytes were fetched."""


def find_project(connection: Connection, name: ProjectName) -> KnownProject | None:
    """One point read."""
    row = connection.execute(_PROJECT, {"called": name}).first()
    return None if row is None else _project(row)


def locked_project(connection: Connection, name: ProjectName) -> KnownProject | None:
    """`find_project`; nobody else changes it, or one of its files' lines, before this transaction ends."""
    row = connection.execute(_LOCKED_PROJECT, {"called": name}).first()
    return None if row is None else _project(row)


def new_project(
    connection: Connection, name: ProjectName, now: Micros, *, hosted_since: int | None = None
) -> KnownProject:
    """A row without a page, locked; another process may have made it, and its page, this moment.

    Args:
        hosted_since: the journal's serial of its claim; None: it is not the hub's own.
    """
    is_hosted = hosted_since is not None
    blank = {"hosted": is_hosted, "merged": False, "status": "active", "listed": is_hosted}
    step = 1 if is_hosted else 0
    numbers = {"serial": hosted_since or 0, "revision": step, "here_revision": step, "created": now, "changed": now}
    named = {"name": name, "confusable": ultranormalize(name)}
    connection.execute(insert_unless_there(connection, index_project), {**named, **blank, **numbers})
    if is_hosted:
        bump(connection, "index")
    known = locked_project(connection, name)
    assert known is not None  # noqa: S101 - projects are never deleted
    return known


def project_serials(connection: Connection) -> list[tuple[ProjectName, int, bool]]:
    """Every project that has a page, the serial of its last change, whether it is hosted; in order of names."""
    columns = (index_project.c.name, index_project.c.serial, index_project.c.hosted)
    query = select(*columns).where(index_project.c.listed).order_by(index_project.c.name)
    return [(ProjectName(row.name), row.serial, row.hosted) for row in connection.execute(query)]


def hosted_names(connection: Connection) -> list[str]:
    """The names that are claimed here, in order."""
    query = select(index_project.c.name).where(index_project.c.hosted).order_by(index_project.c.name)
    return list(connection.execute(query).scalars())


def confusable_with(connection: Connection, name: ProjectName) -> list[KnownProject]:
    """Other projects whose names people take for this one; one range of an index."""
    rows = connection.execute(_ALIKE, {"alike": ultranormalize(name), "called": name})
    return [_project(row) for row in rows]


def find_file(connection: Connection, project: ProjectName, filename: str) -> KeptFile | None:
    """One point read by the two names; also a file that its origin no longer lists."""
    row = connection.execute(_FILE, {"of": project, "called": filename}).first()
    return None if row is None else _file(row)


def files_of(connection: Connection, project_id: int) -> list[KeptFile]:
    """All that a project ever had, in the order in which its origin lists them (rows are made in it, and ids grow)."""
    rows = connection.execute(_FILES_OF, {"of": project_id}).all()
    owner = _owner(rows[0]) if rows else None  # made once: a large project has thousands of files
    return [_file(row, owner) for row in rows]


def files_called(connection: Connection, filename: str) -> list[KeptFile]:
    """Files of that name, of whatever project; one range of an index."""
    return [_file(row) for row in connection.execute(_FILES.where(index_file.c.filename == filename))]


def first_seen(connection: Connection, project_id: int) -> dict[str, Micros]:
    """When the hub saw a project's files first, by name; for those whose upload time nobody has told."""
    query = select(index_file.c.filename, index_file.c.created).where(index_file.c.project_id == project_id)
    return {row.filename: Micros(row.created) for row in connection.execute(query)}


def has_copies(connection: Connection, project_id: int) -> bool:
    """Are bytes of files here that their origin no longer lists? For a project whose page is gone."""
    here = select(index_file.c.id).where(index_file.c.project_id == project_id, index_file.c.digest.is_not(None))
    return connection.execute(here.limit(1)).first() is not None


def record_bytes(connection: Connection, file: KeptFile, digest: Digest, size: int, now: Micros) -> None:
    """The file is here. Where the upstream named no hash, this one is pinned, unverified.

    Raises:
        HashChanged: meanwhile the upstream names another hash; these bytes are nobody's.
    """
    pinned = file.pinned or file.expected is None
    changed = connection.execute(
        update(index_file)
        .where(
            index_file.c.id == file.id,
            index_file.c.sha256.is_(None) | (index_file.c.sha256 == digest),
        )
        .values(digest=digest, sha256=digest, size=size, pinned=pinned, metadata_failed=False, changed=now)
    )
    if changed.rowcount == 0:
        raise HashChanged(file.filename)
    learned = _learned(file, digest, size)
    _touch_project(connection, file.project_id, page_changes=learned is not None or file.metadata_failed)
    if learned is None and file.metadata_failed:
        _tell_soon(connection, file.project_id, now)
    if learned is not None:
        # Also a size alone: PyPI's JSON lists the file from now on, and mirrors look only at what has a newer serial.
        action, detail = learned
        serial = record(connection, "index", action, f"{file.project}/{file.filename}", now=now, detail=detail)
        next_serial(connection, file.project_id, serial, now)


def record_metadata(connection: Connection, file: KeptFile, digest: Digest, size: int, now: Micros) -> None:
    """The file's METADATA is here. Where the upstream does not serve it, the page now advertises ours."""
    connection.execute(
        update(index_file)
        .where(index_file.c.id == file.id)
        .values(metadata_digest=digest, metadata_size=size, changed=now)
    )
    advertised = file.listed_file.has_metadata and file.listed_file.metadata_sha256 is not None
    _touch_project(connection, file.project_id, page_changes=not advertised)
    if not advertised:
        _tell_soon(connection, file.project_id, now)


def record_metadata_failed(connection: Connection, file: KeptFile, now: Micros) -> None:
    """The file's METADATA cannot be had: the page stops advertising it."""
    connection.execute(update(index_file).where(index_file.c.id == file.id).values(metadata_failed=True, changed=now))
    _touch_project(connection, file.project_id, page_changes=file.listed_file.has_metadata)
    if file.listed_file.has_metadata:
        _tell_soon(connection, file.project_id, now)


def _tell_soon(connection: Connection, project_id: int, now: Micros) -> None:
    """Have a job give the project a serial, one for all METADATA that comes meanwhile: it comes file by file."""
    soon = Micros(now + TELL_AFTER_SECONDS * SECOND)
    enqueue(connection, TELL_JOB, {"project": project_id}, now=now, key=f"{TELL_JOB}:{project_id}", run_at=soon)


def tell_metadata(connection: Connection, project_id: int, now: Micros) -> KnownProject:
    """The page advertises other METADATA than at its serial; once too often does no harm."""
    name = connection.execute(select(index_project.c.name).where(index_project.c.id == project_id)).scalar_one()
    serial = record(connection, "index", "metadata changed", name, now=now)
    return next_serial(connection, project_id, serial, now)


def forget(connection: Connection, digests: Sequence[Digest], now: Micros) -> None:
    """These bytes are evicted, or lost: files become "known, not here"; METADATA likewise.

    Most pages go on saying the same. Those that do not (a tombstone was all that was left of its file; METADATA was
    advertised that no upstream serves) get a serial, all of them that of one entry of the journal.
    """
    pages: dict[int, bool] = {}
    for column, changes_page in ((index_file.c.digest, _shows_bytes), (index_file.c.metadata_digest, _shows_metadata)):
        for row in connection.execute(_FILES.where(column.in_(digests))):
            pages[row.project_id] = pages.get(row.project_id, False) or changes_page(row)
        connection.execute(update(index_file).where(column.in_(digests)).values({column.name: None}))
    for project_id in sorted(pages):
        _touch_project(connection, project_id, page_changes=pages[project_id])
    changed = sorted(project_id for project_id, changes in pages.items() if changes)
    if changed:
        query = select(index_project.c.name).where(index_project.c.id.in_(changed)).order_by(index_project.c.id)
        names = list(connection.execute(query).scalars())
        serial = record(connection, "index", "evicted", " ".join(names), now=now)
        for project_id in changed:
            next_serial(connection, project_id, serial, now)
    announce(connection, DOUBTED)


def _shows_bytes(row: Row[Any]) -> bool:
    """Does a page list this file only while its bytes are here?"""
    return row.origin is None or not row.listed or row.status == "quarantined" or row.quarantined is not None


def _shows_metadata(row: Row[Any]) -> bool:
    """Does a page advertise METADATA of this file otherwise than its upstream does?"""
    return not row.has_metadata or row.metadata_sha256 != row.metadata_digest


def holder(clock: Clock) -> Holder:
    """Which blobs the index refers to. What was uploaded here is nowhere else; the rest can be fetched again."""

    def held(digest: ColumnElement[Digest], *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        return exists().where(index_file.c.digest == digest, *conditions) | exists().where(
            index_file.c.metadata_digest == digest, *conditions
        )

    def kept(digest: ColumnElement[Digest]) -> ColumnElement[bool]:
        return held(digest, index_file.c.origin.is_(None))

    def cached(digest: ColumnElement[Digest]) -> ColumnElement[bool]:
        return held(digest, index_file.c.origin.is_not(None))

    def audit(connection: Connection) -> Iterator[tuple[Digest, str]]:
        query = select(index_project.c.name, index_file.c.filename, index_file.c.digest, index_file.c.metadata_digest)
        for row in connection.execute(query.join_from(index_file, index_project)):
            if row.digest is not None:
                yield row.digest, f"{row.name}/{row.filename}"
            if row.metadata_digest is not None:
                yield row.metadata_digest, f"{row.name}/{row.filename}.metadata"

    def forgotten(connection: Connection, digests: Sequence[Digest]) -> None:
        forget(connection, digests, clock.now())

    return Holder(name="index", kept=kept, cached=cached, forget=forgotten, audit=audit)


_OWNER = ("name", "hosted", "merged", "upstream", "status", "status_reason", "quarantined")
_FILES = select(index_file, *(index_project.c[name] for name in _OWNER)).join_from(index_file, index_project)


# Made once: to build a statement anew costs more than to run it.
_FILE = _FILES.where(index_project.c.name == bindparam("of"), index_file.c.filename == bindparam("called"))
_FILES_OF = _FILES.where(index_file.c.project_id == bindparam("of")).order_by(index_file.c.id)
_PROJECT = select(index_project).where(index_project.c.name == bindparam("called"))
_LOCKED_PROJECT = _PROJECT.with_for_update()
_ALIKE = select(index_project).where(
    index_project.c.confusable == bindparam("alike"), index_project.c.name != bindparam("called")
)
_NEXT_SERIAL = (
    update(index_project)
    .where(index_project.c.id == bindparam("of"))
    .values(
        serial=bindparam("now_at"),
        revision=index_project.c.revision + 1,
        here_revision=index_project.c.here_revision + 1,
        changed=bindparam("moment"),
    )
)


_NEXT_SERIAL_TOLD = _NEXT_SERIAL.returning(*index_project.c)
_PROJECT_BY_ID = select(index_project).where(index_project.c.id == bindparam("of"))


def next_serial(connection: Connection, project_id: int, serial: int, now: Micros) -> KnownProject:
    """The journal's entry `serial` changed what a project's page says. Returns what the project is now."""
    bump(connection, "index")
    values = {"of": project_id, "now_at": serial, "moment": now}
    if connection.dialect.update_returning:
        return _project(connection.execute(_NEXT_SERIAL_TOLD, values).one())
    connection.execute(_NEXT_SERIAL, values)
    return _project(connection.execute(_PROJECT_BY_ID, values).one())


def _learned(file: KeptFile, digest: Digest, size: int) -> tuple[str, dict[str, Any]] | None:
    """What the bytes tell of a file that its page did not: the journal's action, and its detail."""
    if file.expected is None:
        return "hash pinned", {"sha256": digest}
    if file.listed_file.size is None:
        return "size learned", {"size": size}
    return None


def _touch_project(connection: Connection, project_id: int, *, page_changes: bool) -> None:
    step = 1 if page_changes else 0
    connection.execute(
        update(index_project)
        .where(index_project.c.id == project_id)
        .values(revision=index_project.c.revision + step, here_revision=index_project.c.here_revision + 1)
    )
    bump(connection, "index")


def _project(row: Row[Any]) -> KnownProject:
    return KnownProject(
        id=row.id,
        owner=_owner(row),
        versions=None if row.versions is None else tuple(orjson.loads(row.versions)),
        tracks=tuple(orjson.loads(row.tracks or "[]")),
        alternate_locations=tuple(orjson.loads(row.alternate_locations or "[]")),
        etag=row.etag,
        last_modified=row.last_modified,
        page_digest=row.page_digest,
        listed=row.listed,
        serial=row.serial,
        revision=row.revision,
        here_revision=row.here_revision,
    )


def _owner(row: Row[Any]) -> Owner:
    return Owner(
        name=ProjectName(row.name),
        hosted=row.hosted,
        merged=row.merged,
        upstream=row.upstream,
        status=row.status,
        status_reason=row.status_reason,
        quarantined=tuple(orjson.loads(row.quarantined or "[]")),
    )


def _file(row: Row[Any], owner: Owner | None = None) -> KeptFile:
    listed = ListedFile(
        filename=row.filename,
        url=row.url,
        sha256=row.sha256,
        hashes={} if row.hashes is None else orjson.loads(row.hashes),
        size=row.size,
        upload_time=row.upload_time,
        requires_python=row.requires_python,
        yanked=row.yanked,
        has_metadata=row.has_metadata,
        metadata_sha256=row.metadata_sha256,
        provenance=row.provenance,
        gpg_sig=row.gpg_sig,
        origin=row.origin,
    )
    return KeptFile(
        id=row.id,
        owner=owner or _owner(row),
        project_id=row.project_id,
        origin=row.origin,
        listed_file=listed,
        digest=row.digest,
        metadata_digest=row.metadata_digest,
        metadata_size=row.metadata_size,
        pinned=row.pinned,
        listed=row.listed,
        metadata_failed=row.metadata_failed,
        born=row.born,
        deleted=row.deleted,
        uploaded_by=row.uploaded_by,
    )
