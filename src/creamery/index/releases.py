"""What becomes of what was uploaded here: yanked, taken back, deleted, marked.

What an upstream owns follows the upstream (`refresh.py`); the hub withholds it by its rules alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion, Version
from sqlalchemy import Connection, select, update

from creamery.clock import Micros
from creamery.contract import InvalidName, ProjectName, parse_filename
from creamery.database import announce
from creamery.index.pins import drop_pins
from creamery.index.project import STATUSES, KnownProject, Status
from creamery.index.refresh import bury
from creamery.index.tables import DOUBTED, files_of, index_file, index_project, next_serial
from creamery.journal import By, record_by

LONGEST_REASON = 1_000


class ReleaseRefused(Exception):
    """What was asked of a release cannot be; the text says why."""


class NothingCalledSo(ReleaseRefused):
    """The project has no version and no file of that name which was uploaded here."""

    def __init__(self, project: ProjectName, what: str) -> None:
        super().__init__(f"{project} has no version and no file {what[:200]!r} that was uploaded here")


@dataclass(frozen=True, slots=True)
class Done:
    """What became of files: their names, in order; and the serial."""

    filenames: tuple[str, ...]
    serial: int | None


def yank(connection: Connection, known: KnownProject, what: str, reason: str, by: By) -> Done:
    """Let installers pass a version, or one file, over (PEP 592); whoever names it exactly still gets it.

    Args:
        what: a version, or a file's name.
        reason: why; may be empty.

    Raises:
        NothingCalledSo: the project has nothing of that name here.
        ReleaseRefused: the reason cannot be kept.
    """
    _check_reason(reason)
    return _change(connection, known, what, by, action="yanked", reason=reason, values={"yanked": reason})


def unyank(connection: Connection, known: KnownProject, what: str, by: By) -> Done:
    """Take a yank back.

    Raises:
        ReleaseRefused: as `yank`.
    """
    return _change(connection, known, what, by, action="unyanked", reason="", values={"yanked": None})


def delete(connection: Connection, known: KnownProject, what: str, reason: str, by: By) -> Done:
    """Delete a version, or one file. The bytes go; the names never return, for somebody has them locked by their hash.

    Raises:
        ReleaseRefused: as `yank`.
    """
    _check_reason(reason)
    gone = {"listed": False, "digest": None, "metadata_digest": None}
    return _change(connection, known, what, by, action="deleted", reason=reason, values=gone, is_for_good=True)


def mark(connection: Connection, known: KnownProject, status: str, reason: str | None, by: By) -> int:
    """Give a project its marker (PEP 792); returns the serial.

    Raises:
        ReleaseRefused: there is no such status.
    """
    _check_reason(reason or "")
    if status not in STATUSES:
        raise ReleaseRefused(f"{status[:80]!r} is no status of a project; there are {', '.join(sorted(STATUSES))}")
    detail = {"status": status, "reason": reason}
    serial = record_by(connection, "index", "marked", known.name, by, detail)
    values: dict[str, str | None] = {"status": status, "status_reason": reason or None}
    connection.execute(update(index_project).where(index_project.c.id == known.id).values(values))
    next_serial(connection, known.id, serial, by.now)
    announce(connection, DOUBTED)
    return serial


def takes_uploads(status: Status) -> bool:
    """May files be added to a project so marked (PEP 792)?"""
    return status in {"active", "deprecated"}


def _check_reason(reason: str) -> None:
    if len(reason) > LONGEST_REASON or not (reason.isprintable() or not reason):
        raise ReleaseRefused(f"a reason is one line of at most {LONGEST_REASON} characters")


def _change(  # noqa: PLR0913 - what is changed and what the journal says of it, by name
    connection: Connection,
    known: KnownProject,
    what: str,
    by: By,
    *,
    action: str,
    reason: str,
    values: dict[str, Any],
    is_for_good: bool = False,
) -> Done:
    ids = _meant(connection, known, what)
    rows = connection.execute(select(index_file).where(index_file.c.id.in_(ids)).order_by(index_file.c.id)).all()
    changed = [row for row in rows if any(getattr(row, name) != value for name, value in values.items())]
    if not changed:
        return Done((), None)
    names = tuple(row.filename for row in changed)
    detail = {"what": what, "files": list(names), "reason": reason}
    subject = f"{known.name}/{what}"
    serial = record_by(connection, "index", action, subject, by, detail)
    bury(connection, [row for row in changed if row.listed], serial)
    _write(connection, [row.id for row in changed], values, serial, by.now, is_for_good=is_for_good)
    next_serial(connection, known.id, serial, by.now)
    announce(connection, DOUBTED)
    return Done(names, serial)


def _write(
    connection: Connection, ids: list[int], values: dict[str, Any], serial: int, now: Micros, *, is_for_good: bool
) -> None:
    further = {"deleted": serial} if is_for_good else {}
    if is_for_good:
        drop_pins(connection, ids)
    connection.execute(
        update(index_file).where(index_file.c.id.in_(ids)).values(**values, **further, born=serial, changed=now)
    )


def _meant(connection: Connection, known: KnownProject, what: str) -> list[int]:
    """The files of a version, or the one of that name."""
    hosted = [file for file in files_of(connection, known.id) if file.origin is None and file.deleted is None]
    found = [file.id for file in hosted if file.filename == what]
    if not found and (version := _version(what)) is not None:
        found = [file.id for file in hosted if _version_of(file.filename) == version]
    if not found:
        raise NothingCalledSo(known.name, what)
    return found


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _version_of(filename: str) -> Version | None:
    try:
        return parse_filename(filename).version
    except InvalidName:
        return None
