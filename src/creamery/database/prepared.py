"""A statement that is run very often: built and compiled once, then given to the driver as text.

SQLAlchemy's way from a construct to the driver costs some 60 us each time; this costs 20, and is counted all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, Executable

from creamery.database.many import Bound, bound, compiled


class Prepared:
    """One statement, for every dialect that asks.

    Args:
        statement: its parameters are `bindparam`s; of an INSERT, the columns' keys.
        keys: an INSERT's columns.

    A result's values are the driver's: a digest is bytes.
    """

    def __init__(self, statement: Executable, keys: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._keys = None if keys is None else tuple(keys)
        self._bound: dict[str, Bound] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Run it once."""
        known = self._bound.get(connection.dialect.name)
        if known is None:
            known = self._bound[connection.dialect.name] = compiled(connection.dialect, self._statement, self._keys)
        return connection.exec_driver_sql(known.text, bound(known, values))

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each row; nothing is told of what was changed."""
        if not rows:
            return
        known = self._bound.get(connection.dialect.name)
        if known is None:
            known = self._bound[connection.dialect.name] = compiled(connection.dialect, self._statement, self._keys)
        connection.exec_driver_sql(known.text, [bound(known, row) for row in rows])
