# ruff: noqa: INP001 - Alembic loads it by its path
"""The hive: spaces, what is in them, and what becomes of it.

Revision 0008, after 0007.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"

# The types as they were at this revision; the rooms' tables go on changing.
DIGEST = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPTIONS: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_nopad_bin",
    "mysql_engine": "InnoDB",
}


def upgrade() -> None:
    """Create them; nodes are counted from 1."""
    _create_tree()
    _create_versions()
    _create_rest()
    _create_locks()


def _create_tree() -> None:
    op.create_table(
        "hive_space",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("home_of", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("root_id", sa.BigInteger(), nullable=False),
        sa.Column("trash_id", sa.BigInteger(), nullable=False),
        sa.Column("case_policy", sa.String(10), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=True),
        sa.Column("used_files", sa.BigInteger(), nullable=False),
        sa.Column("used_versions", sa.BigInteger(), nullable=False),
        sa.Column("used_trash", sa.BigInteger(), nullable=False),
        sa.Column("lock_count", sa.Integer(), nullable=False),
        sa.Column("log_floor", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_hive_space"),
        sa.UniqueConstraint("home_of", name="uq_hive_space_home_of"),
        if_not_exists=True,
        sqlite_autoincrement=True,
        **OPTIONS,
    )
    op.create_index("ix_hive_space_owner_id", "hive_space", ["owner_id"], if_not_exists=True)
    op.create_table(
        "hive_node",
        sa.Column("parent_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name_key", sa.String(255), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("digest", DIGEST, nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("versions_size", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("tree_serial", sa.BigInteger(), nullable=False),
        sa.Column("mtime", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("target_id", sa.BigInteger(), nullable=True),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("parent_id", "name_key", name="pk_hive_node"),
        if_not_exists=True,
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.create_index("ix_hive_node_digest", "hive_node", ["digest"], if_not_exists=True)
    op.create_index(
        "ix_hive_node_target_id",
        "hive_node",
        ["target_id"],
        if_not_exists=True,
    )
    op.create_index("uq_hive_node_id", "hive_node", ["id"], if_not_exists=True, unique=True)


def _create_versions() -> None:
    op.create_table(
        "hive_version",
        sa.Column("node_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("label", sa.String(255), nullable=True),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "revision", name="pk_hive_version"),
        if_not_exists=True,
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.create_index("ix_hive_version_digest", "hive_version", ["digest"], if_not_exists=True)


def _create_rest() -> None:
    op.create_table(
        "hive_trash",
        sa.Column("node_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("space_id", sa.BigInteger(), nullable=False),
        sa.Column("from_parent", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("path", LONG_TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("node_id", name="pk_hive_trash"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_hive_trash_space_id_at", "hive_trash", ["space_id", "at"], if_not_exists=True)
    op.create_table(
        "hive_change",
        sa.Column("space_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("serial", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("what", sa.String(8), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("space_id", "serial", name="pk_hive_change"),
        if_not_exists=True,
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.create_index("ix_hive_change_at", "hive_change", ["at"], if_not_exists=True)


def _create_locks() -> None:
    op.create_table(
        "hive_lock",
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("space_id", sa.BigInteger(), nullable=False),
        sa.Column("is_deep", sa.Boolean(), nullable=False),
        sa.Column("is_exclusive", sa.Boolean(), nullable=False),
        sa.Column("owner", LONG_TEXT, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token", name="pk_hive_lock"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_hive_lock_node_id", "hive_lock", ["node_id"], if_not_exists=True)
    op.create_index("ix_hive_lock_space_id", "hive_lock", ["space_id"], if_not_exists=True)
    op.create_table(
        "hive_property",
        sa.Column("node_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", DIGEST, nullable=False),
        sa.Column("name", LONG_TEXT, nullable=False),
        sa.Column("value", LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("node_id", "key", name="pk_hive_property"),
        if_not_exists=True,
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.create_table(
        "hive_number",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False, server_default="1"),
        sa.PrimaryKeyConstraint("id", name="pk_hive_number"),
        if_not_exists=True,
        **OPTIONS,
    )
    table = sa.table("hive_number", sa.column("id", sa.Integer()))
    if op.get_bind().execute(sa.select(table.c.id)).first() is None:  # an upgrade was killed, and left it
        op.execute(table.insert().values(id=1))
