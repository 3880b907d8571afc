"""The database: an engine to read with and one to write with.

SQLite (notes: WAL, `synchronous=FULL`, foreign keys): readers run side by side with the one writer, whose
transactions begin with `BEGIN IMMEDIATE`; Python's defaults lost 560 of 640 concurrent updates. On PostgreSQL and
MariaDB writers run at READ COMMITTED and readers, read-only, at REPEATABLE READ: there too a question sees one
snapshot.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from creamery.database.ballast import Ballast
from creamery.database.connect import build_engine
from creamery.database.errors import DatabaseUnavailable, damage, translate
from creamery.database.prepared import COUNT
from creamery.limits import Limits
from creamery.telemetry import Telemetry

T = TypeVar("T")

COLLATION = "utf8mb4_nopad_bin"
CHECKPOINT_WAIT_MILLISECONDS = 100
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"}
)


class Database:
    """Where rows are. Reading may happen in any thread; writing goes through the `Committer`.

    Attributes:
        url: the address, its password masked and without its options.
        dialect: `sqlite`, `postgresql` or `mysql` (MariaDB included).
        write: the engine of the committer and of nothing else.
        ballast: what is given up on a full disk; None elsewhere than on SQLite.
        stopped_uncleanly: SQLite's log lay there when this was opened: nobody had closed the database.
    """

    def __init__(self, url: str, limits: Limits, telemetry: Telemetry | None = None) -> None:
        self._limits = limits
        try:
            parsed = make_url(url)
            self.dialect = parsed.get_backend_name().replace("mariadb", "mysql")
            # libpq also takes a password, or a file with one, behind the question mark.
            self.url = parsed.set(query={}).render_as_string(hide_password=True)
            self._read = build_engine(url, limits, "read")
            self.write = build_engine(url, limits, "write")
        except (ArgumentError, NoSuchModuleError, ImportError, LookupError) as error:
            raise DatabaseUnavailable(
                "database_url is none that the hub understands; write sqlite:///FILE, postgresql://USER@HOST/NAME or"
                f" mysql://USER@HOST/NAME ({error})"
            ) from error
        self.ballast = None if self.path is None else Ballast(self.path.parent)
        if self.ballast is not None and self.path is not None and self.path.exists():
            self.ballast.give_up()
        self.stopped_uncleanly = self.wal_bytes() > 0
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
        except NoConnectionFree as error:
            raise DatabaseUnavailable(f"all connections to the database {self.url} are taken: {error}") from error

    def check(self) -> None:
        """Is it there, whole, and set up so that names and times keep their meaning?

        Called once, before anything else. After an unclean stop SQLite looks through its file (`quick_check`).

        Raises:
            DatabaseUnavailable: it does not answer; it is damaged; it lies on a network's file system, whose locks
                SQLite cannot trust; it compares names by letters' looks (MariaDB's usual collations).
        """
        if self.path is not None:
            self._refuse_network_file_system(self.path)
        finding = self.read(self._finding)
        if finding is not None:
            raise DatabaseUnavailable(finding)
        if self.ballast is not None:
            self.ballast.lay()

    def find_damage(self) -> str | None:
        """Look through SQLite's file (`quick_check`), which may be in use: what is wrong with it, and what to do.

        None where nothing is found, or the database is another one, which looks after itself. Reads all of the file.

        Raises:
            DatabaseUnavailable: it does not answer, or is damaged so much that it cannot be looked through.
        """
        return self.read(self._damage) if self.is_sqlite else None

    def unavailable(self, error: DBAPIError) -> DatabaseUnavailable:
        """What a driver's error means to people who read."""
        if self.ballast is not None and self.ballast.disk_is_full():  # SQLite says `disk I/O error` then
            return DatabaseUnavailable(
                f"the database {self.url} has no room on its disk; free some space ({error.orig})"
            )
        meaning = translate(error, self.url)
        return meaning if isinstance(meaning, DatabaseUnavailable) else DatabaseUnavailable(str(meaning))

    def data_version(self, connection: Connection) -> int | None:
        """SQLite's counter of commits by other connections, seen by this one; None elsewhere. No statement counts.

        Raises:
            DatabaseUnavailable: the file cannot be read.
        """
        if not self.is_sqlite:
            return None
        raw: Any = connection.connection.driver_connection
        try:
            return int(raw.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise DatabaseUnavailable(f"the database {self.url} cannot be read: {error}") from error

    def row_at_once(self, connection: Connection, statement: str) -> tuple[int, ...]:
        """SQLite's first row, on a connection outside every transaction; for a point read on the event loop.

        Raises:
            DatabaseUnavailable: the file cannot be read.
        """
        raw: Any = connection.connection.driver_connection
        try:
            return tuple(raw.execute(statement).fetchone())
        except sqlite3.Error as error:
            raise DatabaseUnavailable(f"the database {self.url} cannot be read: {error}") from error

    def open_watch(self) -> Connection:
        """A connection outside every transaction, for `data_version` alone; the caller closes it."""
        return self._read.connect()

    @contextlib.contextmanager
    def patient(self) -> Iterator[Engine]:
        """A writing engine whose statements may take as long as they do: for migrations."""
        engine = build_engine(self.write.url.render_as_string(hide_password=False), self._limits, "migrate")
        try:
            yield engine
        finally:
            engine.dispose()

    def wal_bytes(self) -> int:
        """Size of SQLite's log (one stat); 0 elsewhere."""
        if self.path is None:
            return 0
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def checkpoint(self) -> None:
        """Carry SQLite's log over into its file and empty it, unless a reader stands in the way: then next time.

        SQLite does so itself every 1,000 pages; but while readers overlap without a gap its log only grows.
        """
        if self.path is None:
            return
        with contextlib.closing(sqlite3.connect(self.path, timeout=CHECKPOINT_WAIT_MILLISECONDS / 1000)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Give every connection back; SQLite's last one empties the log and takes it away."""
        self._read.dispose()
        self.write.dispose()

    def _finding(self, connection: Connection) -> str | None:
        if self.dialect == "mysql":
            collation = connection.execute(text("SELECT @@collation_database")).scalar_one()
            if collation != COLLATION:
                return (
                    f"the database {self.url} sorts and compares by {collation}, which takes different names for the"
                    f" same; run: ALTER DATABASE <name> CHARACTER SET utf8mb4 COLLATE {COLLATION}"
                )
        elif self.dialect == "postgresql":
            encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
            if encoding != "UTF8":
                return f"the database {self.url} holds texts as {encoding}; create it with ENCODING 'UTF8'"
        elif self.stopped_uncleanly:
            return self._damage(connection)
        else:
            connection.execute(text("SELECT 1"))
        return None

    def _damage(self, connection: Connection) -> str | None:
        verdict = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
        return None if verdict == "ok" else damage(self.url, verdict)

    def _refuse_network_file_system(self, path: Path) -> None:
        kind = _file_system(path.parent.absolute())
        if kind in NETWORK_FILE_SYSTEMS:
            raise DatabaseUnavailable(
                f"the database {path} lies on a network's file system ({kind}), whose locks SQLite cannot trust; move"
                " `data` to a disk of this machine, or set database_url to PostgreSQL or MariaDB"
            )

    def _count_statements(self, telemetry: Telemetry) -> None:
        counter = telemetry.counter("sql_statements", "Statements sent to the database.", ["engine"])
        for name, engine in (("read", self._read), ("write", self.write)):
            child = counter.labels(name)
            event.listen(engine, "before_cursor_execute", lambda *_, child=child: child.inc())
            event.listen(engine, "connect", lambda _, record, child=child: record.info.update({COUNT: child.inc}))


def _file_system(folder: Path) -> str | None:
    """What kind of file system a folder lies on, where the machine says so (Linux: proc(5), mountinfo)."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    found: tuple[int, str | None] = (-1, None)
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].encode("utf-8", "surrogateescape").decode("unicode_escape")
        if folder.is_relative_to(point) and len(point) >= found[0]:
            found = (len(point), after.split(" ")[0])
    return found[1]
