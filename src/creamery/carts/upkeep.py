"""What whoever runs a hub does to all carts: deletes those that nobody has changed in a while, and lists them whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from creamery.carts import tables
from creamery.carts.planning import enqueue_plan
from creamery.carts.tables import Cart, CartFile
from creamery.clock import SECOND, Micros
from creamery.database import Committer, Database
from creamery.journal import By, record_by

PURGED_AT_ONCE = 50
"""Carts that one request deletes: their files' rows go with them, and there may be a million."""

REMOVED_AT_ONCE = 10_000
CARTS_AT_ONCE = 500


def purge(
    committer: Committer, before: Micros, by: By, permit: Callable[[Connection], object] | None = None
) -> list[Cart]:
    """Delete some of the carts that have not changed since, the oldest first, whoever they belong to.

    Args:
        committer: the writer.
        before: since when.
        by: who does it, for the journal.
        permit: raises what stands against it, in the same transaction; None: nothing does.
    """

    def write(connection: Connection) -> list[Cart]:
        if permit is not None:
            permit(connection)
        found = tables.changed_before(connection, before)[:PURGED_AT_ONCE]
        for cart in found:
            tables.set_deleted(connection, cart.id, by.now)
            record_by(connection, "carts", "purged", cart.uid, by)
        return found

    gone = committer.write(write)
    for cart in gone:
        remove_files(committer, cart.id)
    return gone


def remove_files(committer: Committer, cart_id: int) -> None:
    """The rows of a cart that is no more, in pieces: nobody waits for a million of them."""
    while committer.write(lambda connection: tables.remove_files(connection, cart_id, REMOVED_AT_ONCE)):
        pass


def stage_anew(connection: Connection, cart: Cart, by: By) -> None:
    """Have what has failed of a cart tried once more."""
    tables.wait_anew(connection, cart.id, by.now)
    enqueue_plan(connection, cart.id, by.now)
    record_by(connection, "carts", "tried again", cart.uid, by)


def every_cart(database: Database) -> Iterator[Cart]:
    """Everybody's carts, the newest first."""
    before: int | None = None
    while found := database.read(partial(tables.all_carts, limit=CARTS_AT_ONCE, before=before)):
        yield from found
        before = found[-1].id


def file_rows(database: Database, cart: Cart) -> Iterator[dict[str, Any]]:
    """All files of a cart, for JSON."""
    after = -1
    while found := database.read(partial(tables.files_of, cart_id=cart.id, after=after)):
        yield from files_told(found)
        after = found[-1].position


def files_told(files: Sequence[CartFile]) -> list[dict[str, Any]]:
    """The files of a cart, for JSON: what was asked for, and what has become of it."""
    return [
        {
            "number": file.position,
            "path": file.path,
            "archive": file.archive,
            "id": file.item,
            "hashtype": file.algorithm,
            "hashsum": None if file.expected is None else file.expected.hex(),
            "state": file.state,
            "message": file.message,
            "size": file.size,
            "mtime": file.mtime,
            "sha256": file.digest,
        }
        for file in files
    ]


def cart_told(cart: Cart) -> dict[str, Any]:
    """A cart, for JSON."""
    return {
        "id": cart.id,
        "uid": cart.uid,
        "state": cart.state,
        "message": cart.message,
        "bundle": cart.rooted,
        "name": cart.name,
        "files": cart.files,
        "files_here": cart.done_files,
        "files_failed": cart.failed_files,
        "bytes": cart.bytes if cart.planned else None,
        "bytes_here": cart.done_bytes,
        "created": cart.created / SECOND,
        "changed": cart.changed / SECOND,
        "used": cart.used / SECOND,
    }
