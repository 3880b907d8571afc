"""Numbers without gaps: counted in one row that stays locked until the transaction ends."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, insert, select, update
from sqlalchemy.exc import IntegrityError


def take_number(connection: Connection, column: Column[int]) -> int:
    """Count `column` of its table's row 1 up by one, in the caller's transaction, and return the new number.

    Whoever takes the next number waits until this transaction is committed or rolled back; a rollback gives the
    number back. The first call of all writes the row.
    """
    table: Any = column.table
    count_up = update(table).where(table.c.id == 1).values({column: column + 1})
    if connection.execute(count_up).rowcount == 0:
        savepoint = connection.begin_nested()
        try:
            connection.execute(insert(table).values(id=1))
            savepoint.commit()
        except IntegrityError:  # another process wrote it in between
            savepoint.rollback()
        connection.execute(count_up)
    return int(connection.execute(select(column).where(table.c.id == 1)).scalar_one())
