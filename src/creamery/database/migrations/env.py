# ruff: noqa: INP001 - Alembic loads it by its path
"""Alembic's entry: run the revisions on the connection that `schema.upgrade` hands in.

How a revision is written: `versions/NNNN_what_changes.py`, its number one more than the last. Explicit operations, no
import of the rooms' tables, which go on changing. Every operation can run twice (`if_not_exists`), because MariaDB
commits each one by itself and a killed upgrade begins anew. No way back: `downgrade` is not defined.
"""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection, event

from creamery.faults import reach

connection: Connection = context.config.attributes["connection"]


@event.listens_for(connection, "before_cursor_execute")
def _pass_the_fault_point(*_: Any) -> None:
    reach("database.migration_step")


context.configure(
    connection=connection,
    version_table=context.config.attributes["version_table"],
    transaction_per_migration=True,
    # SQLite can undo changes of tables; Alembic leaves that out for the sake of Python's driver, whose own
    # transactions we have turned off.
    transactional_ddl=connection.dialect.name != "mysql",
)
with context.begin_transaction():
    context.run_migrations()
