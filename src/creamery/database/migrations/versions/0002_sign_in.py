# ruff: noqa: INP001 - Alembic loads it by its path
"""Sessions, and users' names at providers of OpenID Connect.

Alembic's revision 0002, after 0001.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"

# The types as they were at this revision; the rooms' tables go on changing.
DIGEST = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_nopad_bin",
    "mysql_engine": "InnoDB",
}


def upgrade() -> None:
    """Create them."""
    numbered = {**OPTIONS, "sqlite_autoincrement": True}
    op.create_table(
        "account_session",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("means", sa.String(16), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(255), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["account_user.id"], name="fk_account_session_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_account_session"),
        sa.UniqueConstraint("digest", name="uq_account_session_digest"),
        if_not_exists=True,
        **numbered,
    )
    for column in ("user_id", "used", "expires"):
        op.create_index(f"ix_account_session_{column}", "account_session", [column], if_not_exists=True)

    op.create_table(
        "account_identity",
        sa.Column("issuer_key", DIGEST, nullable=False),
        sa.Column("issuer", LONG_TEXT, nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["account_user.id"], name="fk_account_identity_user_id"),
        sa.PrimaryKeyConstraint("issuer_key", "subject", name="pk_account_identity"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_account_identity_user_id", "account_identity", ["user_id"], if_not_exists=True)
