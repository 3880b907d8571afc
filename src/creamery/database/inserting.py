"""An insert that several processes may try at once."""

from __future__ import annotations

from sqlalchemy import Connection, Insert, Table, insert
from sqlalchemy.dialects import postgresql, sqlite


def insert_unless_there(connection: Connection, table: Table) -> Insert:
    """An INSERT that does nothing where the key is taken: a refused one would spoil the whole transaction."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return insert(table).prefix_with("IGNORE")
