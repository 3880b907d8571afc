# ruff: noqa: INP001 - Alembic loads it by its path
"""Carts: what was asked for, its files, and what they come from.

Revision 0003, after 0002.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"

# The types as they were at this revision; the rooms' tables go on changing.
DIGEST = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_nopad_bin",
    "mysql_engine": "InnoDB",
}
NUMBERED = {**OPTIONS, "sqlite_autoincrement": True}


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "cart",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("uid", sa.String(255), nullable=False),
        sa.Column("owner", sa.String(255), nullable=True),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("message", LONG_TEXT, nullable=False),
        sa.Column("rooted", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("planned", sa.Boolean(), nullable=False),
        sa.Column("done_files", sa.Integer(), nullable=False),
        sa.Column("done_bytes", sa.BigInteger(), nullable=False),
        sa.Column("failed_files", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.Column("webhook", LONG_TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_cart"),
        if_not_exists=True,
        **NUMBERED,
    )
    for columns in (["deleted", "used"], ["owner"], ["uid"]):
        op.create_index(f"ix_cart_{'_'.join(columns)}", "cart", columns, if_not_exists=True)
    _create_files()
    _create_sources()


def _create_files() -> None:
    op.create_table(
        "cart_file",
        sa.Column("cart_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("path", LONG_TEXT, nullable=False),
        sa.Column("archive", sa.String(64), nullable=False),
        sa.Column("item", LONG_TEXT, nullable=False),
        sa.Column("algorithm", sa.String(16), nullable=True),
        sa.Column("expected", sa.LargeBinary(64), nullable=True),
        sa.Column("source_id", sa.BigInteger(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("mtime", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(7), nullable=False),
        sa.Column("digest", DIGEST, nullable=True),
        sa.Column("message", LONG_TEXT, nullable=True),
        sa.PrimaryKeyConstraint("cart_id", "position", name="pk_cart_file"),
        if_not_exists=True,
        **OPTIONS,
    )
    for column in ("digest", "source_id"):
        op.create_index(f"ix_cart_file_{column}", "cart_file", [column], if_not_exists=True)


def _create_sources() -> None:
    op.create_table(
        "cart_source",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("key", DIGEST, nullable=False),
        sa.Column("archive", sa.String(64), nullable=False),
        sa.Column("item", LONG_TEXT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("near", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(7), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("digest", DIGEST, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_cart_source"),
        sa.UniqueConstraint("key", name="uq_cart_source_key"),
        if_not_exists=True,
        **NUMBERED,
    )
    for columns in (["archive", "state", "due"], ["digest"]):
        op.create_index(f"ix_cart_source_{'_'.join(columns)}", "cart_source", columns, if_not_exists=True)
