"""What was pushed before wheels had keys and rings is here under its name afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from creamery.clock import SystemClock
from creamery.contract import Digest, ProjectName, digest_of, key_of_name
from creamery.database import Database
from creamery.database.schema import upgrade
from creamery.limits import Limits
from creamery.wheels import tables
from creamery.wheels.place import Ring
from tests.databases import KINDS, empty_database

MAIN = (Ring("main"),)


@pytest.mark.parametrize("kind", KINDS)
def test_wheels_pushed_by_name_keep_it_and_are_checked(kind: str, tmp_path: Path) -> None:
    name = "acme-1.0-py3-none-any.whl"
    with empty_database(kind, tmp_path) as url:
        database = Database(url, Limits())
        upgrade(database, Limits(), SystemClock(), to="0006")
        row = {"name": name, "digest": bytes.fromhex(digest_of(b"wheel"))}
        for number, digest in enumerate([row["digest"], None], start=1):
            insert = text(
                "INSERT INTO built_wheel (id, filename, project, version, digest, size, pushed, pushed_by, pinned) "
                "VALUES (:id, :name, 'acme', '1.0', :digest, 5, 7, 'alice', :pinned)"
            )
            values = {"id": number, "name": f"{number}{name}" if digest is None else name, "digest": digest}
            with database.write.begin() as connection:
                connection.execute(insert, {**values, "pinned": digest is not None})

        upgrade(database, Limits(), SystemClock())

        found = database.read(lambda c: tables.entries_of(c, ProjectName("acme"), MAIN))
        waiting = database.read(tables.unchecked)
        database.close()
    (entry,) = found
    assert (entry.id, entry.key, entry.file.filename) == (1, key_of_name(name), name)
    assert (entry.file.digest, entry.file.size, entry.pushed_by) == (Digest(digest_of(b"wheel")), 5, "alice")
    assert (entry.pinned, entry.neutral, entry.state, entry.listed_name) == (True, True, "checking", name)
    assert waiting == [1]
