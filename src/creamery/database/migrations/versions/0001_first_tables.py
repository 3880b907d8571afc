# ruff: noqa: INP001 - Alembic loads it by its path
"""The first tables: generations, journal, jobs, blobs, accounts, index.

Alembic's revision 0001, after nothing.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

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
    _create_core()
    _create_jobs()
    _create_blobs()
    _create_accounts()
    _create_tokens()
    _create_index_projects()
    _create_index_files()
    _create_index_history()
    _create_index_prefetch()


def _create_core() -> None:
    op.create_table(
        "generation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rights", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("index", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("blobs", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_generation"),
        if_not_exists=True,
        **OPTIONS,
    )
    _insert_row_1("generation")

    op.create_table(
        "journal",
        sa.Column("serial", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("door", sa.String(32), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", LONG_TEXT, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("origin", sa.String(64), nullable=False),
        sa.Column("detail", LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_journal"),
        if_not_exists=True,
        **OPTIONS,
    )

    op.create_table(
        "journal_serial",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_journal_serial"),
        if_not_exists=True,
        **OPTIONS,
    )
    _insert_row_1("journal_serial")


def _insert_row_1(name: str) -> None:
    """The only row; it is there already where an upgrade was killed that could not take its tables back."""
    table = sa.table(name, sa.column("id", sa.Integer()))
    if op.get_bind().execute(sa.select(table.c.id)).first() is None:
        op.execute(table.insert().values(id=1))


def _create_jobs() -> None:
    op.create_table(
        "job",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("payload", LONG_TEXT, nullable=False),
        sa.Column("key", sa.String(191), nullable=True),
        sa.Column("waiting_key", sa.String(191), nullable=True),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("run_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.String(64), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=True),
        sa.Column("finished", sa.BigInteger(), nullable=True),
        sa.Column("error", LONG_TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sa.UniqueConstraint("waiting_key", name="uq_job_waiting_key"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_job_state_run_at", "job", ["state", "run_at"], if_not_exists=True)

    op.create_table(
        "schedule",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_schedule"),
        if_not_exists=True,
        **OPTIONS,
    )


def _create_blobs() -> None:
    op.create_table(
        "blob",
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("crc32", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("segment_id", sa.BigInteger(), nullable=True),
        sa.Column("segment_offset", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("verified", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_blob"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_blob_segment", "blob", ["segment_id", "segment_offset"], if_not_exists=True)
    op.create_index("ix_blob_state_due", "blob", ["state", "due"], if_not_exists=True)
    op.create_index("ix_blob_state_used", "blob", ["state", "used"], if_not_exists=True)

    op.create_table(
        "blob_digest",
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("value", sa.LargeBinary(64), nullable=False),
        sa.PrimaryKeyConstraint("digest", "algorithm", name="pk_blob_digest"),
        if_not_exists=True,
        **OPTIONS,
    )

    op.create_table(
        "store",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("instance", sa.String(36), nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.String(36), nullable=False),
        sa.Column("swept", sa.BigInteger(), nullable=True),
        sa.Column("scrubbing", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_store"),
        if_not_exists=True,
        **OPTIONS,
    )

    op.create_table(
        "blob_pause",
        sa.Column("holder", sa.String(36), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("holder", name="pk_blob_pause"),
        if_not_exists=True,
        **OPTIONS,
    )


def _create_accounts() -> None:
    numbered = {**OPTIONS, "sqlite_autoincrement": True}
    op.create_table(
        "account_user",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("name_key", sa.String(64), nullable=False),
        sa.Column("password", sa.String(255)),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account_user"),
        sa.UniqueConstraint("name_key", name="uq_account_user_name_key"),
        if_not_exists=True,
        **numbered,
    )

    op.create_table(
        "account_group",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("name_key", sa.String(64), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account_group"),
        sa.UniqueConstraint("name_key", name="uq_account_group_name_key"),
        if_not_exists=True,
        **numbered,
    )

    op.create_table(
        "account_member",
        sa.Column("group_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("is_claimed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["account_group.id"], name="fk_account_member_group_id"),
        sa.ForeignKeyConstraint(["user_id"], ["account_user.id"], name="fk_account_member_user_id"),
        sa.PrimaryKeyConstraint("group_id", "user_id", name="pk_account_member"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_account_member_user_id", "account_member", ["user_id"], if_not_exists=True)


def _create_tokens() -> None:
    op.create_table(
        "account_token",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("ending", sa.String(8), nullable=False),
        sa.Column("scopes", LONG_TEXT, nullable=False),
        sa.Column("expires", sa.BigInteger()),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger()),
        sa.ForeignKeyConstraint(["user_id"], ["account_user.id"], name="fk_account_token_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_account_token"),
        sa.UniqueConstraint("digest", name="uq_account_token_digest"),
        if_not_exists=True,
        **OPTIONS,
        sqlite_autoincrement=True,
    )
    op.create_index("ix_account_token_user_id", "account_token", ["user_id"], if_not_exists=True)


def _create_index_projects() -> None:
    op.create_table(
        "index_project",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("confusable", sa.String(255), nullable=False),
        sa.Column("hosted", sa.Boolean(), nullable=False),
        sa.Column("merged", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("status_reason", LONG_TEXT, nullable=True),
        sa.Column("versions", LONG_TEXT, nullable=True),
        sa.Column("quarantined", LONG_TEXT, nullable=True),
        sa.Column("tracks", LONG_TEXT, nullable=True),
        sa.Column("alternate_locations", LONG_TEXT, nullable=True),
        sa.Column("upstream", sa.String(1024), nullable=True),
        sa.Column("etag", sa.String(1024), nullable=True),
        sa.Column("last_modified", sa.String(64), nullable=True),
        sa.Column("page_digest", DIGEST, nullable=True),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("here_revision", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_index_project"),
        sa.UniqueConstraint("name", name="uq_index_project_name"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_index_project_confusable", "index_project", ["confusable"], if_not_exists=True)


def _create_index_files() -> None:
    op.create_table(
        "index_file",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("origin", sa.String(1024), nullable=True),
        sa.Column("url", LONG_TEXT, nullable=False),
        sa.Column("sha256", DIGEST, nullable=True),
        sa.Column("hashes", LONG_TEXT, nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("upload_time", sa.String(40), nullable=True),
        sa.Column("requires_python", LONG_TEXT, nullable=True),
        sa.Column("yanked", LONG_TEXT, nullable=True),
        sa.Column("has_metadata", sa.Boolean(), nullable=False),
        sa.Column("metadata_sha256", DIGEST, nullable=True),
        sa.Column("provenance", LONG_TEXT, nullable=True),
        sa.Column("gpg_sig", sa.Boolean(), nullable=True),
        sa.Column("digest", DIGEST, nullable=True),
        sa.Column("metadata_digest", DIGEST, nullable=True),
        sa.Column("metadata_size", sa.BigInteger(), nullable=True),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("metadata_failed", sa.Boolean(), nullable=False),
        sa.Column("born", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.Column("uploaded_by", sa.String(255), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_index_file"),
        sa.UniqueConstraint("project_id", "filename", name="uq_index_file_project_id_filename"),
        sa.ForeignKeyConstraint(["project_id"], ["index_project.id"], name="fk_index_file_project_id"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_index_file_filename", "index_file", ["filename"], if_not_exists=True)
    op.create_index("ix_index_file_digest", "index_file", ["digest"], if_not_exists=True)
    op.create_index("ix_index_file_metadata_digest", "index_file", ["metadata_digest"], if_not_exists=True)


def _create_index_history() -> None:
    op.create_table(
        "index_file_past",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("file_id", sa.BigInteger(), nullable=False),
        sa.Column("born", sa.BigInteger(), nullable=False),
        sa.Column("died", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.String(1024), nullable=True),
        sa.Column("url", LONG_TEXT, nullable=False),
        sa.Column("sha256", DIGEST, nullable=True),
        sa.Column("hashes", LONG_TEXT, nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("upload_time", sa.String(40), nullable=True),
        sa.Column("requires_python", LONG_TEXT, nullable=True),
        sa.Column("yanked", LONG_TEXT, nullable=True),
        sa.Column("has_metadata", sa.Boolean(), nullable=False),
        sa.Column("metadata_sha256", DIGEST, nullable=True),
        sa.Column("provenance", LONG_TEXT, nullable=True),
        sa.Column("gpg_sig", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_index_file_past"),
        sa.ForeignKeyConstraint(["file_id"], ["index_file.id"], name="fk_index_file_past_file_id"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_index_file_past_file_id", "index_file_past", ["file_id"], if_not_exists=True)

    op.create_table(
        "index_role",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "holder", name="pk_index_role"),
        sa.ForeignKeyConstraint(["project_id"], ["index_project.id"], name="fk_index_role_project_id"),
        if_not_exists=True,
        **OPTIONS,
    )

    op.create_table(
        "index_reserved",
        sa.Column("pattern", sa.String(255), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pattern", name="pk_index_reserved"),
        if_not_exists=True,
        **OPTIONS,
    )


def _create_index_prefetch() -> None:
    op.create_table(
        "index_pin",
        sa.Column("file_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pinned_by", sa.String(255), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["index_file.id"], name="fk_index_pin_file_id"),
        sa.PrimaryKeyConstraint("file_id", name="pk_index_pin"),
        if_not_exists=True,
        **OPTIONS,
    )

    op.create_table(
        "index_prefetch",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("pins", sa.Boolean(), nullable=False),
        sa.Column("asked_by", sa.String(255), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_index_prefetch"),
        if_not_exists=True,
        **OPTIONS,
        sqlite_autoincrement=True,
    )

    op.create_table(
        "index_wanted",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("prefetch_id", sa.BigInteger(), nullable=False),
        sa.Column("project", sa.String(255), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("sha256", DIGEST, nullable=True),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("reason", LONG_TEXT, nullable=True),
        sa.ForeignKeyConstraint(["prefetch_id"], ["index_prefetch.id"], name="fk_index_wanted_prefetch_id"),
        sa.PrimaryKeyConstraint("id", name="pk_index_wanted"),
        sa.UniqueConstraint("prefetch_id", "project", "filename", name="uq_index_wanted_prefetch_id_project_filename"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index("ix_index_wanted_prefetch_id_state", "index_wanted", ["prefetch_id", "state"], if_not_exists=True)
