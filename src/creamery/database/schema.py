"""Which form the tables have, which form this Creamery needs, and the way from one to the other. Only forward.

The serving process compares two numbers and never imports Alembic (12 MiB); `creamery db upgrade` does the rest, in a
process of its own and under a lock, so that of several that start at once one upgrades and the others wait.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from creamery.clock import Clock
from creamery.database.engine import Database
from creamery.database.errors import DatabaseUnavailable
from creamery.limits import Limits

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "creamery_version"
"""Not Alembic's usual name: whoever shares a database with another program keeps the two apart."""

LOCK_POLL_SECONDS = 0.1
_REVISION_FILE = re.compile(r"(\d{4})_\w+\.py", re.ASCII)
_ADVISORY_LOCK = int.from_bytes(b"creamery")


class SchemaIsNewer(DatabaseUnavailable):
    """The database was upgraded by a newer Creamery than this one."""


class UpgradeBusy(DatabaseUnavailable):
    """Another process upgrades the database and has not ended within `limits.schema_lock_seconds`."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Where a database stands: `revision` is None where it has no tables of ours yet."""

    revision: str | None
    head: str

    @property
    def is_current(self) -> bool:
        """Is it what this Creamery needs?"""
        return self.revision == self.head

    @property
    def is_newer(self) -> bool:
        """Was it upgraded by a newer Creamery?"""
        return self.revision is not None and self.revision > self.head


def head() -> str:
    """The newest revision that this Creamery knows, by its file's name."""
    names = (_REVISION_FILE.fullmatch(path.name) for path in (MIGRATIONS / "versions").iterdir())
    return max(match[1] for match in names if match)


def find_schema(database: Database) -> Schema:
    """Where the database stands.

    Raises:
        DatabaseUnavailable: it does not answer.
    """
    if database.path is not None and not database.path.exists():
        return Schema(None, head())  # asking must not make the file
    return Schema(database.read(_revision), head())


def check_upgradable(database: Database) -> Schema:
    """Where the database stands, where `upgrade` would do: it answers, is set up rightly, and is ours or empty.

    Raises:
        DatabaseUnavailable: it would not; the text says why.
    """
    if database.path is None or database.path.exists():
        database.check()
        _refuse_strangers(database)
    return find_schema(database)


def is_current(database: Database) -> bool:
    """Can this Creamery work with the database as it is? Where it is False, `upgrade` helps.

    Checks the database first: whoever opens SQLite's file first after an unclean stop must look through it, because
    the log that tells of the stop is gone once that one closes.

    Raises:
        SchemaIsNewer: no, and nothing helps but a newer Creamery.
        DatabaseUnavailable: it does not answer, or did not pass the check.
    """
    if database.path is None or database.path.exists():
        database.check()
    found = find_schema(database)
    _refuse_newer(database, found)
    return found.is_current


def upgrade(database: Database, limits: Limits, clock: Clock, to: str = "head") -> Schema:
    """Bring the database to the newest form, under a lock, and return where it stood before.

    `to` names an older form, for a restore of rows that had it: into a database that has none yet.

    Killed at any point it can be called again: SQLite and PostgreSQL undo what was begun; MariaDB, which commits every
    statement that changes tables, goes on where it stopped.

    Raises:
        SchemaIsNewer: it is newer than this Creamery; nothing was changed.
        UpgradeBusy: another process holds the lock for too long.
        DatabaseUnavailable: it does not answer, is full, or holds the tables of something else.
    """
    if database.path is not None:
        database.path.parent.mkdir(parents=True, exist_ok=True)
    database.check()
    with database.patient() as engine:
        try:
            with _lock(database, engine, limits, clock):
                before = find_schema(database)
                _refuse_newer(database, before)
                if not before.is_current:
                    _refuse_strangers(database)
                    _migrate(engine, to)
        except DBAPIError as error:
            raise database.unavailable(error) from error
    return before


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant


def _refuse_newer(database: Database, found: Schema) -> None:
    if found.is_newer:
        raise SchemaIsNewer(
            f"the database {database.url} has revision {found.revision}, and this Creamery knows revisions up to"
            f" {found.head}: a newer Creamery has upgraded it. Install that one, or restore the backup from before"
        )


def _refuse_strangers(database: Database) -> None:
    """Without our version table no table can be ours, and MariaDB would take a stranger's for one of them."""
    names = database.read(lambda connection: inspect(connection).get_table_names())
    if names and VERSION_TABLE not in names:
        raise DatabaseUnavailable(
            f"the database {database.url} holds the tables of something else ({', '.join(sorted(names)[:5])}); give the"
            " hub a database of its own"
        )


def _migrate(engine: Engine, to: str) -> None:
    from alembic import command  # noqa: PLC0415 - only the process that upgrades pays for it
    from alembic.config import Config  # noqa: PLC0415

    with engine.connect() as connection:
        config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        command.upgrade(config, to)


@contextlib.contextmanager
def _lock(database: Database, engine: Engine, limits: Limits, clock: Clock) -> Iterator[None]:
    """Hold what only one process can hold; it is let go when the process ends, however it ends."""
    with contextlib.ExitStack() as held:
        if database.path is not None:
            acquire = _file_lock(database.path.parent / "schema.lock", held)
        else:
            connection = held.enter_context(engine.connect().execution_options(isolation_level="AUTOCOMMIT"))
            acquire = _server_lock(database, connection, held)
        deadline = clock.monotonic() + limits.schema_lock_seconds
        while not acquire():
            if clock.monotonic() > deadline:
                raise UpgradeBusy(
                    f"another process has been upgrading the database {database.url} for {limits.schema_lock_seconds:g}"
                    " s; wait until it has ended, and try again"
                )
            clock.sleep(LOCK_POLL_SECONDS)
        yield


def _file_lock(path: Path, held: contextlib.ExitStack) -> Callable[[], bool]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    held.callback(os.close, descriptor)

    def acquire() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    return acquire


def _server_lock(database: Database, connection: Connection, held: contextlib.ExitStack) -> Callable[[], bool]:
    if database.dialect == "postgresql":
        take, give = text("SELECT pg_try_advisory_lock(:name)"), text("SELECT pg_advisory_unlock(:name)")
        name: int | str = _ADVISORY_LOCK
    else:  # MariaDB's locks are of the whole server, and their names short
        take, give = text("SELECT GET_LOCK(:name, 0)"), text("SELECT RELEASE_LOCK(:name)")
        name = f"creamery-{hashlib.sha256((database.write.url.database or '').encode()).hexdigest()[:32]}"

    def acquire() -> bool:
        if not connection.execute(take, {"name": name}).scalar():
            return False
        held.callback(connection.execute, give, {"name": name})
        return True

    return acquire
