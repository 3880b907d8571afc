# ruff: noqa: INP001 - Alembic loads it by its path
"""How much of carts single owners may have.

Revision 0005, after 0004.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

OPTIONS: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_nopad_bin",
    "mysql_engine": "InnoDB",
}


def upgrade() -> None:
    """Create it."""
    op.create_table(
        "cart_quota",
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("carts", sa.Integer(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("owner", name="pk_cart_quota"),
        if_not_exists=True,
        **OPTIONS,
    )
