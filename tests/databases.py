"""Databases for tests: empty ones, made when asked for and dropped afterwards, on each server that is tested with."""

from __future__ import annotations

import contextlib
import importlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from creamery.database import metadata

SOURCE = Path(__file__).parents[1] / "src"

SERVERS = {
    "postgresql": (
        "postgresql+psycopg://postgres@127.0.0.1/postgres",
        "postgresql+psycopg:///postgres?host=/run/postgresql",
    ),
    "mariadb": (
        "mysql+pymysql://root@127.0.0.1/",
        "mysql+pymysql://root@localhost/?unix_socket=/run/mysqld/mysqld.sock",
    ),
}
"""By TCP where they trust it, else by the socket as Debian sets them up for the machine's administrator."""

KINDS = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.installed),
    pytest.param("mariadb", marks=pytest.mark.installed),
]
"""The parameters of what runs on all three."""


def every_table() -> MetaData:
    """The one MetaData, with the tables of all rooms hung on it."""
    importlib.import_module("creamery.database.generation")
    for path in sorted((SOURCE / "creamery").rglob("tables.py")):
        importlib.import_module(".".join(path.relative_to(SOURCE).with_suffix("").parts))
    return metadata


@contextlib.contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[str]:
    """The address of a database without tables."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'empty.sqlite3'}"
        return
    name = f"creamery_test_{uuid.uuid4().hex[:12]}"
    server, engine = _reach(kind)
    create, drop = {
        "postgresql": (
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'",
            f"DROP DATABASE {name} WITH (FORCE)",
        ),
        "mariadb": (
            f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
            f"DROP DATABASE {name}",
        ),
    }[kind]
    with engine.connect() as connection:
        connection.execute(text(create))
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(text(drop))
    engine.dispose()


def create_tables(url: str) -> None:
    """Every room's tables, without migrations."""
    engine = create_engine(url)
    every_table().create_all(engine)
    with engine.begin() as connection:
        insert_first_rows(connection)
    engine.dispose()


def insert_first_rows(connection: Connection) -> None:
    """The rows that the first migration writes: of tables that have one for ever."""
    for name in ("generation", "hive_number", "journal_serial"):
        connection.execute(every_table().tables[name].insert().values(id=1))


def empty_tables(url: str) -> None:
    """Take every row out, but for the first ones."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in reversed(every_table().sorted_tables):
            connection.execute(table.delete())
        insert_first_rows(connection)
    engine.dispose()


def _reach(kind: str) -> tuple[URL, Engine]:
    for address in SERVERS[kind]:
        engine = create_engine(address, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5})
        try:
            engine.connect().close()
        except DBAPIError:
            engine.dispose()
        else:
            return make_url(address), engine
    pytest.fail(f"{kind} answers at none of {', '.join(SERVERS[kind])}; .ci/run starts it")
