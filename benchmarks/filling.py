"""A hub's database with as many projects and files as a large team has after years."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from pathlib import Path

PROJECTS = 5_000
FILES_EACH = 60


_PROJECT = """
INSERT INTO index_project (id, name, confusable, hosted, merged, status, upstream, listed, serial, revision,
here_revision, created, changed) VALUES (?, ?, ?, 0, 0, 'active', ?, 1, 1, 1, 1, 1, 1)
"""
_FILE = """
INSERT INTO index_file (project_id, filename, origin, url, sha256, size, upload_time, has_metadata, pinned, listed,
metadata_failed, born, created, changed) VALUES (?, ?, ?, ?, ?, 1000, '2026-01-01T00:00:00Z', 1, 0, 1, 0, 1, 1, 1)
"""
_ORIGIN = "http://127.0.0.1:9/simple/"


def fill(database: Path) -> None:
    """Add `PROJECTS` projects with `FILES_EACH` files each, known and not here; the hub may be running."""
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        first: int = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM index_project").fetchone()[0]
        numbers = range(PROJECTS)
        connection.executemany(_PROJECT, ((first + n, f"filling-{n}", f"f1111ng{n}", _ORIGIN) for n in numbers))
        connection.executemany(_FILE, (_file(first + n, n, file) for n in numbers for file in range(FILES_EACH)))


def _file(project: int, number: int, file: int) -> tuple[int, str, str, str, bytes]:
    name = f"filling_{number}-1.{file}-py3-none-any.whl"
    return project, name, _ORIGIN, f"{_ORIGIN}{name}", (number << 32 | file).to_bytes(32, "big")


_WHEEL = """
INSERT INTO wheel_entry (ring, key, project, version, filename, digest, size, pushed, pushed_by, pinned, state, reason,
listed_name, listed_size, metadata_size, neutral, log_size, millis, hits, used, kept_until) VALUES ('main', ?, ?, '1.0',
?, ?, 1000, 1, 'filling', 0, 'listed', '', ?, 1000, 0, 1, 0, 1000, 0, 1, 0)
"""


def fill_wheels(database: Path, wheels: int) -> None:
    """Add rows of built wheels, whose bytes nobody asks for; the hub may be running."""
    rows = []
    for number in range(wheels):
        name = f"filling_{number}-1.0-py3-none-any.whl"
        rows.append((key_of_wheel(number), f"filling-{number}", name, key_of_wheel(number), name))
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.executemany(_WHEEL, rows)


def key_of_wheel(number: int) -> bytes:
    """The key of the row of that number."""
    return hashlib.sha256(str(number).encode()).digest()


_NODE = """
INSERT INTO hive_node (parent_id, name_key, id, name, kind, digest, size, versions_size, revision, serial, tree_serial,
mtime, created, author_id, target_id, flags) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 1, 2, 2, 1, 1, 1, NULL, 0)
"""
_ENTRIES = 1_000


def fill_folder(database: Path, name: str, count: int) -> None:
    """Put files, whose bytes nobody asks for, into a folder that lies in the root of the only space.

    Up to 10,000 lie in it side by side, more in folders of 1,000. Numbers far apart are the rows of an aged space.
    """
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        (folder,) = connection.execute("SELECT id FROM hive_node WHERE name = ?", (name,)).fetchone()
        (first,) = connection.execute("SELECT next FROM hive_number").fetchone()
        rows: list[tuple[object, ...]] = []
        parent, number = folder, first
        for each in range(count):
            if count > 10 * _ENTRIES and each % _ENTRIES == 0:
                rows.append((folder, f"{each:08}", number, f"{each:08}", 1, None, _ENTRIES * 10))
                parent, number = number, number + 1
            rows.append((parent, f"{each:08}.txt", number, f"{each:08}.txt", 2, each.to_bytes(32, "big"), 10))
            number += 1
        connection.executemany(_NODE, rows)
        connection.execute("UPDATE hive_number SET next = ?", (number,))
        connection.execute("UPDATE hive_node SET size = size + ? WHERE id = ?", (count * 10, folder))
        connection.execute("UPDATE hive_space SET used_files = used_files + ?", (count * 10,))
