"""A statement that is run very often: built and compiled once, then given to the driver as text.

SQLAlchemy's way from a construct to the driver costs some 60 us each time, and 25 where it is given text; on SQLite the
driver itself is asked, for 5. Statements are counted all the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Executable

from creamery.database.many import Bound, bound, compiled

COUNT = "count_statement"
"""In a connection's `info`: what counts a statement that goes past SQLAlchemy."""


class Rows(Protocol):
    """What a statement found, or did."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def first(self) -> Any:
        """The first row; None where there is none."""
        ...

    def scalar_one(self) -> Any:
        """The only value."""
        ...

    def fetchall(self) -> Sequence[Any]:
        """All rows."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class _Sqlite:
    """Rows of SQLite's own driver, which are tuples."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def first(self) -> Any:
        return self._cursor.fetchone()

    def scalar_one(self) -> Any:
        return self._cursor.fetchone()[0]

    def fetchall(self) -> Sequence[Any]:
        return self._cursor.fetchall()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)


class Prepared:
    """One statement, for every dialect that asks.

    Args:
        statement: its parameters are `bindparam`s; of an INSERT, the columns' keys. Or what makes it, where it is not
            the same for all databases.
        keys: an INSERT's columns.

    A result's values are the driver's: a digest is bytes.
    """

    def __init__(
        self, statement: Executable | Callable[[Connection], Executable], keys: Sequence[str] | None = None
    ) -> None:
        self._statement = statement
        self._keys = None if keys is None else tuple(keys)
        self._bound: dict[str, Bound] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> Rows:
        """Run it once."""
        known = self._known(connection)
        given = bound(known, values)
        if connection.dialect.name != "sqlite":
            return connection.exec_driver_sql(known.text, given)
        raw: Any = connection.connection.driver_connection
        try:
            cursor = raw.execute(known.text, given)
        except sqlite3.Error:
            return connection.exec_driver_sql(known.text, given)  # fails the same way, as SQLAlchemy's errors are
        _count(connection)
        return _Sqlite(cursor)

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each row; nothing is told of what was changed."""
        if len(rows) == 1:
            self.run(connection, rows[0])
        elif rows:
            known = self._known(connection)
            connection.exec_driver_sql(known.text, [bound(known, row) for row in rows])

    def _known(self, connection: Connection) -> Bound:
        known = self._bound.get(connection.dialect.name)
        if known is None:
            made = self._statement(connection) if callable(self._statement) else self._statement
            known = self._bound[connection.dialect.name] = compiled(connection.dialect, made, self._keys)
        return known


def _count(connection: Connection) -> None:
    count = connection.info.get(COUNT)
    if count is not None:
        count()
