"""A folder that others write into too: names as found, digests when they are first asked for.

Somebody drops files in, with `cp`, `rsync` or by hand, and takes them away; nobody tells us. So the folder is looked
at again whenever its own time of change has moved, and a file is believed to be whole when nobody has changed it for
a second. What is added from here is there at once, whole, and takes nobody's name. What is known of it (digests) are
rows in the database, never files in the folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import BigInteger, Column, Connection, String, Table, delete, insert, select
from sqlalchemy.exc import IntegrityError

from creamery.blobs.incoming import Part
from creamery.blobs.local import explain, sync_folder
from creamery.blobs.store import Extent
from creamery.clock import SECOND, Clock
from creamery.contract import Digest
from creamery.database import TABLE_OPTIONS, Committer, Database, DigestColumn, metadata
from creamery.limits import MIB

WHOLE_AFTER = SECOND
"""A file that was changed so lately may still be being written."""

LOOK_AGAIN_SECONDS = 0.25
"""Between looks at a folder where something may be on its way."""

ABANDONED_AFTER = 600 * SECOND
"""Whoever writes a part writes all the time."""

COPY_STEP = MIB
AT_ONCE = 500  # names in one statement

_PART = re.compile(r"\.[0-9a-f]{16}\.part")

folder_file = Table(
    "folder_file",
    metadata,
    Column("folder", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("digest", DigestColumn, nullable=False),
    **TABLE_OPTIONS,
)


class FolderGone(Exception):
    """The folder, or a file in it, is not there any more."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file in the folder.

    Attributes:
        size: in bytes.
        changed: when, in nanoseconds since 1970, as the file system has it.
    """

    name: str
    size: int
    changed: int


class Folder:
    """Every method may be called from any thread, and may wait for a disk."""

    def __init__(self, path: Path, database: Database, committer: Committer, clock: Clock) -> None:
        self.path = path
        self._id = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()
        self._database = database
        self._committer = committer
        self._clock = clock
        self._lock = threading.Lock()
        self._names: frozenset[str] = frozenset()
        self._own: dict[str, tuple[int, int]] = {}
        self._seen: int | None = None
        self._look_again_at = 0.0

    def tidy(self) -> None:
        """Remove what processes that were killed had begun to add."""
        for path in self.path.glob(".*.part"):
            with contextlib.suppress(OSError):  # it went meanwhile, or is not ours to remove
                age = self._clock.now() - path.stat().st_mtime_ns // 1_000
                if _PART.fullmatch(path.name) and age > ABANDONED_AFTER:
                    path.unlink()

    def look(self) -> frozenset[str]:
        """The names of all files that are whole; the same object as long as nothing has changed.

        Raises:
            FolderGone: it cannot be read.
        """
        with self._lock:
            try:
                changed = self.path.stat().st_mtime_ns
                if changed != self._seen or self._clock.monotonic() >= self._look_again_at:
                    self._scan(changed)
            except OSError as error:
                raise FolderGone(f"{self.path} cannot be read: {error.strerror}") from error
            return self._names

    def find(self, name: str) -> Found | None:
        """A file as it is now, if it is whole."""
        try:
            found = (self.path / name).stat()
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(found.st_mode) or not self._is_whole(name, found):
            return None
        return Found(name, found.st_size, found.st_mtime_ns)

    def locate(self, found: Found) -> Extent:
        """Where its bytes lie."""
        return Extent(self.path / found.name, 0, found.size)

    def digests(self, files: Mapping[str, Found]) -> dict[str, Digest]:
        """SHA-256 by name; those that nobody has asked for since they changed are read now.

        What goes, or changes, while it is read is left out.
        """
        known = self._database.read(lambda connection: self._known(connection, list(files)))
        found, fresh = {}, {}
        for name, file in files.items():
            row = known.get(name)
            if row is not None and row[:2] == (file.size, file.changed):
                found[name] = row[2]
            elif (digest := self._hashed(file)) is not None:
                found[name] = digest
                fresh[file] = digest
        if fresh:
            with contextlib.suppress(IntegrityError):  # another process on the same data has just written the same
                self._committer.write(lambda connection: self._write_down(connection, fresh))
        return found

    def add(self, part: Part, name: str) -> bool:
        """Put a finished part's bytes there, durably and all at once; False: the name is somebody's already.

        Raises:
            NotDurable, NoSpace: the folder cannot be written to, or its disk is full.
        """
        temporary = self.path / f".{secrets.token_hex(8)}.part"
        try:
            with temporary.open("xb") as out, part.open() as source:
                shutil.copyfileobj(source, out, COPY_STEP)
                out.flush()
                os.fsync(out.fileno())
                found = os.fstat(out.fileno())
            with self._lock:
                _rename(temporary, self.path / name)
                self._own[name] = (found.st_size, found.st_mtime_ns)
                self._names |= {name}
            sync_folder(self.path)
        except FileExistsError:
            return False
        except OSError as error:
            raise explain(error, f"while {name} was written into {self.path}") from error
        finally:
            with contextlib.suppress(OSError):  # of a folder that cannot be written to, it was never there
                temporary.unlink()
        return True

    def _scan(self, changed: int) -> None:
        whole, is_young = set(), self._is_young(changed)
        with os.scandir(self.path) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                if name in self._names:
                    whole.add(name)
                elif entry.is_file():
                    found = entry.stat()
                    if self._is_whole(name, found):
                        whole.add(name)
                    else:
                        is_young = True
        if whole != self._names:
            self._names = frozenset(whole)
            self._own = {name: key for name, key in self._own.items() if name in whole}
        self._seen = changed
        self._look_again_at = self._clock.monotonic() + LOOK_AGAIN_SECONDS if is_young else float("inf")

    def _is_whole(self, name: str, found: os.stat_result) -> bool:
        if self._own.get(name) == (found.st_size, found.st_mtime_ns):
            return True
        return not self._is_young(found.st_mtime_ns)

    def _is_young(self, changed: int) -> bool:
        """What has a time to come was given it, and says nothing of when it was written."""
        return 0 <= self._clock.now() - changed // 1_000 < WHOLE_AFTER

    def _hashed(self, file: Found) -> Digest | None:
        try:
            with (self.path / file.name).open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return None
        return Digest(digest) if self.find(file.name) == file else None

    def _known(self, connection: Connection, names: Sequence[str]) -> dict[str, tuple[int, int, Digest]]:
        mine = folder_file.c.folder == self._id
        known: dict[str, tuple[int, int, Digest]] = {}
        for some in _some_at_once(names):
            for row in connection.execute(select(folder_file).where(mine, folder_file.c.name.in_(some))):
                known[row.name] = (row.size, row.changed, row.digest)
        return known

    def _write_down(self, connection: Connection, fresh: Mapping[Found, Digest]) -> None:
        mine = folder_file.c.folder == self._id
        for some in _some_at_once([file.name for file in fresh]):
            connection.execute(delete(folder_file).where(mine, folder_file.c.name.in_(some)))
        rows = [
            {"folder": self._id, "name": file.name, "size": file.size, "changed": file.changed, "digest": digest}
            for file, digest in fresh.items()
        ]
        connection.execute(insert(folder_file), rows)


def _some_at_once(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[at : at + AT_ONCE] for at in range(0, len(names), AT_ONCE)]


def _rename(temporary: Path, name: Path) -> None:
    """Never over what is there.

    Raises:
        FileExistsError: something is.
    """
    try:
        os.link(temporary, name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if name.exists():  # whoever else writes into such a folder may come in between
            raise FileExistsError from error
        temporary.rename(name)


_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
"""What file systems say that have no hard links, such as a memory card's."""
