# ruff: noqa: INP001 - Alembic loads it by its path
"""Wheels that somebody has built, and what is known of a folder full of them.

Revision 0006, after 0005.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"

DIGEST = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPTIONS: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_nopad_bin",
    "mysql_engine": "InnoDB",
}


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "built_wheel",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("project", sa.String(255), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("digest", DIGEST, nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("pushed", sa.BigInteger(), nullable=False),
        sa.Column("pushed_by", sa.String(255), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_built_wheel"),
        sa.UniqueConstraint("filename", name="uq_built_wheel_filename"),
        if_not_exists=True,
        sqlite_autoincrement=True,
        **OPTIONS,
    )
    for column in ("digest", "project"):
        op.create_index(f"ix_built_wheel_{column}", "built_wheel", [column], if_not_exists=True)
    op.create_table(
        "folder_file",
        sa.Column("folder", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.PrimaryKeyConstraint("folder", "name", name="pk_folder_file"),
        if_not_exists=True,
        **OPTIONS,
    )
