"""What a database promises to who reads, and what it refuses to begin with."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert, select, text

from creamery.clock import SystemClock
from creamery.database import Committer, Database, DatabaseUnavailable, DiskFull, Generations
from creamery.database import engine as engine_module
from creamery.database.schema import is_current
from creamery.limits import MIB, Limits
from creamery.telemetry import Telemetry
from tests.databases import empty_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "creamery.sqlite3"


def test_a_question_sees_one_snapshot(database: Database, notes: Table) -> None:
    def count(connection: Connection) -> int:
        return len(connection.execute(select(notes)).all())

    def twice(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        with database.write.begin() as other:
            other.execute(insert(notes).values(name="meanwhile"))
        return before, count(connection)

    assert database.read(twice) == (0, 0)
    assert database.read(count) == 1


def test_a_question_cannot_write(database: Database, notes: Table) -> None:
    with pytest.raises(DatabaseUnavailable):
        database.read(lambda connection: connection.execute(insert(notes).values(name="sneaked in")))

    assert database.read(lambda connection: connection.execute(select(notes)).all()) == []


def test_a_server_or_file_as_it_should_be_passes_the_check(database: Database) -> None:
    database.check()


def test_a_new_file_gets_its_log_also_where_many_open_it_at_once(path: Path) -> None:
    """SQLite waits for any lock but the one that this needs: `database is locked`, at once."""
    refused: list[str] = []
    for number in range(20):
        databases = [Database(f"sqlite:///{path.with_stem(str(number))}", Limits()) for _ in range(8)]
        together = threading.Barrier(len(databases))

        def open_it(database: Database, together: threading.Barrier = together) -> None:
            together.wait(10)
            try:
                assert database.read(lambda connection: connection.scalar(text("PRAGMA journal_mode"))) == "wal"
            except DatabaseUnavailable as error:
                refused.append(str(error))

        with ThreadPoolExecutor(len(databases)) as pool:
            list(pool.map(open_it, databases))
        for database in databases:
            database.close()

    assert refused == []


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "oracle://somewhere/x", "nonsense", "postgresql+nodriver://x/y", "redis://x"],
)
def test_an_address_that_is_none_says_what_to_write(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="sqlite:///FILE"):
        Database(url, Limits())


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "mysql+pymysql"])
@pytest.mark.parametrize("where", ["someone:hush@127.0.0.1:9/names", "someone@127.0.0.1:9/names?password=hush"])
def test_a_server_that_is_not_there_is_named_without_its_password(scheme: str, where: str) -> None:
    database = Database(f"{scheme}://{where}", Limits())

    with pytest.raises(DatabaseUnavailable) as told:
        database.check()

    assert "127.0.0.1:9/names" in str(told.value)
    assert "hush" not in str(told.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/nowhere/creamery.sqlite3", Limits())

    with pytest.raises(DatabaseUnavailable, match="nowhere"):
        database.check()


def test_sqlite_commits_durably_and_keeps_foreign_keys(path: Path) -> None:
    database = Database(f"sqlite:///{path}", Limits())

    with database.write.connect() as connection:
        found = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    database.close()

    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.fixture
def unclean(path: Path) -> Iterator[Path]:
    """A database whose log lies there, as after a kill: its last connection is still open."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE note (name TEXT PRIMARY KEY)")
    connection.executemany("INSERT INTO note VALUES (?)", [(f"{number:0100}",) for number in range(500)])
    connection.commit()
    yield path
    connection.close()


def test_after_an_unclean_stop_a_damaged_file_is_found(unclean: Path) -> None:
    with contextlib.closing(sqlite3.connect(unclean)) as connection:
        connection.execute("PRAGMA wal_checkpoint(FULL)")
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    with unclean.open("r+b") as file:
        file.seek(4 * size)
        file.write(b"\xff" * size)
    database = Database(f"sqlite:///{unclean}", Limits())

    assert database.stopped_uncleanly
    with pytest.raises(DatabaseUnavailable, match=r"damaged|malformed"):
        database.check()
    database.close()


def test_after_an_unclean_stop_a_whole_file_passes(unclean: Path) -> None:
    database = Database(f"sqlite:///{unclean}", Limits())

    assert database.stopped_uncleanly
    database.check()
    assert database.find_damage() is None
    database.close()


def test_who_asks_for_the_schema_first_after_an_unclean_stop_looks_through_the_file(
    unclean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    database = Database(f"sqlite:///{unclean}", Limits())
    monkeypatch.setattr(database, "check", lambda: checked.append(database.stopped_uncleanly))

    is_current(database)
    database.close()

    assert checked == [True]


def test_after_a_clean_stop_nothing_is_looked_through(path: Path) -> None:
    first = Database(f"sqlite:///{path}", Limits())
    with first.write.begin() as connection:
        connection.execute(text("CREATE TABLE note (name TEXT)"))
    first.close()

    assert not Database(f"sqlite:///{path}", Limits()).stopped_uncleanly


def test_a_checkpoint_empties_the_log_and_gives_way_to_a_reader(unclean: Path) -> None:
    database = Database(f"sqlite:///{unclean}", Limits())

    def checkpoint_while_reading(connection: Connection) -> int:
        connection.execute(text("SELECT count(*) FROM note"))
        with database.write.begin() as writer:
            writer.execute(text("INSERT INTO note VALUES ('new')"))
        database.checkpoint()
        return database.wal_bytes()

    while_read = database.read(checkpoint_while_reading)
    database.checkpoint()

    assert while_read > 0
    assert database.wal_bytes() == 0
    database.close()


def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(f"sqlite:///{path}", Limits())
    monkeypatch.setattr(engine_module, "_file_system", lambda _: "nfs4")

    with pytest.raises(DatabaseUnavailable, match="network"):
        database.check()


def test_the_longest_mount_point_names_the_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "40 22 0:40 / /mnt/a\\040b rw shared:9 master:2 - nfs4 server:/x rw\n"
        "41 22 0:41 / /mnt/a rw - xfs /dev/sdb rw\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: mounts)

    found = {name: engine_module._file_system(Path(name)) for name in ("/mnt/a b/data", "/mnt/a/x", "/mnt/ab", "/var")}

    assert found == {"/mnt/a b/data": "nfs4", "/mnt/a/x": "xfs", "/mnt/ab": "ext4", "/var": "ext4"}


@pytest.mark.installed
def test_a_disk_without_room_is_told_reading_goes_on_and_space_mends_it(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        database = Database(f"sqlite:///{disk / 'creamery.sqlite3'}", Limits(), Telemetry())
        committer = Committer(database, Generations(database), Limits(), SystemClock(), Telemetry())
        committer.start()
        committer.write(lambda connection: connection.execute(text("CREATE TABLE note (name TEXT)")))
        filler = disk / "filler"
        add = text("INSERT INTO note VALUES (zeroblob(20000))")

        filler.write_bytes(b"\0" * (disk_free(disk) - 30_000))
        with pytest.raises(DiskFull, match="no room"):
            committer.write(lambda connection: [connection.execute(add) for _ in range(20)])
        kept = database.read(lambda connection: connection.execute(text("SELECT count(*) FROM note")).scalar_one())
        filler.unlink()
        committer.write(lambda connection: connection.execute(add))

        found = database.read(lambda connection: connection.execute(text("SELECT count(*) FROM note")).scalar_one())
        committer.close()
        database.close()
    finally:
        subprocess.run(["umount", disk], check=True)

    assert found == kept + 1


def disk_free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@pytest.mark.installed
class TestOnServers:
    """How a server's database must be set up."""

    def test_a_collation_that_takes_names_for_the_same_is_refused(self, tmp_path: Path) -> None:
        with empty_database("mariadb", tmp_path) as url:
            database = Database(url, Limits())
            with database.write.connect() as connection:
                connection.execute(text("ALTER DATABASE COLLATE utf8mb4_general_ci"))

            with pytest.raises(DatabaseUnavailable, match="utf8mb4_nopad_bin"):
                database.check()
            database.close()

    def test_an_encoding_that_cannot_hold_every_name_is_refused(self, tmp_path: Path) -> None:
        with empty_database("postgresql", tmp_path) as url:
            database = Database(url, Limits())
            with database.write.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(
                    text("CREATE DATABASE creamery_test_latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
                )
                latin = Database(url.replace(str(database.write.url.database), "creamery_test_latin"), Limits())
                try:
                    with pytest.raises(DatabaseUnavailable, match="UTF8"):
                        latin.check()
                    latin.close()
                finally:
                    connection.execute(text("DROP DATABASE creamery_test_latin WITH (FORCE)"))
            database.close()

    @pytest.mark.parametrize("database_kind", ["postgresql", "mariadb"], indirect=True)
    def test_a_question_that_takes_too_long_ends(self, database_url: str) -> None:
        database = Database(database_url, Limits(statement_seconds=1))
        sleep: Any = {"postgresql": "SELECT pg_sleep(20)", "mysql": "SELECT SLEEP(20)"}[database.dialect]

        with pytest.raises(DatabaseUnavailable):
            database.read(lambda connection: connection.execute(text(sleep)).all())
        database.close()

    @pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)
    def test_a_text_that_does_not_fit_is_refused_rather_than_cut(self, database: Database, notes: Table) -> None:
        with pytest.raises(Exception, match="too long"), database.write.begin() as connection:
            connection.execute(insert(notes).values(name="n" * 41))


def test_a_large_log_is_cut_back(path: Path) -> None:
    database = Database(f"sqlite:///{path}", Limits())
    with database.write.connect() as connection:
        limit = connection.execute(text("PRAGMA journal_size_limit")).scalar_one()
    database.close()

    assert limit == 64 * MIB


def test_a_file_that_cannot_be_looked_at_is_a_database_that_does_not_answer(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.sqlite3", Limits(), Telemetry())
    watch = database.open_watch()
    raw = watch.connection.driver_connection
    assert raw is not None
    raw.close()

    with pytest.raises(DatabaseUnavailable, match="cannot be read"):
        database.data_version(watch)

    watch.invalidate()
    watch.close()
    database.close()
