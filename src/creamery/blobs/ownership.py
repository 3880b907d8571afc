"""Whose data directory this is, and whether the process that used it last ended as it should.

`store.json` names the instance, and so does the table `store`: a directory that is not mounted, or another hub's
database, is noticed before a byte is served or swept. `running/` has one locked file per process; a file there that
nobody holds was left by a process that was killed, or by a power cut.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from creamery.blobs import tables
from creamery.blobs.local import is_plain, sync_folder
from creamery.blobs.store import StoreMismatch
from creamery.clock import Clock
from creamery.database import Committer, Database, WritesBusy
from creamery.telemetry import log

FORMAT = 1
LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Owner:
    """What both sides must agree on."""

    instance: str
    format: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The names in a data directory that are the blobs' own."""

    data: Path

    @property
    def blobs(self) -> Path:
        """Finished bytes."""
        return self.data / "blobs"

    @property
    def incoming(self) -> Path:
        """Bytes that are still coming."""
        return self.data / "incoming"

    @property
    def segments(self) -> Path:
        """Finished bytes that are few, many in a file."""
        return self.data / "segments"

    @property
    def quarantine(self) -> Path:
        """Bytes that were found wrong, and files that nobody knows."""
        return self.data / "quarantine"

    @property
    def running(self) -> Path:
        """One locked file for each process that uses the directory."""
        return self.data / "running"

    @property
    def owner(self) -> Path:
        """The file that names the instance."""
        return self.data / "store.json"

    @property
    def restoring(self) -> Path:
        """There while a restore is at work, or was when it ended too early; it names the backup."""
        return self.data / "restoring"

    @property
    def sweeping(self) -> Path:
        """The lock of whoever unlinks blobs."""
        return self.data / "sweeping"

    def what_hinders_writing(self, owner: Owner | None) -> str | None:
        """Is it still `owner`'s, and can it be written? A disk fails, or is taken away, under a running hub."""
        try:
            if read_owner(self) != owner:
                return "it is not the directory that the hub was started with: is its disk mounted?"
            if not os.access(self.blobs, os.W_OK | os.X_OK):
                return "nothing can be written into its blobs: whose are they?"
            with tempfile.TemporaryFile(dir=self.incoming) as probe:
                probe.write(b"?")
                probe.flush()
                os.fsync(probe.fileno())
        except OSError as error:
            return None if error.errno in {errno.ENOSPC, errno.EDQUOT} else f"nothing can be written: {error.strerror}"
        return None

    def make(self) -> None:
        """Make what is missing, durably."""
        for folder in (self.blobs, self.segments, self.incoming, self.quarantine, self.running):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(self.data)
        sync_folder(self.data.parent)


def read_owner(layout: Layout) -> Owner | None:
    """What `store.json` says; None where there is none.

    Raises:
        StoreMismatch: it cannot be read as what a hub writes, or a newer hub has written it.
    """
    try:
        found = json.loads(layout.owner.read_bytes())
        owner = Owner(str(found["instance"]), int(found["format"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, IsADirectoryError) as error:
        raise StoreMismatch(f"{layout.owner} is damaged ({error}); restore it from a backup") from error
    if owner.format > FORMAT:
        raise StoreMismatch(f"{layout.owner} was written by a newer version; this one reads formats up to {FORMAT}")
    return owner


def refuse_half_restored(layout: Layout) -> None:
    """Nobody but a restore may work on half a hub.

    Raises:
        StoreMismatch: it is one.
    """
    if layout.restoring.exists():
        raise StoreMismatch(f"{layout.data} is half restored from a backup; run the same `creamery restore` again")


def own(layout: Layout, database: Database, committer: Committer) -> Owner:
    """Check that directory and database belong together, then make what is missing in the directory.

    Where both are new they belong together from now on. The order matters: what is refused stays as it was.

    Raises:
        StoreMismatch: they do not.
    """
    refuse_half_restored(layout)
    in_database = database.read(tables.owner)
    on_disk = read_owner(layout)  # after the row: who begins writes this first
    if on_disk is None and in_database is not None:
        raise StoreMismatch(
            f"{layout.data} has no store.json, but the database {database.url} belongs to a hub that has one: is the"
            " disk mounted, and is `data` the directory that this database's other processes use? To begin anew, take"
            " an empty database too"
        )
    if on_disk is not None and in_database is None and _has_blobs(layout, database):
        raise StoreMismatch(
            f"{layout.data} holds blobs, but the database {database.url} is new: is `database_url` the right one?"
        )
    if on_disk is not None and in_database is not None:
        _refuse_another(layout, database, on_disk, in_database[0])
    layout.make()
    if on_disk is None:
        on_disk = write_owner(layout, str(uuid.uuid4()))
    wanted = on_disk
    in_database = committer.write(lambda connection: tables.set_owner(connection, wanted.instance, wanted.format))
    _refuse_another(layout, database, on_disk, in_database[0])  # one that began at the same time
    return on_disk


def _refuse_another(layout: Layout, database: Database, on_disk: Owner, in_database: str) -> None:
    if in_database != on_disk.instance:
        raise StoreMismatch(
            f"{layout.data} belongs to instance {on_disk.instance} and the database {database.url} to {in_database}:"
            " `data` and `database_url` must name the same hub's"
        )


def _has_blobs(layout: Layout, database: Database) -> bool:
    folders = layout.blobs.iterdir() if layout.blobs.is_dir() else ()
    has_segments = layout.segments.is_dir() and any(layout.segments.iterdir())
    return any(path.is_dir() for path in folders) or has_segments or database.read(tables.has_blobs)


def write_owner(layout: Layout, instance: str) -> Owner:
    """Durably, and only one of several processes that begin at once: the others read what it wrote."""
    temporary = layout.data / f"store.json.{uuid.uuid4().hex}"
    with temporary.open("wb") as file:
        file.write(json.dumps({"instance": instance, "format": FORMAT}).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(temporary, layout.owner)
    temporary.unlink()
    sync_folder(layout.data)
    written = read_owner(layout)
    if written is None:
        raise StoreMismatch(f"{layout.owner} vanished while it was written; is somebody else at work in there?")
    return written


class Running:
    """This process's mark in `running/`."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.running
        self._path = layout.running / uuid.uuid4().hex
        self._descriptor = -1

    def begin(self) -> bool:
        """Set the mark, durably; returns True when some process before did not end as it should."""
        with _folder_locked(self._folder):  # else another one that begins takes ours for abandoned before it is locked
            abandoned = [_remove_abandoned(path) for path in sorted(self._folder.iterdir())]
            self._descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            sync_folder(self._folder)
        return any(abandoned)

    def end(self) -> None:
        """Remove the mark: all is well. On a disk that fails it stays, and the next start looks closely."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.error("blobs.no_clean_mark", file=str(self._path), reason=error.strerror)
        finally:
            os.close(self._descriptor)


@contextlib.contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """One at a time; held for as long as a few files take."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_abandoned(path: Path) -> bool:
    """Remove the mark of a process that is no more; False where it lives, has just ended well, or it is no mark."""
    if not is_plain(path):
        return False
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        if not _try_to_lock(descriptor) or not path.exists():
            return False
        path.unlink()
        return True
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, clock: Clock, wait_seconds: float) -> Iterator[None]:
    """Hold a lock file, which is made where it is missing; the system frees it with the process.

    Raises:
        WritesBusy: somebody else has held it for so long.
    """
    deadline = clock.monotonic() + wait_seconds
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        while not _try_to_lock(descriptor):
            if clock.monotonic() > deadline:
                raise WritesBusy(f"another process has held {path} for {wait_seconds:g} s; ask again in a moment")
            clock.sleep(LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_to_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
