"""A table of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table

from creamery.database import Database


@pytest.fixture
def notes(database: Database) -> Iterator[Table]:
    """Something to write into: a name, unique, and a number."""
    table = Table(
        "note",
        MetaData(),
        Column("name", String(40), primary_key=True),
        Column("number", Integer, nullable=False, server_default="0"),
        mysql_engine="InnoDB",
    )
    table.create(database.write)
    yield table
    table.drop(database.write)
