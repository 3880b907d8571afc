"""How SQLite finds nodes: by the primary key, forwards, whatever else there is. A plan is read, not timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection

from creamery.database import Committer, Database
from creamery.hive import nodes, spaces

FORWARDS = "(parent_id=? AND name_key=?)"


@pytest.fixture
def asked(database: Database, committer: Committer) -> list[str]:
    """Statements as they were run, their values in them."""
    committer.write(lambda connection: spaces.make_home(connection, 1, "alice", 1))
    return []


@contextmanager
def heard(connection: Connection, into: list[str]) -> Iterator[None]:
    raw: Any = connection.connection.driver_connection
    raw.set_trace_callback(into.append)
    yield
    raw.set_trace_callback(None)


def plan_of(database: Database, asked: list[str], question: Callable[[Connection], Any]) -> list[str]:
    """The steps by which the one statement of a question is answered."""

    def explain(connection: Connection) -> list[str]:
        with heard(connection, asked):
            question(connection)
        [statement] = [each for each in asked if each.startswith("SELECT")]
        return [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]

    return database.read(explain)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("depth", range(1, nodes.STEPS_AT_ONCE + 1))
def test_a_path_is_followed_from_its_beginning_by_the_primary_key(
    database: Database, asked: list[str], depth: int
) -> None:
    """With an index on parents alone SQLite began at the leaf's end and read the whole table."""
    plan = plan_of(database, asked, lambda connection: nodes.find(connection, 1, ["a"] * depth))

    assert plan == [
        f"SEARCH n{each} USING PRIMARY KEY {FORWARDS}{' LEFT-JOIN' if each else ''}" for each in range(depth)
    ]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_folder_is_one_range_of_the_table_and_sorts_nothing(database: Database, asked: list[str]) -> None:
    plan = plan_of(database, asked, lambda connection: nodes.children(connection, 1, after="a"))

    assert plan == ["SEARCH hive_node USING PRIMARY KEY (parent_id=? AND name_key>?)"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_node_is_found_by_its_number_in_the_unique_index(database: Database, asked: list[str]) -> None:
    plan = plan_of(database, asked, lambda connection: nodes.by_id(connection, 1))

    assert plan == ["SEARCH hive_node USING INDEX uq_hive_node_id (id=?)"]
