# ruff: noqa: INP001 - Alembic loads it by its path
"""Built wheels by their keys and rings, with leases, failures and conflicts of builds; which carts are being sent.

Revision 0007, after 0006. A wheel that was pushed by its name alone has the key of that name.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0007"
down_revision = "0006"

# The types as they were at this revision; the rooms' tables go on changing.
DIGEST = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPTIONS: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_nopad_bin",
    "mysql_engine": "InnoDB",
}
INDEXED = ("digest", "filename", "key", "listed_digest", "log_digest", "metadata_digest", "project")


def upgrade() -> None:
    """Create them, and bring the wheels that are here over."""
    for table, column in (("generation", "wheels"), ("cart", "leased_until")):
        if column not in {each["name"] for each in sa.inspect(op.get_bind()).get_columns(table)}:
            op.add_column(table, sa.Column(column, sa.BigInteger(), nullable=False, server_default="0"))
    _create_entries()
    for name, columns in (
        ("wheel_lease", (sa.Column("token", sa.String(64), nullable=False), _moment("until"))),
        (
            "wheel_failure",
            (
                sa.Column("project", sa.String(255), nullable=False),
                sa.Column("version", sa.String(255), nullable=False),
                sa.Column("reason", LONG_TEXT, nullable=False),
                sa.Column("log_digest", DIGEST, nullable=True),
                sa.Column("log_size", sa.BigInteger(), nullable=False),
                sa.Column("times", sa.Integer(), nullable=False),
                _moment("last"),
                _moment("until"),
            ),
        ),
    ):
        op.create_table(
            name,
            sa.Column("ring", sa.String(64), nullable=False),
            sa.Column("key", DIGEST, nullable=False),
            *columns,
            sa.Column("holder", sa.String(255), nullable=False),
            sa.PrimaryKeyConstraint("ring", "key", name=f"pk_{name}"),
            if_not_exists=True,
            **OPTIONS,
        )
    op.create_index("ix_wheel_failure_log_digest", "wheel_failure", ["log_digest"], if_not_exists=True)
    op.create_index("ix_wheel_failure_project", "wheel_failure", ["project"], if_not_exists=True)
    op.create_table(
        "wheel_conflict",
        sa.Column("ring", sa.String(64), nullable=False),
        sa.Column("key", DIGEST, nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        _moment("came"),
        sa.Column("pushed_by", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("ring", "key", "digest", name="pk_wheel_conflict"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_table(
        "wheel_vouch",
        sa.Column("key", DIGEST, nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        _moment("came"),
        sa.PrimaryKeyConstraint("key", "digest", "user_id", name="pk_wheel_vouch"),
        if_not_exists=True,
        **OPTIONS,
    )
    _bring_over()


def _create_entries() -> None:
    op.create_table(
        "wheel_entry",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("ring", sa.String(64), nullable=False),
        sa.Column("key", DIGEST, nullable=False),
        sa.Column("project", sa.String(255), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("digest", DIGEST, nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        _moment("pushed"),
        sa.Column("pushed_by", sa.String(255), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", LONG_TEXT, nullable=False),
        sa.Column("listed_name", sa.String(255), nullable=False),
        sa.Column("listed_digest", DIGEST, nullable=True),
        sa.Column("listed_size", sa.BigInteger(), nullable=False),
        sa.Column("metadata_digest", DIGEST, nullable=True),
        sa.Column("metadata_size", sa.BigInteger(), nullable=False),
        sa.Column("requires_python", LONG_TEXT, nullable=True),
        sa.Column("source", DIGEST, nullable=True),
        sa.Column("neutral", sa.Boolean(), nullable=False),
        sa.Column("libc", sa.String(32), nullable=True),
        sa.Column("record", LONG_TEXT, nullable=True),
        sa.Column("log_digest", DIGEST, nullable=True),
        sa.Column("log_size", sa.BigInteger(), nullable=False),
        sa.Column("millis", sa.BigInteger(), nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        _moment("used"),
        _moment("kept_until"),
        sa.PrimaryKeyConstraint("id", name="pk_wheel_entry"),
        sa.UniqueConstraint("ring", "key", name="uq_wheel_entry_ring_key"),
        if_not_exists=True,
        sqlite_autoincrement=True,
        **OPTIONS,
    )
    for column in INDEXED:
        op.create_index(f"ix_wheel_entry_{column}", "wheel_entry", [column], if_not_exists=True)


def _moment(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _bring_over() -> None:
    connection = op.get_bind()
    if not sa.inspect(connection).has_table("built_wheel"):
        return  # an upgrade was killed that could not take its steps back
    old = sa.Table("built_wheel", sa.MetaData(), autoload_with=connection)
    new = sa.Table("wheel_entry", sa.MetaData(), autoload_with=connection)
    rows = [
        {
            **dict(row),
            "ring": "main",
            "key": _key_of_name(row["filename"]),
            "user_id": None,
            "state": "checking",
            "reason": "",
            "listed_name": row["filename"],
            "listed_size": row["size"],
            "metadata_size": 0,
            "neutral": True,
            "log_size": 0,
            "millis": 0,
            "hits": 0,
            "used": row["pushed"],
            "kept_until": 0,
        }
        for row in connection.execute(sa.select(old).where(old.c.id.not_in(sa.select(new.c.id)))).mappings()
    ]
    if rows:
        connection.execute(sa.insert(new), rows)
    op.drop_table("built_wheel")


def _key_of_name(filename: str) -> bytes:
    said = json.dumps({"filename": filename, "schema": 1}, separators=(",", ":"))
    return hashlib.sha256(said.encode("ascii")).digest()
