"""A door in small: names that refer to blobs, some of them to somebody's only copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    MetaData,
    String,
    Table,
    delete,
    exists,
    insert,
    select,
    update,
)

from creamery.blobs import Holder
from creamery.contract import Digest
from creamery.database import TABLE_OPTIONS, DigestColumn

metadata = MetaData()
"""Of its own: the hub's migrations know nothing of this table."""

book = Table(
    "test_book",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("digest", DigestColumn, nullable=False),
    Column("kept", Boolean, nullable=False),
    Column("here", Boolean, nullable=False),
    Index("ix_test_book_digest", "digest"),
    **TABLE_OPTIONS,
)


def shelve(name: str, *, kept: bool = True) -> Callable[[Connection, Digest], str]:
    """A reference to be made in `Blobs.keep`; whatever the name referred to before, it does no more."""

    def make(connection: Connection, digest: Digest) -> str:
        connection.execute(delete(book).where(book.c.name == name))
        connection.execute(insert(book).values(name=name, digest=digest, kept=kept, here=True))
        return name

    return make


def take_away(name: str) -> Callable[[Connection], None]:
    """The name refers to nothing any more."""

    def remove(connection: Connection) -> None:
        connection.execute(delete(book).where(book.c.name == name))

    return remove


def references(connection: Connection) -> dict[str, tuple[Digest, bool]]:
    """Name to digest, and whether its bytes should be here."""
    return {
        name: (digest, here)
        for name, digest, here in connection.execute(select(book.c.name, book.c.digest, book.c.here))
    }


def _held(*, kept: bool) -> Callable[[ColumnElement[Digest]], ColumnElement[bool]]:
    return lambda digest: exists().where(book.c.digest == digest, book.c.kept == kept, book.c.here)


def _forget(connection: Connection, digests: Sequence[Digest]) -> None:
    connection.execute(update(book).where(book.c.digest.in_(digests), ~book.c.kept).values(here=False))


def _audit(connection: Connection) -> Iterator[tuple[Digest, str]]:
    for row in connection.execute(select(book.c.digest, book.c.name).where(book.c.here)):
        yield row.digest, row.name


SHELF = Holder("shelf", _held(kept=True), _held(kept=False), _forget, _audit)
