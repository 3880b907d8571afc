"""The rows of carts, and every question that is asked of them.

    cart         waiting -> staging -> ready | error          what somebody asked for
    cart_file    waiting -> here | error                      each of its files, in the order of the bundle
    cart_source  waiting -> asked -> here | error             an archive's file, brought once for all carts that want it

A source is an archive's item at a size and a time of change; what has changed there since is another source. A file
that is here refers to its blob as `kept`: a ready cart never lacks a byte. A source refers to it as `cached`, for the
next cart that wants it. A cart that was deleted, has expired or was evicted keeps its row, and its files' rows go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    delete,
    exists,
    func,
    insert,
    select,
    type_coerce,
    update,
)

from creamery.blobs import Holder
from creamery.carts.manifest import Entry
from creamery.clock import Micros
from creamery.contract import Digest
from creamery.database import TABLE_OPTIONS, BigId, DigestColumn, LongText, execute_many, metadata

State = Literal["waiting", "staging", "ready", "error"]
AT_ONCE = 500
"""Rows that one statement names; more parameters than SQLite takes are nowhere."""

cart = Table(
    "cart",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("uid", String(255), nullable=False),
    Column("owner", String(255), nullable=True),
    Column("state", String(8), nullable=False),
    Column("message", LongText, nullable=False),
    Column("rooted", Boolean, nullable=False),
    Column("name", String(255), nullable=False),
    Column("files", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("planned", Boolean, nullable=False),
    Column("done_files", Integer, nullable=False),
    Column("done_bytes", BigInteger, nullable=False),
    Column("failed_files", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("deleted", BigInteger, nullable=True),
    Column("webhook", LongText, nullable=True),
    Column("leased_until", BigInteger, nullable=False, server_default="0"),
    Index("ix_cart_uid", "uid"),
    Index("ix_cart_owner", "owner"),
    Index("ix_cart_deleted_used", "deleted", "used"),
    sqlite_autoincrement=True,
    **TABLE_OPTIONS,
)

cart_file = Table(
    "cart_file",
    metadata,
    Column("cart_id", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("path", LongText, nullable=False),
    Column("archive", String(64), nullable=False),
    Column("item", LongText, nullable=False),
    Column("algorithm", String(16), nullable=True),
    Column("expected", LargeBinary(64), nullable=True),
    Column("source_id", BigInteger, nullable=True),
    Column("size", BigInteger, nullable=True),
    Column("mtime", BigInteger, nullable=True),
    Column("state", String(7), nullable=False),
    Column("digest", DigestColumn, nullable=True),
    Column("message", LongText, nullable=True),
    Index("ix_cart_file_source_id", "source_id"),
    Index("ix_cart_file_digest", "digest"),
    **TABLE_OPTIONS,
)

cart_source = Table(
    "cart_source",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("key", DigestColumn, nullable=False, unique=True),
    Column("archive", String(64), nullable=False),
    Column("item", LongText, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime", BigInteger, nullable=False),
    Column("version", String(255), nullable=False),
    Column("near", Boolean, nullable=False),
    Column("state", String(7), nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("asked", BigInteger, nullable=True),
    Column("attempts", Integer, nullable=False),
    Column("digest", DigestColumn, nullable=True),
    Index("ix_cart_source_archive_state_due", "archive", "state", "due"),
    Index("ix_cart_source_digest", "digest"),
    sqlite_autoincrement=True,
    **TABLE_OPTIONS,
)


@dataclass(frozen=True, slots=True)
class Cart:
    """A cart, without its files.

    Attributes:
        id: the row's number; of several with one name the largest counts.
        uid: what it is called on the wire.
        owner: who may see it (`access.py`); None: whoever knows its name.
        state: how far it is.
        message: why it waits, or what went wrong.
        rooted: the bundle's root is `uid`, whatever file name is asked for.
        name: of the bundle, where nobody asks for another one; frozen, so that a download can be resumed.
        files, bytes: how many, and how much, as far as is known.
        planned: all sizes are known, and all space is promised.
        done_files, done_bytes, failed_files: how many of them are here, how much of it, and how many never will be.
        created, changed, used: made; last changed what it is; last asked for.
        deleted: it is no more.
        webhook: the address that wants to hear when it has ended.
    """

    id: int
    uid: str
    owner: str | None
    state: State
    message: str
    rooted: bool
    name: str
    files: int
    bytes: int
    planned: bool
    done_files: int
    done_bytes: int
    failed_files: int
    created: Micros
    changed: Micros
    used: Micros
    deleted: Micros | None
    webhook: str | None


class CartFile(NamedTuple):
    """A file of a cart."""

    position: int
    path: str
    archive: str
    item: str
    size: int | None
    mtime: int | None
    state: Literal["waiting", "here", "error"]
    digest: Digest | None
    message: str | None
    algorithm: str | None
    expected: bytes | None


_CART = tuple(cart.c[name] for name in Cart.__dataclass_fields__)
_FILE = tuple(cart_file.c[name] for name in CartFile._fields)


# Carts


def add_cart(  # noqa: PLR0913 - what there is to say of a cart, by name
    connection: Connection,
    uid: str,
    owner: str | None,
    name: str,
    *,
    rooted: bool,
    files: int,
    webhook: str | None,
    now: Micros,
) -> int:
    """A cart whose files are still to be added, and that nobody sees before `show`; its number."""
    counts = {"files": files, "bytes": 0, "done_files": 0, "done_bytes": 0, "failed_files": 0}
    times = {"created": now, "changed": now, "used": now}
    said = {"uid": uid, "owner": owner, "state": "waiting", "message": "", "rooted": rooted, "name": name}
    made = connection.execute(
        insert(cart), {**said, **counts, **times, "planned": False, "deleted": now, "webhook": webhook}
    )
    return int(made.inserted_primary_key[0])  # type: ignore[index]  # an INSERT of one row has it


def show(connection: Connection, cart_id: int) -> None:
    """All of its files are there."""
    connection.execute(update(cart).where(cart.c.id == cart_id).values(deleted=None))


def add_files(connection: Connection, cart_id: int, first: int, entries: Sequence[Entry], archive: str) -> None:
    """Some of its files, in their order; `archive` is for those that name none."""
    if entries:
        rows = [
            {
                "cart_id": cart_id,
                "position": first + number,
                "path": entry.path,
                "archive": entry.archive or archive,
                "item": entry.item,
                "algorithm": entry.algorithm,
                "expected": None if entry.expected is None else bytes.fromhex(entry.expected),
                "state": "waiting",
            }
            for number, entry in enumerate(entries)
        ]
        execute_many(connection, _INSERT_FILE, rows)


_INSERT_FILE = insert(cart_file)


def find_cart(connection: Connection, uid: str) -> Cart | None:
    """The newest one of that name that is still there."""
    asked = select(*_CART).where(cart.c.uid == uid, cart.c.deleted.is_(None)).order_by(cart.c.id.desc()).limit(1)
    return _cart(connection.execute(asked).first())


def cart_by_id(connection: Connection, cart_id: int) -> Cart | None:
    """One point read; None also where it is deleted."""
    asked = select(*_CART).where(cart.c.id == cart_id, cart.c.deleted.is_(None))
    return _cart(connection.execute(asked).first())


def carts_of(connection: Connection, owner: str | None, limit: int, before: int | None) -> list[Cart]:
    """Somebody's carts, the newest first; None: nobody's."""
    asked = select(*_CART).where(cart.c.deleted.is_(None), cart.c.owner == owner)
    return _some_carts(connection, asked, limit, before)


def all_carts(connection: Connection, limit: int, before: int | None) -> list[Cart]:
    """Everybody's carts, the newest first."""
    return _some_carts(connection, select(*_CART).where(cart.c.deleted.is_(None)), limit, before)


def _some_carts(connection: Connection, asked: Any, limit: int, before: int | None) -> list[Cart]:
    if before is not None:
        asked = asked.where(cart.c.id < before)
    return [Cart(*row) for row in connection.execute(asked.order_by(cart.c.id.desc()).limit(limit))]


def usage(connection: Connection, owner: str | None) -> tuple[int, int]:
    """How many carts somebody has, and the bytes of all of them."""
    asked = select(func.count(), func.coalesce(func.sum(cart.c.bytes), 0))
    count, total = connection.execute(asked.where(cart.c.deleted.is_(None), cart.c.owner == owner)).one()
    return int(count), int(total)


def set_state(connection: Connection, cart_id: int, state: State, message: str, now: Micros) -> None:
    """How far it is, and why."""
    changed = update(cart).where(cart.c.id == cart_id)
    connection.execute(changed.values(state=state, message=message, changed=now))


def set_message(connection: Connection, cart_id: int, message: str) -> None:
    """Why it waits."""
    connection.execute(update(cart).where(cart.c.id == cart_id, cart.c.message != message).values(message=message))


def set_used(connection: Connection, cart_id: int, now: Micros) -> None:
    """Somebody asks for its bytes."""
    connection.execute(update(cart).where(cart.c.id == cart_id, cart.c.used < now).values(used=now))


def set_leased(connection: Connection, cart_id: int, until: Micros) -> None:
    """A process sends it, and will have said so again by then."""
    connection.execute(update(cart).where(cart.c.id == cart_id, cart.c.leased_until < until).values(leased_until=until))


def end_lease(connection: Connection, cart_id: int, until: Micros) -> None:
    """Whoever said that sends it no more."""
    connection.execute(update(cart).where(cart.c.id == cart_id, cart.c.leased_until == until).values(leased_until=0))


def set_deleted(connection: Connection, cart_id: int, now: Micros) -> bool:
    """It is no more; its files' rows go in pieces (`remove_files`). False: it was so before."""
    gone = update(cart).where(cart.c.id == cart_id, cart.c.deleted.is_(None))
    return connection.execute(gone.values(deleted=now, changed=now)).rowcount == 1


def remove_files(connection: Connection, cart_id: int, limit: int) -> int:
    """Some of the rows of a cart that is no more; how many."""
    some = (
        select(cart_file.c.position).where(cart_file.c.cart_id == cart_id).order_by(cart_file.c.position).limit(limit)
    )
    positions = list(connection.execute(some).scalars())
    if positions:
        chosen = cart_file.c.position.between(positions[0], positions[-1])
        connection.execute(delete(cart_file).where(cart_file.c.cart_id == cart_id, chosen))
    return len(positions)


def unfinished_removals(connection: Connection, before: Micros) -> list[int]:
    """Carts that are no more since then, or never were shown, and have rows of files."""
    asked = select(cart.c.id).where(cart.c.deleted < before)
    return list(connection.execute(asked.where(exists().where(cart_file.c.cart_id == cart.c.id))).scalars())


def unfinished(connection: Connection) -> list[Cart]:
    """Carts that are neither ready nor have failed."""
    asked = select(*_CART).where(cart.c.deleted.is_(None), cart.c.state.in_(("waiting", "staging")))
    return [Cart(*row) for row in connection.execute(asked)]


def staging_bytes(connection: Connection) -> int:
    """The bytes of carts that have their space and are not whole yet; what is here of them included."""
    asked = select(func.coalesce(func.sum(cart.c.bytes), 0)).where(cart.c.deleted.is_(None))
    return int(connection.execute(asked.where(cart.c.state == "staging", cart.c.planned)).scalar_one())


def least_recently_used(connection: Connection, before: Micros, now: Micros) -> list[Cart]:
    """Carts that nobody has asked for since, the one unused for longest first; never one that is staged or sent."""
    may_go = cart.c.deleted.is_(None), cart.c.used < before, cart.c.leased_until <= now
    asked = select(*_CART).where(*may_go, cart.c.state.in_(("ready", "error")))
    return [Cart(*row) for row in connection.execute(asked.order_by(cart.c.used, cart.c.id).limit(AT_ONCE))]


def changed_before(connection: Connection, before: Micros) -> list[Cart]:
    """Carts that have not changed since, the oldest first."""
    asked = select(*_CART).where(cart.c.deleted.is_(None), cart.c.changed < before)
    return [Cart(*row) for row in connection.execute(asked.order_by(cart.c.changed, cart.c.id).limit(AT_ONCE))]


# Files


def files_of(connection: Connection, cart_id: int, after: int = -1, limit: int = 10_000) -> list[CartFile]:
    """The next of its files, in order."""
    asked = select(*_FILE).where(cart_file.c.cart_id == cart_id, cart_file.c.position > after)
    return [CartFile(*row) for row in connection.execute(asked.order_by(cart_file.c.position).limit(limit))]


def all_files(connection: Connection, cart_id: int) -> Iterator[CartFile]:
    """All of its files, in order."""
    after = -1
    while batch := files_of(connection, cart_id, after):
        yield from batch
        after = batch[-1].position


def file_at(connection: Connection, cart_id: int, path: str) -> CartFile | None:
    """The file at a path; a walk through the cart's rows."""
    asked = select(*_FILE).where(cart_file.c.cart_id == cart_id, cart_file.c.path == path)
    row = connection.execute(asked.limit(1)).first()
    return None if row is None else CartFile(*tuple(row))


def archives_of(connection: Connection, cart_id: int) -> list[str]:
    """The archives that its files wait for."""
    asked = select(cart_file.c.archive).where(cart_file.c.cart_id == cart_id, cart_file.c.state == "waiting")
    return sorted(connection.execute(asked.distinct()).scalars())


def members_of(connection: Connection, cart_id: int) -> list[tuple[str, int, int, Digest]]:
    """Path, size, time and digest of all that is here, in order; of a hundred thousand in half a second."""
    asked = select(cart_file.c.path, cart_file.c.size, cart_file.c.mtime, type_coerce(cart_file.c.digest, LargeBinary))
    asked = asked.where(cart_file.c.cart_id == cart_id, cart_file.c.digest.is_not(None)).order_by(cart_file.c.position)
    return [(row[0], row[1], row[2], Digest(row[3].hex())) for row in connection.execute(asked)]


def unplanned(connection: Connection, cart_id: int, after: int, limit: int) -> list[CartFile]:
    """The next of its files, behind a position, that nobody has asked an archive about."""
    asked = select(*_FILE).where(cart_file.c.cart_id == cart_id, cart_file.c.position > after)
    asked = asked.where(cart_file.c.source_id.is_(None))
    asked = asked.where(cart_file.c.state == "waiting")
    return [CartFile(*row) for row in connection.execute(asked.order_by(cart_file.c.position).limit(limit))]


def are_unplanned(connection: Connection, cart_id: int, count: int) -> bool:
    """Are there so many of them?"""
    asked = select(cart_file.c.position).where(cart_file.c.cart_id == cart_id, cart_file.c.source_id.is_(None))
    some = asked.where(cart_file.c.state == "waiting").limit(count).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one()) == count


def failures_of(connection: Connection, cart_id: int, limit: int) -> list[CartFile]:
    """The first of its files that never will be here."""
    asked = select(*_FILE).where(cart_file.c.cart_id == cart_id, cart_file.c.state == "error")
    return [CartFile(*row) for row in connection.execute(asked.order_by(cart_file.c.position).limit(limit))]


def lose(connection: Connection, cart_id: int, positions: Sequence[int]) -> None:
    """Some of its files were here, and their bytes are gone: they have failed."""
    for at in range(0, len(positions), AT_ONCE):
        here = (cart_file.c.cart_id == cart_id, cart_file.c.position.in_(positions[at : at + AT_ONCE]))
        counted = select(func.count(), func.coalesce(func.sum(cart_file.c.size), 0))
        count, size = connection.execute(counted.where(*here, cart_file.c.state == "here")).one()
        connection.execute(update(cart_file).where(*here).values(state="error", digest=None))
        less = {"done_files": cart.c.done_files - int(count), "done_bytes": cart.c.done_bytes - int(size)}
        connection.execute(update(cart).where(cart.c.id == cart_id).values(**less))


def wait_anew(connection: Connection, cart_id: int, now: Micros) -> None:
    """All that failed is tried once more, and what it came from."""
    failed = (cart_file.c.cart_id == cart_id, cart_file.c.state == "error")
    sources = select(cart_file.c.source_id).where(*failed)
    again = update(cart_source).where(cart_source.c.id.in_(sources), cart_source.c.state == "error")
    connection.execute(again.values(state="waiting", due=now, asked=None, attempts=0))
    connection.execute(update(cart_file).where(*failed).values(state="waiting", message=None, source_id=None))
    row = update(cart).where(cart.c.id == cart_id)
    connection.execute(row.values(state="staging", message="", failed_files=0, planned=False, changed=now))


# Blobs


def holder() -> Holder:
    """What carts and their sources refer to."""

    def kept(digest: ColumnElement[Digest]) -> ColumnElement[bool]:
        return exists().where(cart_file.c.digest == digest)

    def cached(digest: ColumnElement[Digest]) -> ColumnElement[bool]:
        return exists().where(cart_source.c.digest == digest)

    def forget(connection: Connection, digests: Sequence[Digest]) -> None:
        gone = update(cart_source).where(cart_source.c.digest.in_(digests))
        connection.execute(gone.values(digest=None, state="waiting", near=False, asked=None, attempts=0))

    def audit(connection: Connection) -> Iterator[tuple[Digest, str]]:
        files = select(cart_file.c.digest, cart.c.uid, cart_file.c.path).join_from(
            cart_file, cart, cart.c.id == cart_file.c.cart_id
        )
        for row in connection.execute(files.where(cart_file.c.digest.is_not(None))):
            yield row[0], f"cart {row[1]}/{row[2]}"
        sources = select(cart_source.c.digest, cart_source.c.archive, cart_source.c.item)
        for row in connection.execute(sources.where(cart_source.c.digest.is_not(None))):
            yield row[0], f"{row[1]}: {row[2]}"

    return Holder(name="carts", kept=kept, cached=cached, forget=forget, audit=audit)


def _cart(row: Row[Any] | None) -> Cart | None:
    return None if row is None else Cart(*tuple(row))


def counts_by_state(connection: Connection) -> Mapping[str, int]:
    """How many carts are how far."""
    asked = select(cart.c.state, func.count()).where(cart.c.deleted.is_(None)).group_by(cart.c.state)
    return {state: int(number) for state, number in connection.execute(asked)}
