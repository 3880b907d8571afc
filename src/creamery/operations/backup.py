"""A consistent copy of a hub, which may run meanwhile.

The steps must stay in this order:

1. deleting is paused;
2. one snapshot of the database is written: every table, and the list of the blobs that it names;
3. the blobs are copied, unless they lie in the vault already. Those of a snapshot are on the disk before it is taken,
   because no row is committed before its bytes, and the pause keeps them there;
4. the manifest is written, and the backup gets its name;
5. what no backup needs any more goes.

Cut short anywhere it leaves the former backups as they were, and copied blobs that the next one need not copy again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from creamery import __version__
from creamery.blobs import Copied, Copier, Holder, Item, Kind, Pause, blobs_of, inventory
from creamery.clock import SECOND, Clock
from creamery.database import Committer, Database
from creamery.database.portable import dump
from creamery.database.records import Records
from creamery.database.schema import head
from creamery.faults import reach
from creamery.limits import Limits
from creamery.operations.vault import FORMAT, TABLES, Manifest, Vault, read_items, wanted, write_items

SECRET = "secret"  # noqa: S105 - a file's name


@dataclass(frozen=True, slots=True)
class Lack:
    """A blob that could not be had, and why."""

    item: Item
    kind: Kind


@dataclass(slots=True)
class Report:
    """What was done.

    Attributes:
        name: the backup's.
        manifest: what it says of itself.
        lacks: blobs that it should have and has not.
        copied: what had to be copied for it.
        removed: former backups that went.
        deleted: blobs that went with them.
    """

    name: str
    manifest: Manifest
    lacks: list[Lack]
    copied: Copied
    removed: list[str] = field(default_factory=list)
    deleted: int = 0

    @property
    def is_whole(self) -> bool:
        """Can everything be had again from it, or from where it was fetched?"""
        return all(lack.item.can_be_fetched for lack in self.lacks)


class Progress(Protocol):
    """Who is told how far it is."""

    def begin(self, size: int) -> None:
        """So many bytes there are."""
        ...

    def advance(self, size: int) -> None:
        """So many more are done; called from several threads."""
        ...


class Backup:
    """Makes one backup."""

    def __init__(
        self,
        data: Path,
        database: Database,
        committer: Committer,
        holders: Sequence[Holder],
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._data = data
        self._database = database
        self._committer = committer
        self._holders = holders
        self._limits = limits
        self._clock = clock

    def make(
        self, vault: Vault, instance: str, progress: Progress, *, without_cache: bool = False, keep: int | None = None
    ) -> Report:
        """Make it, in a vault that is held; afterwards only the newest `keep` are there.

        Raises:
            PauseLost: the database was away for so long that a sweep may have deleted what the snapshot names.
            NoSpace, NotDurable, OSError: the vault's disk is full, or fails.
            DatabaseUnavailable, DiskFull, WritesBusy: the database does not answer.
            RecordsDamaged: the backup is made, and a former one cannot be read: so nothing of them went.
        """
        copier = Copier(blobs_of(self._data, self._database), vault.folder, progress.advance)
        copier.open()
        with Pause(self._committer, self._limits, self._clock) as pause:  # 1
            began = self._clock.now()
            name = vault.begin(began)
            folder = vault.unfinished(name)
            tables, listed = self._database.read(lambda connection: self._snapshot(connection, folder))  # 2
            self._copy_secret(folder)
            reach("backup.snapshot_taken")
            blobs, size = _measured(wanted(read_items(folder, listed), without_cache=without_cache))
            progress.begin(size)
            items = wanted(read_items(folder, listed), without_cache=without_cache)
            lacks = [Lack(item, kind) for item, kind in copier.copy_all(items, pause.check)]  # 3
        manifest = Manifest(
            format=FORMAT,
            creamery=__version__,
            schema=head(),
            database=self._database.dialect,
            instance=instance,
            began=datetime.fromtimestamp(began / SECOND, UTC).isoformat(timespec="seconds"),
            without_cache=without_cache,
            blobs=blobs - len(lacks),
            bytes=size - sum(lack.item.size for lack in lacks),
            rows=sum(records.count - 1 for records in tables.values()),  # the first one names the columns
            tables=tables,
            list=listed,
            lost=sum(not lack.item.can_be_fetched for lack in lacks),
        )
        reach("backup.before_manifest")
        vault.finish(name, manifest)  # 4
        reach("backup.named")
        report = Report(name, manifest, lacks, copier.copied)
        if keep is not None:  # 5
            report.removed = vault.forget_all_but(keep)
            report.deleted = copier.keep_only(vault.named())
        return report

    def _snapshot(self, connection: Connection, folder: Path) -> tuple[dict[str, Records], Records]:
        """Step 2: one snapshot for the tables and for the list."""
        return dump(connection, folder / TABLES), write_items(folder, inventory(connection, self._holders))

    def _copy_secret(self, folder: Path) -> None:
        """What the hub signs with; it may not have any."""
        try:
            secret = (self._data / SECRET).read_bytes()
        except FileNotFoundError:
            return
        write_secret(folder / SECRET, secret)


def write_secret(path: Path, secret: bytes) -> None:
    """Durably, for nobody else's eyes; the folder is the caller's to sync."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a Path cannot be opened with a mode of its own
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def _measured(items: Iterator[Item]) -> tuple[int, int]:
    """How many, and how large together."""
    blobs = size = 0
    for item in items:
        blobs += 1
        size += item.size
    return blobs, size
