"""All rows as files that any of the three databases can take in again: one file per table.

The first record names the table's columns and what they hold; each further one is a row, a list in that order. Bytes
are hexadecimal, everything else is what JSON has. Reading happens in one snapshot; writing in one transaction, into
tables that have no rows, so that a load that is cut short has done nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

from creamery.database.engine import Database
from creamery.database.errors import translate
from creamery.database.metadata import DigestColumn, metadata
from creamery.database.records import Records, RecordsDamaged, read_records, write_records
from creamery.database.schema import VERSION_TABLE

ROWS_AT_ONCE = 1_000
FIRST_ROWS = frozenset({"generation", "hive_number", "journal_serial"})
"""Tables that have their only row from the first migration on."""


@dataclass(frozen=True, slots=True)
class _Header:
    """What the rows of a file are."""

    table: str
    columns: Mapping[str, str]


def dump(connection: Connection, folder: Path) -> dict[str, Records]:
    """Write every table into the empty `folder`, as `TABLE.jsonl.gz`, from the connection's snapshot.

    Raises:
        OSError: the disk refuses.
    """
    return {
        str(table.name): write_records(_path(folder, table.name), _records(connection, table))
        for table in metadata.sorted_tables
    }


def what_is_in(database: Database) -> str | None:
    """What a load would be mixed with, for people; None where every table is without rows, or there are no tables.

    Raises:
        DatabaseUnavailable: it does not answer.
    """
    if database.path is not None and not database.path.exists():
        return None  # asking must not make the file
    return database.read(_what_is_in)


def load(database: Database, folder: Path, tables: Mapping[str, Records], change: Callable[[Connection], None]) -> None:
    """Fill the tables, which have the form that those of the dump had, and `change` them in the same transaction.

    Rows come table by table, those that are referred to first.

    Raises:
        RecordsDamaged: a file is not what was written.
        DatabaseUnavailable, DiskFull, WritesBusy: the database refuses a row, or does not answer.
    """
    try:
        with database.patient() as engine, engine.begin() as connection:
            there = MetaData()
            there.reflect(connection)
            if unknown := sorted(tables.keys() - there.tables.keys()):
                raise RecordsDamaged(f"{folder} has the tables {', '.join(unknown)}, and its schema has not")
            for table in reversed(there.sorted_tables):
                if table.name in tables:
                    connection.execute(table.delete())
            for table in there.sorted_tables:
                if table.name in tables:
                    _load(connection, table, folder, tables[table.name])
            change(connection)
    except DBAPIError as error:
        raise translate(error, database.url) from error


def _path(folder: Path, table: str) -> Path:
    return folder / f"{table}.jsonl.gz"


def _records(connection: Connection, table: Table) -> Iterator[Any]:
    columns = list(table.columns)
    yield {"table": str(table.name), "columns": {str(column.name): _kind(column) for column in columns}}
    asked = select(*columns).order_by(*table.primary_key.columns)
    for row in connection.execute(asked, execution_options={"yield_per": ROWS_AT_ONCE}):
        yield [value.hex() if isinstance(value, bytes) else value for value in row]


def _kind(column: Column[Any]) -> str:
    """What a column holds, in a word that every database has a type for."""
    kinds = (
        (DigestColumn | LargeBinary, "bytes"),
        (Boolean, "boolean"),
        (Integer, "integer"),
        (String, "text"),
    )
    for types, kind in kinds:
        if isinstance(column.type, types):
            return kind
    raise TypeError(f"{column} is of a type that a backup cannot write yet: give it a word here")


def _what_is_in(connection: Connection) -> str | None:
    names = inspect(connection).get_table_names()
    if not names:
        return None
    if VERSION_TABLE not in names:
        return f"the tables of something else ({', '.join(sorted(names)[:5])})"
    there = MetaData()
    there.reflect(connection, only=[name for name in names if name not in {VERSION_TABLE, *FIRST_ROWS}])
    for table in there.sorted_tables:
        if connection.execute(select(table).limit(1)).first() is not None:
            return f"rows in the table {table.name}"
    return None


def _load(connection: Connection, table: Table, folder: Path, expected: Records) -> None:
    records = read_records(_path(folder, table.name), expected)
    header = _header(next(records), table.name)
    names = list(header.columns)
    bytes_at = [position for position, kind in enumerate(header.columns.values()) if kind == "bytes"]
    while batch := list(islice(records, ROWS_AT_ONCE)):
        for row in batch:
            for position in bytes_at:
                if row[position] is not None:
                    row[position] = bytes.fromhex(row[position])
        connection.execute(insert(table), [dict(zip(names, row, strict=True)) for row in batch])
    _set_counter(connection, table)


def _header(record: Any, table: str) -> _Header:
    header = _Header(record["table"], record["columns"])
    if header.table != table:
        raise RecordsDamaged(f"the file of the table {table} holds rows of {header.table}")
    return header


def _set_counter(connection: Connection, table: Table) -> None:
    """PostgreSQL counts a table's numbers apart from its rows."""
    counted = table.autoincrement_column
    if connection.dialect.name != "postgresql" or counted is None:
        return
    sequence = connection.execute(
        text("SELECT pg_get_serial_sequence(:table, :column)"),
        {"table": connection.dialect.identifier_preparer.quote(table.name), "column": counted.name},
    ).scalar()
    if sequence is not None:
        highest = connection.execute(select(func.max(counted))).scalar()
        if highest is not None:
            connection.execute(text("SELECT setval(:name, :highest)"), {"name": sequence, "highest": highest})
