"""Rows that are written from one kind of database are the same in any other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    String,
    Table,
    create_engine,
    insert,
    select,
)

from creamery.clock import SystemClock
from creamery.database import Database, DigestColumn, metadata
from creamery.database.portable import dump, load, what_is_in
from creamery.database.records import Records, RecordsDamaged
from creamery.database.schema import upgrade
from creamery.jobs import enqueue
from creamery.limits import Limits
from tests.databases import KINDS, create_tables, empty_database, every_table

PAIRS = [
    ("sqlite", "sqlite"),
    *(
        pytest.param(one, other, marks=pytest.mark.installed)
        for one, other in [
            ("sqlite", "postgresql"),
            ("sqlite", "mariadb"),
            ("postgresql", "mariadb"),
            ("mariadb", "postgresql"),
            ("postgresql", "sqlite"),
            ("mariadb", "sqlite"),
        ]
    ),
]
ROWS = 3


@contextlib.contextmanager
def opened(kind: str, folder: Path) -> Iterator[Database]:
    folder.mkdir()
    with empty_database(kind, folder) as url:
        database = Database(url, Limits())
        yield database
        database.close()


def value(column: Column[Any], number: int) -> Any:
    """Something that another database could easily take for something else."""
    if column.nullable and number == 1:
        return None
    if column.foreign_keys or (column.primary_key and isinstance(column.type, Integer)):
        return number
    if isinstance(column.type, DigestColumn):
        return f"{number:02x}" * 32
    if isinstance(column.type, LargeBinary):
        return bytes([number, 0, 255, 39, 92])
    if isinstance(column.type, Boolean | Integer):
        largest = 2**31 if type(column.type) is Integer else 2**63
        return bool(number % 2) if isinstance(column.type, Boolean) else largest - number
    assert isinstance(column.type, String)
    text = f"{number}A' \\n\n\"a ü \U0001f9c0 "
    return text[: column.type.length]


def fill(database: Database) -> None:
    """Rows in every table."""
    with database.write.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
            numbers = range(1, ROWS + 1)
            rows = [{column.name: value(column, number) for column in table.columns} for number in numbers]
            connection.execute(insert(table), rows)


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    def read(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in metadata.sorted_tables
        }

    return database.read(read)


def written(database: Database, folder: Path) -> dict[str, Records]:
    folder.mkdir()
    return database.read(lambda connection: dump(connection, folder))


def nothing(_: Connection) -> None:
    """Change no row."""


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_rows_are_the_same_in_another_database(tmp_path: Path, one: str, other: str) -> None:
    every_table()
    with opened(one, tmp_path / "one") as source, opened(other, tmp_path / "other") as target:
        create_tables(source.write.url.render_as_string(hide_password=False))
        fill(source)
        upgrade(target, Limits(), SystemClock())
        tables = written(source, tmp_path / "dump")

        load(target, tmp_path / "dump", tables, nothing)

        assert everything(target) == everything(source)
        assert {records.count for records in tables.values()} == {ROWS + 1}
        with target.write.begin() as connection:
            assert enqueue(connection, "later", {}, now=SystemClock().now()) == ROWS + 1  # the counter goes on


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_database_without_rows_counts_as_empty(tmp_path: Path, kind: str) -> None:
    with opened(kind, tmp_path / "one") as database:
        no_tables = what_is_in(database)
        upgrade(database, Limits(), SystemClock())
        no_rows = what_is_in(database)
        with database.write.begin() as connection:
            enqueue(connection, "later", {}, now=SystemClock().now())

        assert (no_tables, no_rows) == (None, None)
        assert what_is_in(database) == "rows in the table job"


@pytest.mark.parametrize("kind", KINDS)
def test_the_tables_of_something_else_do_not_count_as_empty(tmp_path: Path, kind: str) -> None:
    with opened(kind, tmp_path / "one") as database:
        with database.write.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE photos (id INTEGER)")

        assert what_is_in(database) == "the tables of something else (photos)"


def test_asking_does_not_make_a_file(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/none.sqlite3", Limits())

    assert what_is_in(database) is None
    assert not (tmp_path / "none.sqlite3").exists()
    database.close()


@pytest.mark.parametrize("damage", [b"", b"other bytes", None])
def test_a_damaged_file_is_refused_and_no_row_is_loaded(tmp_path: Path, damage: bytes | None) -> None:
    with opened("sqlite", tmp_path / "one") as source, opened("sqlite", tmp_path / "other") as target:
        upgrade(source, Limits(), SystemClock())
        upgrade(target, Limits(), SystemClock())
        fill(source)
        tables = written(source, tmp_path / "dump")
        path = tmp_path / "dump" / "schedule.jsonl.gz"
        path.unlink() if damage is None else path.write_bytes(damage)

        with pytest.raises(RecordsDamaged, match="schedule"):
            load(target, tmp_path / "dump", tables, nothing)

        assert what_is_in(target) is None


def test_a_row_that_the_other_database_refuses_undoes_the_load(tmp_path: Path) -> None:
    with opened("sqlite", tmp_path / "one") as source, opened("sqlite", tmp_path / "other") as target:
        upgrade(source, Limits(), SystemClock())
        upgrade(target, Limits(), SystemClock())
        fill(source)
        tables = written(source, tmp_path / "dump")

        def refuse(_: Connection) -> None:
            raise KeyError

        with pytest.raises(KeyError):
            load(target, tmp_path / "dump", tables, refuse)

        assert what_is_in(target) is None


def test_a_column_that_no_word_is_known_for_is_a_defect_that_shows_at_once(tmp_path: Path) -> None:
    strange = Table("strange", every_table().__class__(), Column("share", Float, primary_key=True))

    with pytest.raises(TypeError, match=r"strange\.share"):
        dump_of(strange, tmp_path)


def dump_of(table: Table, folder: Path) -> None:
    from creamery.database.portable import _records  # noqa: PLC0415

    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            list(_records(connection, table))
    finally:
        engine.dispose()
