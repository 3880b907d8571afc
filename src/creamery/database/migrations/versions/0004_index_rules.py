# ruff: noqa: INP001 - Alembic loads it by its path
"""The rules of the index that held at the last start.

Revision 0004, after 0003.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"

# The types as they were at this revision; the rooms' tables go on changing.
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_nopad_bin",
    "mysql_engine": "InnoDB",
}


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "index_rules",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rules", LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_index_rules"),
        if_not_exists=True,
        **OPTIONS,
    )
