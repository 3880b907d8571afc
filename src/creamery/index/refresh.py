"""What an upstream's page changes: a set difference of files, of which nothing is lost.

A file's row is its name's for ever. What a page says of it has a birth; when the page says something else, what it
said before goes into the past with its death, so that every page can be had as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from creamery.clock import Micros
from creamery.contract import Digest, ProjectName
from creamery.database import announce
from creamery.index.project import KnownProject, ListedFile, Owner, ProjectPage
from creamery.index.tables import (
    DOUBTED,
    NO_VALIDATORS,
    SAID,
    find_project,
    has_copies,
    index_file,
    index_file_past,
    index_project,
    locked_project,
    new_project,
    next_serial,
)
from creamery.journal import record

_IDS_AT_ONCE = 500

_SAME_NAMES = tuple(name for name in SAID if name not in {"origin", "hashes"})
_OF_FILE = attrgetter(*_SAME_NAMES)
_OF_ROW = itemgetter(*(index_file.c.keys().index(name) for name in ("origin", "hashes", *_SAME_NAMES)))


@dataclass(frozen=True, slots=True)
class Saved:
    """A project's row after `save_page`.

    Attributes:
        conflicts: files for which the upstream now names another SHA-256 than that of the bytes that are here. They
            keep their bytes and their hash: a file's name means one content for ever.
    """

    project: KnownProject
    conflicts: tuple[str, ...] = ()


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
    """Bring the rows to what an upstream's page says; nothing is written that stays as it was.

    Nothing at all of a name that was claimed while the upstream was asked, nor of one that another upstream owns.
    """
    known = locked_project(connection, page.name) or new_project(connection, page.name, now)
    if not known.owner.is_asked_upstream or (known.upstream not in {None, upstream} and not known.owner.merged):
        return Saved(known)
    rows = connection.execute(select(index_file).where(index_file.c.project_id == known.id))
    changes = _difference(page.files, upstream, {row.filename: row for row in rows})
    is_here_first = known.upstream is None and not known.owner.hosted
    values: dict[str, Any] = {
        "versions": None if known.owner.hosted else _listed(page.versions),
        "quarantined": _listed(page.quarantined or None),
        "tracks": _listed(page.tracks or None),
        "alternate_locations": _listed(page.alternate_locations or None),
        "upstream": known.upstream if not is_here_first else upstream,
        "etag": etag,
        "last_modified": last_modified,
        "page_digest": page_digest,
        "listed": True,
    }
    if not known.owner.hosted:
        values |= {"status": page.status, "status_reason": page.status_reason}
    page_changes = changes.any or not known.listed or _head(known) != _head(page)
    connection.execute(update(index_project).where(index_project.c.id == known.id).values(values))
    if page_changes:
        detail = {"upstream": upstream, "status": page.status, **changes.counts()}
        if is_here_first:
            detail["owner"] = upstream
        serial = record(connection, "index", "page changed", page.name, now=now, detail=detail)
        _apply(connection, known.id, changes, serial, now)
        next_serial(connection, known.id, serial, now)
    if changes.withdrawn or _markers(known.owner) != _markers(page):  # what is in memory as offered may be so no longer
        announce(connection, DOUBTED)
    for filename in changes.conflicts:
        record(connection, "index", "hash refused", f"{page.name}/{filename}", now=now, detail={"upstream": upstream})
    return Saved(_found(connection, page.name), tuple(changes.conflicts))


def unlist_project(
    connection: Connection, name: ProjectName, now: Micros, *, keeps_copies: bool
) -> KnownProject | None:
    """Its upstream has no such project any more: its files become tombstones, and its page goes, unless it is ours.

    Args:
        keeps_copies: what is here is served still, so that the page stays where anything is.
    """
    known = locked_project(connection, name)
    if known is None or not known.listed or not known.owner.is_asked_upstream:
        return known
    if known.page_digest is None and not _lists_upstreams(connection, known.id):
        return known
    is_page = known.owner.hosted or (keeps_copies and has_copies(connection, known.id))
    serial = record(connection, "index", "project gone", name, now=now, detail={"upstream": known.upstream})
    withdraw_all(connection, known.id, serial, now)
    connection.execute(
        update(index_project).where(index_project.c.id == known.id).values(listed=is_page, **NO_VALIDATORS)
    )
    next_serial(connection, known.id, serial, now)
    announce(connection, DOUBTED)
    return _found(connection, name)


def withdraw_all(connection: Connection, project_id: int, serial: int, now: Micros) -> None:
    """No upstream's file is listed any longer; what was uploaded here is."""
    rows = connection.execute(select(index_file).where(*_listed_upstream(project_id)))
    _apply(connection, project_id, _Changes(withdrawn=list(rows)), serial, now)


def _lists_upstreams(connection: Connection, project_id: int) -> bool:
    return connection.execute(select(index_file.c.id).where(*_listed_upstream(project_id)).limit(1)).first() is not None


def _listed_upstream(project_id: int) -> tuple[ColumnElement[bool], ...]:
    return (index_file.c.project_id == project_id, index_file.c.listed, index_file.c.origin.is_not(None))


def bury(connection: Connection, rows: Iterable[Row[Any]], serial: int) -> None:
    """Write down what pages said of these files up to the serial before this one."""
    past = [
        {"file_id": row.id, "born": row.born, "died": serial, **{name: getattr(row, name) for name in SAID}}
        for row in rows
    ]
    if past:
        connection.execute(insert(index_file_past), past)


@dataclass(slots=True)
class _Changes:
    """What a page's set difference came to.

    Attributes:
        added: new rows' values.
        changed: rows and their new values.
        withdrawn: rows that are listed no longer.
        conflicts: names whose other hash was refused.
    """

    added: list[dict[str, Any]] = field(default_factory=list)
    changed: list[tuple[Row[Any], dict[str, Any]]] = field(default_factory=list)
    withdrawn: list[Row[Any]] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)

    @property
    def any(self) -> bool:
        """Does the page list anything else than before?"""
        return bool(self.added or self.changed or self.withdrawn)

    def counts(self) -> dict[str, Any]:
        """For the journal."""
        return {"added": len(self.added), "changed": len(self.changed), "withdrawn": len(self.withdrawn)}


def _difference(files: Iterable[ListedFile], upstream: str, old: dict[str, Row[Any]]) -> _Changes:
    """What was uploaded here is not the upstream's to change."""
    changes = _Changes()
    seen: set[str] = set()
    for file in files:
        if file.filename in seen:
            continue
        seen.add(file.filename)
        row = old.get(file.filename)
        if row is None:
            changes.added.append({"filename": file.filename, **_values(file, upstream), **_FRESH})
            continue
        if row.origin is None or _is_as_before(file, upstream, row):
            continue
        if _settled(row) is not None and file.sha256 not in {None, _settled(row)}:
            changes.conflicts.append(file.filename)
        values = _values(file, upstream) | _kept_values(file, row)
        if not row.listed or any(values[name] != getattr(row, name) for name in SAID):
            changes.changed.append((row, values))
    changes.withdrawn = [row for name, row in old.items() if row.listed and row.origin is not None and name not in seen]
    return changes


def _is_as_before(file: ListedFile, upstream: str, row: Row[Any]) -> bool:
    """Nearly all of a large page's thousands of files are: one look each, before anything is made of them."""
    if file.hashes or not row.listed:
        return False
    said = (file.origin or upstream, None, *_OF_FILE(file))
    return bool(said == _OF_ROW(row))


def _apply(connection: Connection, project_id: int, changes: _Changes, serial: int, now: Micros) -> None:
    bury(connection, [row for row, _ in changes.changed if row.listed] + changes.withdrawn, serial)
    for row, values in changes.changed:
        fresh = {"listed": True, "born": serial, "changed": now, "metadata_failed": False}
        connection.execute(update(index_file).where(index_file.c.id == row.id).values(values | fresh))
    if changes.added:
        shared = {"project_id": project_id, "born": serial, "created": now, "changed": now}
        connection.execute(insert(index_file), [shared | values for values in changes.added])
    gone = [row.id for row in changes.withdrawn]
    for start in range(0, len(gone), _IDS_AT_ONCE):
        batch = gone[start : start + _IDS_AT_ONCE]
        connection.execute(
            update(index_file).where(index_file.c.id.in_(batch)).values(listed=False, born=serial, changed=now)
        )


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


def _values(file: ListedFile, upstream: str) -> dict[str, Any]:
    hashes = orjson.dumps(file.hashes, option=orjson.OPT_SORT_KEYS).decode() if file.hashes else None
    said = dict(zip(_SAME_NAMES, _OF_FILE(file), strict=True))
    return {**said, "origin": file.origin or upstream, "hashes": hashes}


def _listed(texts: tuple[str, ...] | None) -> str | None:
    return None if texts is None else orjson.dumps(texts).decode()


def _head(of: ProjectPage | KnownProject) -> tuple[object, ...]:
    """What a page says beside its files."""
    return (*_markers(of), of.status_reason, of.versions, of.tracks, of.alternate_locations)


def _markers(of: ProjectPage | KnownProject | Owner) -> tuple[object, ...]:
    """What decides about all files at once."""
    return (of.status, of.quarantined)


def _found(connection: Connection, name: ProjectName) -> KnownProject:
    saved = find_project(connection, name)
    assert saved is not None  # noqa: S101 - it was written in this transaction
    return saved
