"""The rows of spaces, of what is in them, and of what becomes of it.

    hive_space      a tree of its own: somebody's home, or a project's
    hive_node       a folder, a file, or (of a share) the place where it appears; its parent and its name, never a path
    hive_version    what a file had in it before
    hive_trash      what was deleted: one row for the topmost node, whatever lies below it
    hive_change     what happened in a space, in order; serials are taken under the space's row, so none comes late
    hive_lock       WebDAV's locks
    hive_property   dead properties
    hive_number     the next number of a node

A node's row is found by (parent, key of the name), and lies there: a folder is one range of the table. A root has the
parent -space and a name that no request can say. Whether a node is alive is decided by its chain alone, which ends in
a space's root or in its trash. There is no foreign key on parents: PostgreSQL would lock each parent for each insert;
`creamery hive check` asks instead.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table

from creamery.database import TABLE_OPTIONS, BigId, DigestColumn, LongText, metadata

FOLDER, FILE, MOUNT = 1, 2, 3
"""Kinds of nodes."""

HOME, PROJECT = "home", "project"
"""Kinds of spaces."""

ROOT, TRASH = "/", "/trash"
"""Names of the two topmost nodes of a space."""

PURGED = 0
"""Where something in the trash came from that does not come back: it is being removed, and nobody sees it any more."""

HAS_PROPERTIES = 1
"""A node's flag: it has dead properties, or had some."""

space = Table(
    "hive_space",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("kind", String(8), nullable=False),
    Column("owner_id", BigInteger, nullable=False),
    Column("home_of", BigInteger, nullable=True, unique=True),
    Column("name", String(255), nullable=False),
    Column("root_id", BigInteger, nullable=False),
    Column("trash_id", BigInteger, nullable=False),
    Column("case_policy", String(10), nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("quota", BigInteger, nullable=True),
    Column("used_files", BigInteger, nullable=False),
    Column("used_versions", BigInteger, nullable=False),
    Column("used_trash", BigInteger, nullable=False),
    Column("lock_count", Integer, nullable=False),
    Column("log_floor", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Index("ix_hive_space_owner_id", "owner_id"),
    sqlite_autoincrement=True,
    **TABLE_OPTIONS,
)

node = Table(
    "hive_node",
    metadata,
    Column("parent_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name_key", String(255), primary_key=True),
    Column("id", BigInteger, nullable=False),
    Column("name", String(255), nullable=False),
    Column("kind", Integer, nullable=False),
    Column("digest", DigestColumn, nullable=True),
    Column("size", BigInteger, nullable=False),
    Column("versions_size", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("tree_serial", BigInteger, nullable=False),
    Column("mtime", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("author_id", BigInteger, nullable=True),
    Column("target_id", BigInteger, nullable=True),
    Column("flags", Integer, nullable=False),
    Index("uq_hive_node_id", "id", unique=True),
    Index("ix_hive_node_digest", "digest"),
    Index("ix_hive_node_target_id", "target_id"),
    sqlite_with_rowid=False,
    **TABLE_OPTIONS,
)

version = Table(
    "hive_version",
    metadata,
    Column("node_id", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", DigestColumn, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("author_id", BigInteger, nullable=True),
    Column("label", String(255), nullable=True),
    Column("pinned", Boolean, nullable=False),
    Index("ix_hive_version_digest", "digest"),
    sqlite_with_rowid=False,
    **TABLE_OPTIONS,
)

trash = Table(
    "hive_trash",
    metadata,
    Column("node_id", BigInteger, primary_key=True, autoincrement=False),
    Column("space_id", BigInteger, nullable=False),
    Column("from_parent", BigInteger, nullable=False),
    Column("name", String(255), nullable=False),
    Column("path", LongText, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by_id", BigInteger, nullable=True),
    Index("ix_hive_trash_space_id_at", "space_id", "at"),
    **TABLE_OPTIONS,
)

change = Table(
    "hive_change",
    metadata,
    Column("space_id", BigInteger, primary_key=True, autoincrement=False),
    Column("serial", BigInteger, primary_key=True, autoincrement=False),
    Column("what", String(8), nullable=False),
    Column("node_id", BigInteger, nullable=False),
    Column("parent_id", BigInteger, nullable=False),
    Column("name", String(255), nullable=False),
    Column("kind", Integer, nullable=False),
    Column("actor_id", BigInteger, nullable=True),
    Column("at", BigInteger, nullable=False),
    Index("ix_hive_change_at", "at"),
    sqlite_with_rowid=False,
    **TABLE_OPTIONS,
)

lock = Table(
    "hive_lock",
    metadata,
    Column("token", String(64), primary_key=True),
    Column("node_id", BigInteger, nullable=False),
    Column("space_id", BigInteger, nullable=False),
    Column("is_deep", Boolean, nullable=False),
    Column("is_exclusive", Boolean, nullable=False),
    Column("owner", LongText, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("ix_hive_lock_node_id", "node_id"),
    Index("ix_hive_lock_space_id", "space_id"),
    **TABLE_OPTIONS,
)

prop = Table(
    "hive_property",
    metadata,
    Column("node_id", BigInteger, primary_key=True, autoincrement=False),
    Column("key", DigestColumn, primary_key=True),
    Column("name", LongText, nullable=False),
    Column("value", LongText, nullable=False),
    sqlite_with_rowid=False,
    **TABLE_OPTIONS,
)
"""`name` is `{namespace}local`, and `key` its SHA-256, for names have no length that every index takes."""

number = Table(
    "hive_number",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False, server_default="1"),
    **TABLE_OPTIONS,
)
