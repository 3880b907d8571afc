"""The database: an engine to read with and one to write with.

SQLite (notes: WAL, `synchronous=FULL`, foreign keys): readers run side by side with the one writer, whose
transactions begin with `BEGIN IMMEDIATE`; Python's defaults lost 560 of 640 concurrent updates. PostgreSQL and
MariaDB run at READ COMMITTED.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from creamery.limits import Limits
from creamery.telemetry import Telemetry

T = TypeVar("T")


class DatabaseUnavailable(Exception):
    """The database cannot be used; the text says which, why, and what to do."""


class Database:
    """Where rows are. Reading may happen in any thread; writing goes through the `Committer`.

    Attributes:
        url: the address, its password masked.
        dialect: `sqlite`, `postgresql` or `mysql` (MariaDB included).
        write: the engine of the committer and of nothing else.
    """

    def __init__(self, url: str, limits: Limits, telemetry: Telemetry | None = None) -> None:
        try:
            parsed = make_url(url)
            self.dialect = parsed.get_backend_name().replace("mariadb", "mysql")
            self.url = parsed.render_as_string(hide_password=True)
            self._read = _engine(url, self.dialect, limits, writes=False)
            self.write = _engine(url, self.dialect, limits, writes=True)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise DatabaseUnavailable(
                "database_url is none that the hub understands; write sqlite:///FILE, postgresql://USER@HOST/NAME or"
                f" mysql://USER@HOST/NAME ({error})"
            ) from error
        if telemetry is not None:
            self._count_statements(telemetry)

    @property
    def is_sqlite(self) -> bool:
        """Is it a file that one machine owns?"""
        return self.dialect == "sqlite"

    @property
    def path(self) -> Path | None:
        """SQLite's file; None elsewhere."""
        return Path(self.write.url.database or "") if self.is_sqlite else None

    def read(self, question: Callable[[Connection], T]) -> T:
        """Ask something in one snapshot; `question` only reads.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        try:
            with self._read.connect() as connection:
                return question(connection)
        except DBAPIError as error:
            raise self.unavailable(error) from error

    def check(self) -> None:
        """Is it there, and set up so that names and times keep their meaning?

        Raises:
            DatabaseUnavailable: it does not answer, or compares names by letters' looks (MariaDB's usual collations).
        """
        collation = self.read(self._collation)
        if collation not in {None, "utf8mb4_nopad_bin"}:
            raise DatabaseUnavailable(
                f"the database {self.url} sorts and compares by {collation}, which takes different names for the same;"
                " run: ALTER DATABASE <name> CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
            )

    def unavailable(self, error: DBAPIError) -> DatabaseUnavailable:
        """What a driver's error means to people."""
        return DatabaseUnavailable(f"the database {self.url} does not do what is asked: {error.orig or error}")

    def data_version(self, connection: Connection) -> int | None:
        """SQLite's counter of commits by other connections, seen by this one; None elsewhere."""
        if not self.is_sqlite:
            return None
        raw: Any = connection.connection.driver_connection
        return int(raw.execute("PRAGMA data_version").fetchone()[0])

    def open_watch(self) -> Connection:
        """A connection outside every transaction, for `data_version` alone; the caller closes it."""
        return self._read.connect()

    def close(self) -> None:
        """Give every connection back."""
        self._read.dispose()
        self.write.dispose()

    def _collation(self, connection: Connection) -> str | None:
        if self.dialect != "mysql":
            connection.execute(text("SELECT 1"))
            return None
        return str(connection.execute(text("SELECT @@collation_database")).scalar_one())

    def _count_statements(self, telemetry: Telemetry) -> None:
        counter = telemetry.counter("sql_statements", "Statements sent to the database.", ["engine"])
        for name, engine in (("read", self._read), ("write", self.write)):
            child = counter.labels(name)
            event.listen(engine, "before_cursor_execute", lambda *_, child=child: child.inc())


def _engine(url: str, dialect: str, limits: Limits, *, writes: bool) -> Engine:
    if dialect != "sqlite":
        return create_engine(
            url,
            pool_size=1 if writes else limits.database_threads,
            max_overflow=limits.job_threads,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
            connect_args={"connect_timeout": 10},
        )
    engine = create_engine(
        url,
        pool_size=1 if writes else limits.database_threads,
        max_overflow=limits.job_threads,
        connect_args={"timeout": limits.lock_seconds, "check_same_thread": False, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _: Any) -> None:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "trusted_schema=OFF",
            f"query_only={'OFF' if writes else 'ON'}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
