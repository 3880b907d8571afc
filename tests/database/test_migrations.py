"""The way to the newest form: it ends where the rooms' tables are, whoever kills it on the way."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, inspect, text

from creamery.cli import main
from creamery.clock import SystemClock
from creamery.database import Database, DatabaseUnavailable
from creamery.database import schema as schema_module
from creamery.database.schema import VERSION_TABLE, SchemaIsNewer, UpgradeBusy, find_schema, head, is_current, upgrade
from creamery.limits import Limits


def form(url: str) -> dict[str, dict[str, Any]]:
    """All that the database itself says about its tables."""
    engine = create_engine(url)
    inspector = inspect(engine)
    found = {
        name: {
            "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(name)],
            "primary key": inspector.get_pk_constraint(name),
            "unique": sorted(inspector.get_unique_constraints(name), key=str),
            "indexes": sorted((_index(each) for each in inspector.get_indexes(name)), key=str),
            "foreign keys": inspector.get_foreign_keys(name),
            "options": str(inspector.get_table_options(name)) if engine.dialect.name == "mysql" else None,
        }
        for name in inspector.get_table_names()
        if name != VERSION_TABLE
    }
    engine.dispose()
    return found


def _index(index: Any) -> dict[str, Any]:
    """The condition of a partial one is an object of its own each time."""
    return {**index, "dialect_options": {key: str(said) for key, said in index.get("dialect_options", {}).items()}}


def upgraded(url: str) -> Database:
    database = Database(url, Limits())
    upgrade(database, Limits(), SystemClock())
    return database


def creamery_db(*arguments: str, url: str) -> Result:
    """Run `creamery db`; an empty address leaves the database where the data is."""
    return CliRunner().invoke(main, ["db", *arguments], env={"CREAMERY_DATABASE_URL": url, "DATABASE_URL": ""})


def set_revision(database: Database, revision: str) -> None:
    with database.write.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'"))


def test_an_upgraded_database_has_the_tables_of_all_rooms_and_no_others(
    empty_database_url: str, database_url: str
) -> None:
    """`database_url` has what the rooms' tables say; where the two differ, a revision is missing."""
    upgraded(empty_database_url).close()

    assert form(empty_database_url) == form(database_url)


def test_upgrading_twice_changes_nothing_the_second_time(empty_database_url: str) -> None:
    first = Database(empty_database_url, Limits())

    before = [upgrade(first, Limits(), SystemClock()).revision for _ in range(2)]
    current = is_current(first)
    first.close()

    assert before == [None, head()]
    assert current


def test_killed_at_any_step_an_upgrade_is_mended_by_the_next(empty_database_url: str, database_url: str) -> None:
    """One database, killed a step later each time: MariaDB keeps what was done, the others undo it."""
    stride = "2" if empty_database_url.startswith("sqlite") else "3"

    done = subprocess.run(
        [sys.executable, "-m", "tests.doubles.killed_upgrades", empty_database_url, stride],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5
    assert form(empty_database_url) == form(database_url)


def test_of_several_that_start_at_once_one_upgrades_and_the_others_wait(empty_database_url: str) -> None:
    databases = [Database(empty_database_url, Limits()) for _ in range(4)]
    before: list[str | None] = []

    def start(database: Database) -> None:
        before.append(upgrade(database, Limits(), SystemClock()).revision)

    threads = [threading.Thread(target=start, args=[database]) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for database in databases:
        database.close()

    assert sorted(before, key=str) == [head()] * 3 + [None]


def test_who_waits_too_long_is_told_so(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    databases = [Database(empty_database_url, Limits()) for _ in range(2)]
    migrating, free = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        migrating.set()
        free.wait(10)

    monkeypatch.setattr(schema_module, "_migrate", slow)
    holder = threading.Thread(target=upgrade, args=[databases[0], Limits(), SystemClock()])
    holder.start()
    migrating.wait(10)

    with pytest.raises(UpgradeBusy, match="another process"):
        upgrade(databases[1], Limits(schema_lock_seconds=0.2), SystemClock())
    free.set()
    holder.join()
    for database in databases:
        database.close()


def test_a_newer_database_is_left_alone(empty_database_url: str) -> None:
    database = upgraded(empty_database_url)
    set_revision(database, "9999")

    with pytest.raises(SchemaIsNewer, match="newer Creamery"):
        is_current(database)
    with pytest.raises(SchemaIsNewer, match="newer Creamery"):
        upgrade(database, Limits(), SystemClock())
    revision = find_schema(database).revision
    database.close()

    assert revision == "9999"


def test_a_database_of_something_else_is_left_alone(empty_database_url: str) -> None:
    database = Database(empty_database_url, Limits())
    with database.write.begin() as connection:
        connection.execute(text("CREATE TABLE job (what VARCHAR(20))"))

    with pytest.raises(DatabaseUnavailable, match="something else"):
        upgrade(database, Limits(), SystemClock())
    revision = find_schema(database).revision
    database.close()

    assert revision is None


def test_the_command_says_where_a_database_stands(empty_database_url: str) -> None:
    behind = creamery_db("check", "--json", url=empty_database_url)
    done = creamery_db("upgrade", url=empty_database_url)
    current = creamery_db("check", "--json", url=empty_database_url)
    database = Database(empty_database_url, Limits())
    set_revision(database, "9999")
    database.close()
    newer = creamery_db("check", url=empty_database_url)

    assert (behind.exit_code, json.loads(behind.output)["state"]) == (1, "behind")
    assert done.exit_code == 0
    assert (current.exit_code, json.loads(current.output)["state"]) == (0, "current")
    assert newer.exit_code == 2
    assert "newer Creamery" in newer.output


def test_a_database_that_does_not_answer_cannot_be_told(tmp_path: Path) -> None:
    answer = creamery_db("check", url="postgresql://nobody@127.0.0.1:9/none")
    refused = creamery_db("upgrade", url="postgresql://nobody@127.0.0.1:9/none")

    assert answer.exit_code == 2
    assert refused.exit_code == 1
    assert "127.0.0.1:9/none" in answer.output
    assert "127.0.0.1:9/none" in refused.output


def test_checking_makes_no_file(tmp_path: Path) -> None:
    answer = creamery_db("check", "--data", str(tmp_path / "new"), url="")

    assert answer.exit_code == 1
    assert not (tmp_path / "new").exists()


def test_a_hub_at_rest_has_not_loaded_what_it_seldom_needs() -> None:
    """Alembic for upgrades, FastAPI for /api/v1, joserfc for who signs in elsewhere, rich for commands: 5 to 20 MiB."""
    seldom = "{'alembic', 'fastapi', 'joserfc', 'cryptography', 'rich', 'auditwheel'}"
    program = f"import sys, creamery.hub, creamery.database.schema; sys.exit(len({seldom} & set(sys.modules)))"

    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
