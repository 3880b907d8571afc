"""An insert that several processes may try at once."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import Connection, Insert, Table, insert
from sqlalchemy.dialects import postgresql, sqlite


def insert_unless_there(connection: Connection, table: Table) -> Insert:
    """An INSERT that does nothing where the key is taken: a refused one would spoil the whole transaction.

    Give the row's values to `execute`: the statement is made once.
    """
    return _statement(connection.dialect.name, table)


@lru_cache  # to build a statement anew costs more than to run it
def _statement(dialect: str, table: Table) -> Insert:
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return insert(table).prefix_with("IGNORE")
