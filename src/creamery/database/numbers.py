"""Numbers without gaps: counted in one row that stays locked until the transaction ends."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, select, update


def take_number(connection: Connection, column: Column[int]) -> int:
    """Count `column` of its table's only row up by one, in the caller's transaction, and return the new number.

    Whoever takes the next number waits until this transaction is committed or rolled back; a rollback gives the
    number back.
    """
    table: Any = column.table
    connection.execute(update(table).where(table.c.id == 1).values({column: column + 1}))
    return int(connection.execute(select(column).where(table.c.id == 1)).scalar_one())
