"""How a connection is made and set up, for each database and each purpose."""

from __future__ import annotations

import sqlite3
from typing import Any, Literal

from sqlalchemy import Connection, Engine, create_engine, event, make_url

from creamery.limits import KIB, MIB, Limits

Purpose = Literal["read", "write", "migrate"]
"""Migrations write, and take the time that they need."""

WAL_KEPT_BYTES = 64 * MIB
WAL_PAGES = 4_000
"""So long is the log when its pages are copied back: one that many transactions have changed is copied once."""
WRITER_CACHE_BYTES, READER_CACHE_BYTES = 16 * MIB, 2 * MIB
"""Large batches change pages all over the indices, and change them again."""
WAL_ATTEMPTS = 100
SYNCHRONOUS = "FULL"
"""A commit is on the disk when it returns; NORMAL loses what was acknowledged, and no check of SQLite's would tell."""


def build_engine(url: str, limits: Limits, purpose: Purpose) -> Engine:
    """An engine that connects when first asked.

    Raises:
        ArgumentError, NoSuchModuleError, ImportError, LookupError: the address names no database that we know.
    """
    backend = make_url(url).get_backend_name()
    if backend == "sqlite" and make_url(url).database in {None, "", ":memory:"}:
        raise LookupError("a database in memory is gone with its connection")
    options: dict[str, Any] = {"connect_args": _CONNECT_ARGUMENTS[backend](limits, purpose)}
    if backend != "sqlite":
        options["isolation_level"] = "REPEATABLE READ" if purpose == "read" else "READ COMMITTED"
        options["pool_pre_ping"] = True
    # Readers: the pool's threads, the jobs', the jobs' keeper and the generations' watch.
    connections = limits.database_threads + limits.job_threads + 2 if purpose == "read" else 1
    engine = create_engine(
        url, pool_size=connections, max_overflow=limits.job_threads, pool_timeout=limits.waiting_seconds, **options
    )
    if backend == "sqlite":
        _set_up_sqlite(engine, purpose)
    return engine


def _sqlite(limits: Limits, _: Purpose) -> dict[str, Any]:
    # isolation_level None: we begin transactions ourselves, Python's driver not behind our back.
    return {"timeout": limits.lock_seconds, "check_same_thread": False, "isolation_level": None}


def _postgresql(limits: Limits, purpose: Purpose) -> dict[str, Any]:
    session = {"lock_timeout": f"{limits.lock_seconds}s"}
    if purpose == "read":
        session["default_transaction_read_only"] = "on"
    if purpose != "migrate":
        session["statement_timeout"] = f"{limits.statement_seconds}s"
    if purpose == "write":  # a process that was stopped in its turn gives it up
        session["idle_in_transaction_session_timeout"] = f"{limits.lock_seconds / 2}s"
    return {
        "connect_timeout": 10,
        "tcp_user_timeout": int(limits.statement_seconds * 1000),  # a network that went dead ends the wait
        "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
    }


def _mysql(limits: Limits, purpose: Purpose) -> dict[str, Any]:
    seconds = max(1, int(limits.lock_seconds))
    arguments: dict[str, Any] = {
        "connect_timeout": 10,
        "charset": "utf8mb4",
        "sql_mode": "TRADITIONAL",  # what does not fit is refused, not cut
        "init_command": f"SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}",
    }
    if purpose == "read":
        arguments["init_command"] = "SET SESSION TRANSACTION READ ONLY"
    elif purpose == "write":  # as on PostgreSQL
        arguments["init_command"] += f", idle_transaction_timeout = {max(1, seconds // 2)}"
    if purpose != "migrate":
        arguments |= {"read_timeout": limits.statement_seconds, "write_timeout": limits.statement_seconds}
    return arguments


_CONNECT_ARGUMENTS = {"sqlite": _sqlite, "postgresql": _postgresql, "mysql": _mysql, "mariadb": _mysql}


def _set_up_sqlite(engine: Engine, purpose: Purpose) -> None:
    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _: Any) -> None:
        _keep_a_log(connection)
        for pragma in (
            f"synchronous={SYNCHRONOUS}",
            "foreign_keys=ON",
            "trusted_schema=OFF",
            f"journal_size_limit={WAL_KEPT_BYTES}",
            f"wal_autocheckpoint={WAL_PAGES}",
            f"cache_size={-(READER_CACHE_BYTES if purpose == 'read' else WRITER_CACHE_BYTES) // KIB}",
            f"query_only={'ON' if purpose == 'read' else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if purpose == "read" else "BEGIN IMMEDIATE")


def _keep_a_log(connection: sqlite3.Connection) -> None:
    """Make the file one with a log beside it (WAL), also where several open a new one at the same moment.

    Raises:
        sqlite3.OperationalError: it cannot be; `database is locked` where others are at it for longer than a lock may.
    """
    for _ in range(WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            # SQLite does not wait for this change as it does for others: wait for our turn by what it does wait for.
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
        else:
            return
    connection.execute("PRAGMA journal_mode=WAL")
