"""The index's tables and their queries. A project has one row, and so has every file name it ever listed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
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
    exists,
    insert,
    select,
    update,
)
from sqlalchemy.sql.expression import false

from creamery.blobs import Holder
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
from creamery.index.project import KeptFile, KnownProject, ListedFile, ProjectPage
from creamery.journal import record

FORGOTTEN = "index.forgotten"
"""What the committer announces after files were evicted."""

index_project = Table(
    "index_project",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("name", String(255), nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_reason", LongText),
    Column("versions", LongText),
    Column("tracks", LongText),
    Column("alternate_locations", LongText),
    Column("upstream", String(1024)),
    Column("etag", String(1024)),
    Column("last_modified", String(64)),
    Column("page_digest", DigestColumn),
    Column("listed", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("here_revision", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    UniqueConstraint("name"),
    **TABLE_OPTIONS,
)

index_file = Table(
    "index_file",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("project_id", BigInteger, ForeignKey("index_project.id"), nullable=False),
    Column("filename", String(255), nullable=False),
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
    Column("digest", DigestColumn),
    Column("metadata_digest", DigestColumn),
    Column("metadata_size", BigInteger),
    Column("pinned", Boolean, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("metadata_failed", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    UniqueConstraint("project_id", "filename"),
    Index(None, "digest"),
    Index(None, "metadata_digest"),
    **TABLE_OPTIONS,
)


@dataclass(frozen=True, slots=True)
class Saved:
    """A project's row after `save_page`.

    Attributes:
        conflicts: files for which the upstream now names another SHA-256 than that of the bytes that are here. They
            keep their bytes and their hash: a file's name means one content for ever.
    """

    project: KnownProject
    conflicts: tuple[str, ...]


class HashChanged(Exception):
    """An upstream named another SHA-256 for a file while its bytes were fetched."""


def find_project(connection: Connection, name: ProjectName) -> KnownProject | None:
    """One point read."""
    row = connection.execute(select(index_project).where(index_project.c.name == name)).first()
    return None if row is None else _project(row)


def _locked_project(connection: Connection, name: ProjectName) -> KnownProject | None:
    """`find_project`; nobody else changes it, or one of its files' lines, before this transaction ends."""
    row = connection.execute(select(index_project).where(index_project.c.name == name).with_for_update()).first()
    return None if row is None else _project(row)


def _new_project(connection: Connection, name: ProjectName, now: Micros) -> KnownProject:
    """A row without a page, locked; another process may have made it, and its page, this moment."""
    blank = {"name": name, "status": "active", "listed": False, "revision": 0, "here_revision": 0}
    connection.execute(insert_unless_there(connection, index_project).values(**blank, created=now, changed=now))
    known = _locked_project(connection, name)
    assert known is not None  # noqa: S101 - projects are never deleted
    return known


def project_names(connection: Connection) -> list[str]:
    """Every project that has a page, in order."""
    query = select(index_project.c.name).where(index_project.c.listed).order_by(index_project.c.name)
    return list(connection.execute(query).scalars())


def find_file(connection: Connection, project: ProjectName, filename: str) -> KeptFile | None:
    """One point read by the two names; also a file that its upstream no longer lists."""
    query = _FILES.where(index_project.c.name == project, index_file.c.filename == filename)
    row = connection.execute(query).first()
    return None if row is None else _file(row)


def file_by_id(connection: Connection, file_id: int) -> KeptFile | None:
    """One point read."""
    row = connection.execute(_FILES.where(index_file.c.id == file_id)).first()
    return None if row is None else _file(row)


def listed_files(connection: Connection, project_id: int) -> list[KeptFile]:
    """What a page lists, in the upstream's order (rows are made in it, and ids grow)."""
    query = _FILES.where(index_file.c.project_id == project_id, index_file.c.listed).order_by(index_file.c.id)
    return [_file(row) for row in connection.execute(query)]


def save_page(
    connection: Connection,
    page: ProjectPage,
    *,
    upstream: str,
    etag: str | None,
    last_modified: str | None,
    page_digest: Digest,
    now: Micros,
) -> Saved:
    """Bring the rows to what an upstream's page says: a set difference, nothing is written that stays as it was."""
    known = _locked_project(connection, page.name) or _new_project(connection, page.name, now)
    rows = connection.execute(select(index_file).where(index_file.c.project_id == known.id))
    changes = _save_files(connection, known.id, page.files, {row.filename: row for row in rows}, now)
    values: dict[str, Any] = {
        "status": page.status,
        "status_reason": page.status_reason,
        "versions": _listed(page.versions),
        "tracks": _listed(page.tracks or None),
        "alternate_locations": _listed(page.alternate_locations or None),
        "upstream": upstream,
        "etag": etag,
        "last_modified": last_modified,
        "page_digest": page_digest,
        "listed": True,
    }
    same_place = known.listed and known.upstream == upstream
    page_changes = changes.any or not same_place or _head(known) != _head(page)
    if page_changes:
        values |= {"revision": known.revision + 1, "here_revision": known.here_revision + 1, "changed": now}
    connection.execute(update(index_project).where(index_project.c.id == known.id).values(values))
    if page_changes:
        bump(connection, "index")
        detail = {"upstream": upstream, "status": page.status, **changes.counts()}
        record(connection, "index", "page changed", page.name, now=now, detail=detail)
    for filename in changes.conflicts:
        record(connection, "index", "hash refused", f"{page.name}/{filename}", now=now, detail={"upstream": upstream})
    saved = find_project(connection, page.name)
    assert saved is not None  # noqa: S101 - it was written in this transaction
    return Saved(saved, tuple(changes.conflicts))


def unlist_project(connection: Connection, name: ProjectName, now: Micros) -> KnownProject | None:
    """The upstream has no such project any more: its page goes; what is here keeps its address."""
    known = _locked_project(connection, name)
    if known is None or not known.listed:
        return known
    connection.execute(
        update(index_project)
        .where(index_project.c.id == known.id)
        .values(listed=False, etag=None, last_modified=None, page_digest=None, revision=known.revision + 1, changed=now)
    )
    bump(connection, "index")
    record(connection, "index", "project gone", name, now=now, detail={"upstream": known.upstream})
    return find_project(connection, name)


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
    page_changes = file.expected is None or file.listed_file.size is None or file.metadata_failed
    _touch_project(connection, file.project_id, page_changes=page_changes)
    if file.expected is None:
        subject = f"{file.project}/{file.filename}"
        record(connection, "index", "hash pinned", subject, now=now, detail={"sha256": digest})


def record_metadata(connection: Connection, file: KeptFile, digest: Digest, size: int, now: Micros) -> None:
    """The file's METADATA is here. Where the upstream does not serve it, the page now advertises ours."""
    connection.execute(
        update(index_file)
        .where(index_file.c.id == file.id)
        .values(metadata_digest=digest, metadata_size=size, changed=now)
    )
    advertised = file.listed_file.has_metadata and file.listed_file.metadata_sha256 is not None
    _touch_project(connection, file.project_id, page_changes=not advertised)


def record_metadata_failed(connection: Connection, file: KeptFile, now: Micros) -> None:
    """The file's METADATA cannot be had: the page stops advertising it."""
    connection.execute(update(index_file).where(index_file.c.id == file.id).values(metadata_failed=True, changed=now))
    _touch_project(connection, file.project_id, page_changes=file.listed_file.has_metadata)


def forget(connection: Connection, digests: Sequence[Digest]) -> None:
    """These bytes are evicted: files become "known, not here"; METADATA likewise."""
    touched: set[int] = set()
    for column in (index_file.c.digest, index_file.c.metadata_digest):
        rows = connection.execute(select(index_file.c.project_id).where(column.in_(digests)).distinct())
        touched.update(rows.scalars())
        connection.execute(update(index_file).where(column.in_(digests)).values({column.name: None}))
    for project_id in sorted(touched):
        _touch_project(connection, project_id, page_changes=True)
    announce(connection, FORGOTTEN)


def holder() -> Holder:
    """Which blobs the index refers to. All of them can be fetched again."""

    def cached(digest: ColumnElement[Digest]) -> ColumnElement[bool]:
        return exists().where(index_file.c.digest == digest) | exists().where(index_file.c.metadata_digest == digest)

    def audit(connection: Connection) -> Iterator[tuple[Digest, str]]:
        query = select(index_project.c.name, index_file.c.filename, index_file.c.digest, index_file.c.metadata_digest)
        for row in connection.execute(query.join_from(index_file, index_project)):
            if row.digest is not None:
                yield row.digest, f"{row.name}/{row.filename}"
            if row.metadata_digest is not None:
                yield row.metadata_digest, f"{row.name}/{row.filename}.metadata"

    return Holder(name="index", kept=lambda _: false(), cached=cached, forget=forget, audit=audit)


_FILES = select(
    index_file, index_project.c.name.label("project"), index_project.c.upstream, index_project.c.status
).join_from(index_file, index_project)

_IDS_AT_ONCE = 500

_COMPARED = (
    "url",
    "sha256",
    "hashes",
    "size",
    "upload_time",
    "requires_python",
    "yanked",
    "has_metadata",
    "metadata_sha256",
    "provenance",
    "gpg_sig",
)


@dataclass(slots=True)
class _Changes:
    """What a page's set difference came to; `conflicts` are names whose other hash was refused."""

    added: int = 0
    changed: int = 0
    withdrawn: int = 0
    conflicts: list[str] = field(default_factory=list)

    @property
    def any(self) -> bool:
        """Does the page list anything else than before?"""
        return bool(self.added or self.changed or self.withdrawn)

    def counts(self) -> dict[str, int]:
        """For the journal."""
        return {"added": self.added, "changed": self.changed, "withdrawn": self.withdrawn}


def _save_files(
    connection: Connection, project_id: int, files: Iterable[ListedFile], old: dict[str, Row[Any]], now: Micros
) -> _Changes:
    new: list[dict[str, Any]] = []
    changes = _Changes()
    seen: set[str] = set()
    for file in files:
        if file.filename in seen:
            continue
        seen.add(file.filename)
        row = old.get(file.filename)
        if row is None:
            fresh = {"project_id": project_id, "filename": file.filename, **_values(file), **_FRESH}
            new.append(fresh | {"created": now, "changed": now})
            continue
        if _settled(row) is not None and file.sha256 not in {None, _settled(row)}:
            changes.conflicts.append(file.filename)
        values = _values(file) | _kept_values(file, row)
        if not row.listed or any(values[name] != getattr(row, name) for name in _COMPARED):
            changes.changed += 1
            values |= {"listed": True, "changed": now, "metadata_failed": False}
            connection.execute(update(index_file).where(index_file.c.id == row.id).values(values))
    if new:
        changes.added = len(new)
        connection.execute(insert(index_file), new)
    gone = [row.id for name, row in old.items() if row.listed and name not in seen]
    changes.withdrawn = len(gone)
    for start in range(0, len(gone), _IDS_AT_ONCE):
        batch = gone[start : start + _IDS_AT_ONCE]
        connection.execute(update(index_file).where(index_file.c.id.in_(batch)).values(listed=False, changed=now))
    return changes


def _settled(row: Row[Any]) -> Digest | None:
    """The hash that a file has for ever: that of its bytes, here or pinned at first sight and evicted since."""
    if row.digest is not None:
        return Digest(row.digest)
    return Digest(row.sha256) if row.pinned and row.sha256 is not None else None


def _kept_values(file: ListedFile, row: Row[Any]) -> dict[str, Any]:
    """What stays of a row whatever its upstream says now: what the bytes told, and a hash that was pinned."""
    settled = _settled(row)
    if settled is None:
        return {"sha256": row.sha256} if file.sha256 is None and row.sha256 is not None else {}
    confirmed = {"pinned": False} if file.sha256 == settled else {}
    return {"sha256": settled, "size": row.size, **confirmed}


_FRESH = {
    "digest": None,
    "metadata_digest": None,
    "metadata_size": None,
    "pinned": False,
    "listed": True,
    "metadata_failed": False,
}


def _values(file: ListedFile) -> dict[str, Any]:
    return {
        "url": file.url,
        "sha256": file.sha256,
        "hashes": orjson.dumps(file.hashes, option=orjson.OPT_SORT_KEYS).decode() if file.hashes else None,
        "size": file.size,
        "upload_time": file.upload_time,
        "requires_python": file.requires_python,
        "yanked": file.yanked,
        "has_metadata": file.has_metadata,
        "metadata_sha256": file.metadata_sha256,
        "provenance": file.provenance,
        "gpg_sig": file.gpg_sig,
    }


def _touch_project(connection: Connection, project_id: int, *, page_changes: bool) -> None:
    step = 1 if page_changes else 0
    connection.execute(
        update(index_project)
        .where(index_project.c.id == project_id)
        .values(revision=index_project.c.revision + step, here_revision=index_project.c.here_revision + 1)
    )
    bump(connection, "index")


def _listed(texts: tuple[str, ...] | None) -> str | None:
    return None if texts is None else orjson.dumps(texts).decode()


def _head(of: ProjectPage | KnownProject) -> tuple[object, ...]:
    """What a page says beside its files."""
    return (of.status, of.status_reason, of.versions, of.tracks, of.alternate_locations)


def _project(row: Row[Any]) -> KnownProject:
    return KnownProject(
        id=row.id,
        name=ProjectName(row.name),
        status=row.status,
        status_reason=row.status_reason,
        versions=None if row.versions is None else tuple(orjson.loads(row.versions)),
        tracks=tuple(orjson.loads(row.tracks or "[]")),
        alternate_locations=tuple(orjson.loads(row.alternate_locations or "[]")),
        upstream=row.upstream,
        etag=row.etag,
        last_modified=row.last_modified,
        page_digest=row.page_digest,
        listed=row.listed,
        revision=row.revision,
        here_revision=row.here_revision,
    )


def _file(row: Row[Any]) -> KeptFile:
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
    )
    return KeptFile(
        id=row.id,
        project=ProjectName(row.project),
        project_id=row.project_id,
        listed_file=listed,
        digest=row.digest,
        metadata_digest=row.metadata_digest,
        metadata_size=row.metadata_size,
        pinned=row.pinned,
        listed=row.listed,
        metadata_failed=row.metadata_failed,
        upstream=row.upstream,
        quarantined=row.status == "quarantined",
    )
