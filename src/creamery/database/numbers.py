"""Numbers without gaps: counted in one row that stays locked until the transaction ends."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Connection, Select, Update, select, update


def take_number(connection: Connection, column: Column[int]) -> int:
    """Count `column` of its table's only row up by one, in the caller's transaction, and return the new number.

    Whoever takes the next number waits until this transaction is committed or rolled back; a rollback gives the
    number back. One statement, and on MariaDB two.
    """
    count, told, look = _statements(column)
    if connection.dialect.update_returning:
        return int(connection.execute(told).scalar_one())
    connection.execute(count)
    return int(connection.execute(look).scalar_one())


@lru_cache  # to build a statement anew costs more than to run it
def _statements(column: Column[int]) -> tuple[Update, Any, Select[Any]]:
    table: Any = column.table
    count = update(table).where(table.c.id == 1).values({column: column + 1})
    return count, count.returning(column), select(column).where(table.c.id == 1)
