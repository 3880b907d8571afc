"""The directory in which backups lie.

    vault.json                 the hub that they are of, and the format
    lock                       held by whoever writes here
    blobs/ab/cd/<sha256>       the bytes, shared by all backups
    incoming/, quarantine/     as in a data directory
    backups/NAME/              one backup, named after its moment (UTC)
        manifest.json          written last
        blobs.jsonl.gz         which blobs it needs, in order of digest
        tables/TABLE.jsonl.gz  the rows of each table
        secret                 where the hub had one
    backups/NAME.unfinished/   one that was cut short; the next one takes it away

A backup is there when its folder has its name: the folder is renamed once everything in it is on the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from creamery.blobs import Item
from creamery.clock import SECOND, Micros
from creamery.contract import Digest
from creamery.database.records import Records, RecordsDamaged, read_records, write_records

FORMAT = 1
UNFINISHED = ".unfinished"
MANIFEST = "manifest.json"
TABLES = "tables"
BLOBS = "blobs.jsonl.gz"
_NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?", re.ASCII)


class NotAVault(Exception):
    """The directory holds no backups, or those of another hub."""


class VaultBusy(Exception):
    """Another process writes into it."""


class NoSuchBackup(Exception):
    """There is none of that name, or none at all."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself.

    Attributes:
        format: of this directory.
        creamery: the version that wrote it.
        schema: the revision of its tables.
        database: the kind that they were read from; any kind can take them.
        instance: the hub.
        began: when its snapshot was taken (UTC, ISO 8601).
        without_cache: what can be fetched again was left out.
        blobs: how many of them lie here for it.
        bytes: of those.
        rows: of all tables.
        tables: by name.
        list: the file that names its blobs.
        lost: how many kept blobs it lacks, because they were missing or wrong when it was made.
    """

    format: int
    creamery: str
    schema: str
    database: str
    instance: str
    began: str
    without_cache: bool
    blobs: int
    bytes: int
    rows: int
    tables: Mapping[str, Records]
    list: Records
    lost: int


class Vault:
    """Backups in a directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._backups = folder / "backups"
        self._owner = folder / "vault.json"

    @contextlib.contextmanager
    def open(self, instance: str | None) -> Iterator[None]:
        """Hold the directory: for `instance`, whose backups it holds or will hold, to write; for None to read.

        Raises:
            NotAVault: it holds something else; nothing was changed.
            VaultBusy: another process writes into it.
            OSError: it cannot be read or written.
        """
        owner = self._read_owner()
        if instance is None and owner is None:
            raise NotAVault(f"{self.folder} holds no backups: it has no vault.json")
        if owner is None and self._holds_something_else():
            raise NotAVault(f"{self.folder} is not empty and holds no backups; name an empty or a new directory")
        if instance not in {None, owner} and owner is not None:
            raise NotAVault(f"{self.folder} holds the backups of another hub; name a directory of this hub's own")
        if owner is None:
            self._backups.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            (self.folder / "lock").touch()
            write_durably(self._owner, {"instance": instance, "format": FORMAT})
            sync(self.folder)
        with (self.folder / "lock").open("rb") as lock:  # to read: a restore may come from a medium that is read-only
            try:
                fcntl.flock(lock, (fcntl.LOCK_SH if instance is None else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise VaultBusy(f"another process is at work in {self.folder}; wait until it has ended") from None
            yield

    def names(self) -> list[str]:
        """The complete backups, oldest first."""
        found = [path.name for path in self._backups.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, key=_in_time)

    def place(self, name: str) -> Path:
        """The folder of a backup."""
        return self._backups / name

    def manifest(self, name: str | None) -> tuple[str, Manifest]:
        """The backup of that name; the newest for None.

        Raises:
            NoSuchBackup: there is none.
            RecordsDamaged: its manifest cannot be read.
        """
        names = self.names()
        if name is None and not names:
            raise NoSuchBackup(f"{self.folder} holds no complete backup")
        if name is not None and name not in names:
            raise NoSuchBackup(f"{self.folder} has no complete backup {name}; there are: {', '.join(names) or 'none'}")
        chosen = names[-1] if name is None else name
        path = self.place(chosen) / MANIFEST
        try:
            return chosen, _manifest(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordsDamaged(f"{path} cannot be read ({error}); choose another backup with --backup") from error

    def begin(self, now: Micros) -> str:
        """Make the folder of a new backup, which is still `unfinished`; returns the name that it will have."""
        for leftover in self._backups.glob(f"*{UNFINISHED}"):
            shutil.rmtree(leftover)
        stem = f"{datetime.fromtimestamp(now / SECOND, UTC):%Y%m%dT%H%M%SZ}"
        taken = set(self.names())
        name = next(name for name in _names(stem) if name not in taken)
        self.unfinished(name).mkdir(mode=0o700)
        (self.unfinished(name) / TABLES).mkdir(mode=0o700)
        return name

    def unfinished(self, name: str) -> Path:
        """Where a backup is written."""
        return self._backups / f"{name}{UNFINISHED}"

    def finish(self, name: str, manifest: Manifest) -> None:
        """Write the manifest, and give the folder its name. The order matters: everything else is synced already."""
        folder = self.unfinished(name)
        sync(folder / TABLES)
        write_durably(folder / MANIFEST, asdict(manifest))
        sync(folder)
        folder.rename(self.place(name))
        sync(self._backups)

    def forget_all_but(self, keep: int) -> list[str]:
        """Take away all backups but the newest `keep`; their blobs stay. Returns those that went."""
        gone = self.names()[:-keep]
        for name in gone:
            self.place(name).rename(self.unfinished(name))  # so that half a backup never has a backup's name
            shutil.rmtree(self.unfinished(name))
        sync(self._backups)
        return gone

    def named(self) -> Iterator[Digest]:
        """Every blob that any backup here wants, in order; some more than once.

        Raises:
            RecordsDamaged: a manifest or a list cannot be read: then nobody knows what may go.
        """
        lists = []
        for name in self.names():
            _, manifest = self.manifest(name)
            lists.append(wanted(read_items(self.place(name), manifest.list), without_cache=manifest.without_cache))
        return heapq.merge(*((item.digest for item in items) for items in lists))

    def _holds_something_else(self) -> bool:
        """Is it neither new nor empty, nor left so by a first backup that was killed at once?"""
        if not self.folder.is_dir():
            return False
        own = {"backups", "lock", "vault.json.new"}
        has_backups = self._backups.is_dir() and any(self._backups.iterdir())
        return has_backups or any(path.name not in own for path in self.folder.iterdir())

    def _read_owner(self) -> str | None:
        try:
            found = json.loads(self._owner.read_bytes())
            instance, number = str(found["instance"]), int(found["format"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise NotAVault(f"{self._owner} is damaged ({error})") from error
        if number > FORMAT:
            raise NotAVault(f"{self.folder} was written by a newer Creamery; install that one")
        return instance


def write_items(folder: Path, items: Iterator[Item]) -> Records:
    """Write the list of the blobs that a snapshot names."""
    lines = ([item.digest, item.size, item.is_whole, item.kept, item.cached] for item in items)
    return write_records(folder / BLOBS, lines)


def read_items(folder: Path, expected: Records) -> Iterator[Item]:
    """What `write_items` wrote, in order of digest.

    Raises:
        RecordsDamaged: the list is not what was written.
    """
    for digest, size, is_whole, kept, cached in read_records(folder / BLOBS, expected):
        yield Item(Digest(digest), size, is_whole=is_whole, kept=kept, cached=cached)


def wanted(items: Iterator[Item], *, without_cache: bool) -> Iterator[Item]:
    """Those whose bytes belong into a backup."""
    return (item for item in items if not (without_cache and item.can_be_fetched))


def write_durably(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON for people and programs, complete or not at all; its folder is the caller's to sync."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("wb") as file:
        file.write(json.dumps(value, indent=1).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def sync(folder: Path) -> None:
    """The names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _names(stem: str) -> Iterator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1


def _in_time(name: str) -> tuple[str, int]:
    stem, _, number = name.partition("-")
    return stem, int(number or "1")


def _manifest(found: Mapping[str, Any]) -> Manifest:
    tables = {name: Records(**records) for name, records in found["tables"].items()}
    return Manifest(**{**found, "tables": tables, "list": Records(**found["list"])})
