"""A hub from a backup: into a data directory and a database that are both empty.

The steps must stay in this order:

1. the directory is marked: half restored it opens for nobody;
2. the blobs are copied and hashed on their way, durable before a row names them;
3. the tables are made in the form that they had, and filled; what must not be as it was is changed in the same
   transaction: jobs that ran wait again, references to blobs that are not here and can be fetched again are forgotten,
   serials get a new epoch, and whoever keeps something in memory is told that all has changed;
4. the mark goes.

Cut short anywhere, the same restore can be run again; it goes on where it was.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from creamery.accounts import forget_sessions
from creamery.blobs import Copier, Holder, files_in, restoring
from creamery.clock import Clock
from creamery.database import Database
from creamery.database.generation import TOPICS, bump
from creamery.database.portable import load, what_is_in
from creamery.database.schema import head, upgrade
from creamery.faults import reach
from creamery.jobs import restart
from creamery.limits import Limits
from creamery.operations.backup import SECRET, Lack, Progress, write_secret
from creamery.operations.vault import TABLES, Manifest, Vault, read_items

OWN_FILES = frozenset({"lock"})
"""What an empty data directory may hold: a hub that could not start has left it."""


class NotEmpty(Exception):
    """There is something already where the backup should go."""


class CannotRestore(Exception):
    """This Creamery cannot take this backup in."""


class InUse(Exception):
    """A hub has the directory open."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done.

    Attributes:
        name: the backup's.
        manifest: what it says of itself.
        rows: how many the tables have.
        lacks: blobs that it should have had and had not, or not with the right bytes.
        left_out: blobs that were left out of it on purpose.
        forgotten: blobs that are known and not here: they are fetched again when somebody asks.
    """

    name: str
    manifest: Manifest
    rows: int
    lacks: tuple[Lack, ...]
    left_out: int
    forgotten: int

    @property
    def is_whole(self) -> bool:
        """Is nothing lost?"""
        return all(lack.item.can_be_fetched for lack in self.lacks)


class Restore:
    """Restores one backup."""

    def __init__(self, data: Path, database: Database, holders: Sequence[Holder], limits: Limits, clock: Clock) -> None:
        self._data = data
        self._database = database
        self._holders = holders
        self._limits = limits
        self._clock = clock

    def run(self, vault: Vault, name: str | None, progress: Progress) -> Restored:
        """Do it, from a vault that is held.

        Raises:
            NoSuchBackup: there is none of that name.
            RecordsDamaged: what it says of itself, its list or a table is not what was written.
            CannotRestore: a newer Creamery has written it.
            NotEmpty: the directory or the database is not empty; nothing was changed.
            InUse: a hub has the directory open.
            NoSpace, NotDurable, OSError: the disk is full, or fails.
            DatabaseUnavailable, DiskFull, WritesBusy: the database does not answer, or refuses a row.
        """
        name, manifest = vault.manifest(name)
        if manifest.schema > head():
            raise CannotRestore(
                f"backup {name} was written by Creamery {manifest.creamery}, whose tables (revision {manifest.schema})"
                f" this one does not know (up to {head()}); install that one or a newer one"
            )
        self._refuse_what_is_not_empty(name)
        self._data.mkdir(parents=True, exist_ok=True)
        with self._held():
            mark = restoring.find(self._data) or restoring.begin(self._data, name)  # 1
            lacks, left_out = self._copy(vault, name, manifest, progress)  # 2
            reach("restore.copied")
            forgotten = self._fill(vault.place(name), manifest, mark)  # 3
            reach("restore.loaded")
            self._database.read(lambda connection: restoring.end(self._data, connection))  # 4
        return Restored(name, manifest, manifest.rows, tuple(lacks), left_out, forgotten)

    def _refuse_what_is_not_empty(self, name: str) -> None:
        begun = restoring.find(self._data) if self._data.is_dir() else None
        if begun is not None and begun.backup != name:
            raise NotEmpty(f"{self._data} is half restored from backup {begun.backup}: name that one, or empty it")
        if begun is None and self._data.exists():
            names = {path.name for path in self._data.iterdir()} - OWN_FILES
            found = sorted(name for name in names if not restoring.is_unfinished_mark(name))
            if found:
                raise NotEmpty(
                    f"{self._data} is not empty ({', '.join(found[:5])}); restore into a new directory with --data, or"
                    " move that one away first"
                )
        if begun is not None and self._has_rows_of(begun):
            return
        found_rows = what_is_in(self._database)
        if found_rows is not None and begun is not None:
            raise NotEmpty(
                f"the restore into {self._data} was cut short while its rows got a newer form, and cannot go on: empty"
                f" that directory and the database {self._database.url}, and begin anew"
            )
        if found_rows is not None:
            raise NotEmpty(
                f"the database {self._database.url} is not empty: it holds {found_rows}; restore into a new one with"
                " --database-url"
            )

    def _has_rows_of(self, begun: restoring.Restoring) -> bool:
        """Is step 3 done, by a restore that was cut short after it?"""
        has_rows = what_is_in(self._database) is not None
        return has_rows and self._database.read(lambda connection: restoring.has_rows_of(connection, begun))

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """No hub starts meanwhile, and no second restore."""
        with (self._data / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InUse(f"another process has {self._data} open; stop it first") from None
            yield

    def _copy(self, vault: Vault, name: str, manifest: Manifest, progress: Progress) -> tuple[list[Lack], int]:
        """Step 2. Also what was left out of the backup is looked for: another one in the vault may have it."""
        copier = Copier(files_in(vault.folder), self._data, progress.advance)
        copier.open()
        progress.begin(manifest.bytes)
        lacks: list[Lack] = []
        left_out = 0
        items = read_items(vault.place(name), manifest.list)
        for item, kind in copier.copy_all(items, check=lambda: None):
            if manifest.without_cache and item.can_be_fetched:
                left_out += 1
            else:
                lacks.append(Lack(item, kind))
        secret = vault.place(name) / SECRET
        if secret.exists():
            write_secret(self._data / SECRET, secret.read_bytes())
        return lacks, left_out

    def _fill(self, folder: Path, manifest: Manifest, mark: restoring.Restoring) -> int:
        """Step 3. Rows of an older form are changed after they have got the newest one: then in two transactions."""
        if self._has_rows_of(mark):
            return 0
        forgotten: list[int] = []

        def change(connection: Connection) -> None:
            forgotten.append(self._make_true(connection, folder, manifest, mark))

        upgrade(self._database, self._limits, self._clock, to=manifest.schema)
        if manifest.schema == head():
            load(self._database, folder / TABLES, manifest.tables, change)
        else:
            load(self._database, folder / TABLES, manifest.tables, lambda _: None)
            upgrade(self._database, self._limits, self._clock)
            load(self._database, folder / TABLES, {}, change)
        return forgotten[-1]

    def _make_true(self, connection: Connection, folder: Path, manifest: Manifest, mark: restoring.Restoring) -> int:
        now = self._clock.now()
        restart(connection, now)
        forget_sessions(connection)
        for topic in TOPICS:
            bump(connection, topic)
        items = read_items(folder, manifest.list)
        return restoring.make_true(connection, self._data, self._holders, items, mark, now)
