"""The rows of blobs, and every question that is asked of them.

A row is in one of four states:

    (no row) -> ok          bytes and directory are synced, then the row is committed
    ok -> deleting          nobody holds it, or it is evicted; its bytes are still there, `due` says how long
    deleting -> ok          somebody needs it after all
    deleting -> gone        in a transaction of its own, before the bytes are unlinked
    gone -> (no row)        after they are; who meets `gone` waits and writes anew
    ok -> corrupt           the bytes were found wrong and moved to quarantine
    corrupt -> ok           the right bytes came

`verified` is when a blob's bytes were last hashed: on their way in, or by a scrub.

`segment_id` and `segment_offset` (of the bytes, not of their record) are for small blobs that lie together in one file
(`segments.py`); both NULL: a file of its own, or, where the state is `corrupt`, none.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    and_,
    bindparam,
    delete,
    func,
    literal,
    null,
    or_,
    select,
    update,
)

from creamery.blobs.segments import Place
from creamery.clock import Micros
from creamery.contract import Digest
from creamery.database import TABLE_OPTIONS, DigestColumn, Prepared, execute_many, insert_unless_there, metadata

OK = "ok"
DELETING = "deleting"
GONE = "gone"
CORRUPT = "corrupt"

ROWS_AT_ONCE = 1_000

blob = Table(
    "blob",
    metadata,
    Column("digest", DigestColumn, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("crc32", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("segment_id", BigInteger, nullable=True),
    Column("segment_offset", BigInteger, nullable=True),
    Column("created", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("verified", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=True),
    Index("ix_blob_segment", "segment_id", "segment_offset"),
    Index("ix_blob_state_used", "state", "used"),
    Index("ix_blob_state_due", "state", "due"),
    **TABLE_OPTIONS,
)

blob_digest = Table(
    "blob_digest",
    metadata,
    Column("digest", DigestColumn, primary_key=True),
    Column("algorithm", String(16), primary_key=True),
    Column("value", LargeBinary(64), nullable=False),
    **TABLE_OPTIONS,
)

store = Table(
    "store",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("instance", String(36), nullable=False),
    Column("format", Integer, nullable=False),
    Column("epoch", String(36), nullable=False),
    Column("swept", BigInteger, nullable=True),
    Column("scrubbing", BigInteger, nullable=True),
    **TABLE_OPTIONS,
)

blob_pause = Table(
    "blob_pause",
    metadata,
    Column("holder", String(36), primary_key=True),
    Column("until", BigInteger, nullable=False),
    **TABLE_OPTIONS,
)


@dataclass(frozen=True, slots=True)
class Fresh:
    """A blob whose bytes are durably in their place and whose row is wanted; `place` is None for a file of its own."""

    digest: Digest
    size: int
    crc32: int
    place: Place | None = None


def take(connection: Connection, digest: Digest, now: Micros) -> bool:
    """Lock the blob's row and see that it stays: `deleting` and `corrupt` become `ok`. False: no row, or `gone`.

    Always an UPDATE, never a mere lock: a sweep that waited for the row judges it anew on PostgreSQL only when its
    row has changed, and then sees from `used` that it is needed. One statement.
    """
    return _TAKE.run(connection, {"key": digest, "now": now}).rowcount == 1


_TAKE = Prepared(
    update(blob)
    .where(blob.c.digest == bindparam("key"), blob.c.state != literal(GONE))
    .values(state=literal(OK), due=null(), used=bindparam("now"), changed=bindparam("now"))
)


def take_all(connection: Connection, some: Sequence[Digest], now: Micros) -> None:
    """`take` of many; those that are `gone`, or have no row, stay so."""
    for start in range(0, len(some), ROWS_AT_ONCE):
        chosen = update(blob).where(blob.c.digest.in_(some[start : start + ROWS_AT_ONCE]), blob.c.state != GONE)
        connection.execute(chosen.values(state=OK, due=None, used=now, changed=now))


def add(connection: Connection, fresh: Fresh, now: Micros, state: str = OK) -> bool:
    """Insert the blob's row; False when there is one, which is then taken by nobody. One statement."""
    return _ADD.run(connection, _values(fresh, now, state)).rowcount == 1


_ADD = Prepared(lambda connection: insert_unless_there(connection, blob), [column.key for column in blob.columns])


def _values(fresh: Fresh, now: Micros, state: str) -> dict[str, Any]:
    return {
        "digest": fresh.digest,
        "size": fresh.size,
        "crc32": fresh.crc32,
        "state": state,
        "segment_id": None if fresh.place is None else fresh.place.segment,
        "segment_offset": None if fresh.place is None else fresh.place.offset,
        "created": now,
        "used": now,
        "verified": now,
        "changed": now,
        "due": now if state == GONE else None,
    }


def add_all(connection: Connection, fresh: Sequence[Fresh], now: Micros) -> list[Fresh]:
    """`add` of many in one statement; those that had a row before, which is then taken by nobody.

    Nobody else adds rows meanwhile: committers take turns (`lock_writers`).
    """
    there: set[Digest] = set()
    for start in range(0, len(fresh), ROWS_AT_ONCE):
        there.update(those_known(connection, [each.digest for each in fresh[start : start + ROWS_AT_ONCE]]))
    new = {each.digest: each for each in fresh if each.digest not in there}
    if new:
        execute_many(
            connection, insert_unless_there(connection, blob), [_values(each, now, OK) for each in new.values()]
        )
    return [each for each in fresh if each.digest in there]


def checksums(connection: Connection, some: Sequence[Digest]) -> dict[Digest, int]:
    """The CRC-32 of each that has a row."""
    found: dict[Digest, int] = {}
    for start in range(0, len(some), ROWS_AT_ONCE):
        asked = select(blob.c.digest, blob.c.crc32).where(blob.c.digest.in_(some[start : start + ROWS_AT_ONCE]))
        found.update((digest, int(crc32)) for digest, crc32 in connection.execute(asked))
    return found


def state_of(connection: Connection, digest: Digest) -> str | None:
    """One point read; None where there is no row."""
    return connection.execute(select(blob.c.state).where(blob.c.digest == digest)).scalar_one_or_none()


def remove_gone(connection: Connection, digests: Sequence[Digest]) -> int:
    """Delete the rows of unlinked blobs; a row in any other state stays. Returns how many went."""
    connection.execute(
        delete(blob_digest).where(
            blob_digest.c.digest.in_(select(blob.c.digest).where(blob.c.digest.in_(digests), blob.c.state == GONE))
        )
    )
    return connection.execute(delete(blob).where(blob.c.digest.in_(digests), blob.c.state == GONE)).rowcount


# Uses and verification


def set_used(connection: Connection, uses: Mapping[Digest, Micros]) -> None:
    """Move `used` forward; in order of digest, so that two processes lock in one order."""
    later = (
        update(blob)
        .where(blob.c.digest == bindparam("key"), blob.c.used < bindparam("moment"))
        .values(used=bindparam("moment"))
    )
    connection.execute(later, [{"key": digest, "moment": uses[digest]} for digest in sorted(uses)])


def set_corrupt(connection: Connection, digest: Digest, now: Micros) -> bool:
    """The bytes were moved away: the row says so. False where there is no row."""
    found = update(blob).where(blob.c.digest == digest, blob.c.state.in_((OK, DELETING)))
    changed = found.values(state=CORRUPT, segment_id=None, segment_offset=None, due=None, changed=now)
    return connection.execute(changed).rowcount == 1


# Sweep and eviction


@dataclass(frozen=True, slots=True)
class Used:
    """A blob and its last use."""

    digest: Digest
    size: int
    used: Micros


def is_idle(before: Micros) -> ColumnElement[bool]:
    """In `ok`, and neither taken nor used since `before`."""
    return and_(blob.c.state == OK, blob.c.used < before, blob.c.changed < before)


def is_due(now: Micros) -> ColumnElement[bool]:
    """Its grace is over; or it is `gone`, which is always due."""
    return or_(blob.c.state == GONE, and_(blob.c.state == DELETING, blob.c.due <= now))


def count(connection: Connection, condition: ColumnElement[bool] | None = None) -> int:
    """How many blobs; a walk through the table."""
    wanted = condition if condition is not None else blob.c.state == OK
    return connection.execute(select(func.count()).select_from(blob).where(wanted)).scalar_one()


def total_bytes(connection: Connection, condition: ColumnElement[bool] | None = None) -> int:
    """The size of them all together; a walk through the table."""
    wanted = condition if condition is not None else blob.c.state == OK
    return int(connection.execute(select(func.coalesce(func.sum(blob.c.size), 0)).where(wanted)).scalar_one())


def digests(
    connection: Connection, condition: ColumnElement[bool], limit: int, after: Digest | None = None
) -> list[Digest]:
    """The first `limit` digests beyond `after`, in order."""
    asked = select(blob.c.digest).where(condition).order_by(blob.c.digest).limit(limit)
    if after is not None:
        asked = asked.where(blob.c.digest > after)
    return list(connection.execute(asked).scalars())


def those_known(connection: Connection, some: Sequence[Digest]) -> list[Digest]:
    """Which of them have a row."""
    return list(connection.execute(select(blob.c.digest).where(blob.c.digest.in_(some))).scalars())


def those_gone(connection: Connection, some: Sequence[Digest]) -> list[Digest]:
    """Which of them are `gone`."""
    gone = select(blob.c.digest).where(blob.c.digest.in_(some), blob.c.state == GONE)
    return list(connection.execute(gone).scalars())


def least_recently_used(connection: Connection, condition: ColumnElement[bool], limit: int, offset: int) -> list[Used]:
    """In the order in which they are evicted."""
    asked = (
        select(blob.c.digest, blob.c.size, blob.c.used)
        .where(condition)
        .order_by(blob.c.used, blob.c.digest)
        .limit(limit)
        .offset(offset)
    )
    return [Used(digest, size, Micros(used)) for digest, size, used in connection.execute(asked)]


def take_unused(connection: Connection, chosen: Sequence[Used], condition: ColumnElement[bool]) -> list[Digest]:
    """Lock those that are as they were chosen.

    A row that was taken or used meanwhile has a later `used`. PostgreSQL asks the row itself anew once it has its
    lock, but the holders' tables only as they were when the statement began; so `used` decides.
    """
    if not chosen:
        return []
    last_use = max(used.used for used in chosen)
    asked = (
        select(blob.c.digest)
        .where(blob.c.digest.in_([used.digest for used in chosen]), blob.c.used <= last_use, condition)
        .order_by(blob.c.digest)
        .with_for_update()
    )
    return list(connection.execute(asked).scalars())


def set_deleting(
    connection: Connection, some: Sequence[Digest], condition: ColumnElement[bool], now: Micros, due: Micros
) -> int:
    """`ok` -> `deleting` for those that `condition` still holds for."""
    if not some:
        return 0
    changed = connection.execute(
        update(blob).where(blob.c.digest.in_(some), condition).values(state=DELETING, due=due, changed=now)
    )
    return changed.rowcount


def set_gone(connection: Connection, some: Sequence[Digest], condition: ColumnElement[bool]) -> None:
    """`deleting` -> `gone` for those that `condition` still holds for."""
    connection.execute(update(blob).where(blob.c.digest.in_(some), condition).values(state=GONE))


def set_ok(connection: Connection, some: Sequence[Digest], condition: ColumnElement[bool], now: Micros) -> int:
    """`deleting` -> `ok` for those that `condition` holds for."""
    changed = connection.execute(
        update(blob)
        .where(blob.c.digest.in_(some), blob.c.state == DELETING, condition)
        .values(state=OK, due=None, changed=now)
    )
    return changed.rowcount


def swept(connection: Connection) -> int | None:
    """When the last sweep was."""
    return connection.execute(select(store.c.swept).where(store.c.id == 1)).scalar_one_or_none()


def set_swept(connection: Connection, now: Micros) -> None:
    """A sweep was now."""
    connection.execute(update(store).where(store.c.id == 1).values(swept=now))


def forget_the_future(connection: Connection, now: Micros, latest_due: Micros) -> None:
    """Moments that a clock wrote which has been set back since: with them a blob would stay for as long again."""
    connection.execute(update(blob).where(blob.c.used > now).values(used=now))
    connection.execute(update(blob).where(blob.c.changed > now).values(changed=now))
    connection.execute(update(blob).where(blob.c.due > latest_due).values(due=latest_due))


# Audit


@dataclass(frozen=True, slots=True)
class Row:
    """What an audit asks of a blob's row."""

    digest: Digest
    size: int
    state: str


def in_files(connection: Connection, limit: int, after: Digest | None) -> list[Row]:
    """The next blobs in order of digest that have a file of their own."""
    asked = select(blob.c.digest, blob.c.size, blob.c.state).where(blob.c.segment_id.is_(None))
    if after is not None:
        asked = asked.where(blob.c.digest > after)
    return [Row(*row) for row in connection.execute(asked.order_by(blob.c.digest).limit(limit))]


def this(digest: Digest) -> ColumnElement[Digest]:
    """A digest where a holder expects a column of them."""
    return literal(digest, DigestColumn())


def holds(connection: Connection, condition: ColumnElement[bool]) -> bool:
    """Is it so? For conditions over `this`."""
    return bool(connection.execute(select(condition)).scalar_one())


def remove(connection: Connection, digest: Digest) -> None:
    """Delete a row whose bytes are away and that nobody holds."""
    connection.execute(delete(blob_digest).where(blob_digest.c.digest == digest))
    connection.execute(delete(blob).where(blob.c.digest == digest))


# Scrub


def scrubbing(connection: Connection) -> Micros | None:
    """When the present pass of the scrub began; None before the first."""
    began = connection.execute(select(store.c.scrubbing).where(store.c.id == 1)).scalar_one_or_none()
    return None if began is None else Micros(began)


def begin_scrubbing(connection: Connection, now: Micros) -> None:
    """A pass begins: what was last hashed before now is to be read in it."""
    connection.execute(update(store).where(store.c.id == 1).values(scrubbing=now))


def is_unverified(since: Micros) -> ColumnElement[bool]:
    """Not hashed since then."""
    return and_(blob.c.state == OK, blob.c.verified < since)


def unverified(connection: Connection, since: Micros, limit: int, after: Digest | None) -> list[Row]:
    """The next blobs in order of digest that were not hashed since then."""
    asked = select(blob.c.digest, blob.c.size, blob.c.state).where(is_unverified(since))
    if after is not None:
        asked = asked.where(blob.c.digest > after)
    return [Row(*row) for row in connection.execute(asked.order_by(blob.c.digest).limit(limit))]


def set_verified(connection: Connection, some: Sequence[Digest], now: Micros) -> None:
    """They were looked at now."""
    connection.execute(update(blob).where(blob.c.digest.in_(sorted(some))).values(verified=now))


# Backup and restore


def stored(
    connection: Connection, kept: ColumnElement[bool], cached: ColumnElement[bool]
) -> Iterator[tuple[Digest, int, str, bool, bool]]:
    """Every blob but those that are `gone`: digest, size, state, and whether anybody holds it; in order of digest."""
    asked = select(blob.c.digest, blob.c.size, blob.c.state, kept, cached).where(blob.c.state != GONE)
    found = connection.execute(asked.order_by(blob.c.digest), execution_options={"yield_per": ROWS_AT_ONCE})
    for digest, size, state, is_kept, is_cached in found:
        yield digest, size, state, bool(is_kept), bool(is_cached)


def begin_epoch(connection: Connection, epoch: str) -> None:
    """Serials count anew from some point in the past; pauses of the past are over, and a sweep has yet to be."""
    connection.execute(update(store).where(store.c.id == 1).values(epoch=epoch, swept=None))
    connection.execute(delete(blob_pause))


def remove_unless(connection: Connection, some: Sequence[Digest], held: ColumnElement[bool]) -> int:
    """Delete those rows that nobody holds. Returns how many went."""
    asked = select(blob.c.digest).where(blob.c.digest.in_(some), ~held)
    unheld = list(connection.execute(asked).scalars())
    connection.execute(delete(blob_digest).where(blob_digest.c.digest.in_(unheld)))
    connection.execute(delete(blob).where(blob.c.digest.in_(unheld)))
    return len(unheld)


def set_found(connection: Connection, some: Sequence[Digest], now: Micros) -> None:
    """`corrupt` -> `ok`: the right bytes came."""
    found = update(blob).where(blob.c.digest.in_(some), blob.c.state == CORRUPT)
    connection.execute(found.values(state=OK, changed=now, verified=now))


def remove_all_gone(connection: Connection) -> None:
    """Rows whose files a sweep had begun to unlink: in a new place there are none."""
    gone = select(blob.c.digest).where(blob.c.state == GONE)
    connection.execute(delete(blob_digest).where(blob_digest.c.digest.in_(gone)))
    connection.execute(delete(blob).where(blob.c.state == GONE))


# The owner


def owner(connection: Connection) -> tuple[str, int] | None:
    """The instance and format that this database belongs to; None where it is new."""
    row = connection.execute(select(store.c.instance, store.c.format).where(store.c.id == 1)).first()
    return None if row is None else (row[0], row[1])


def set_owner(connection: Connection, instance: str, format_number: int) -> tuple[str, int]:
    """Name the owner where none is named; returns the one that is."""
    values = {"id": 1, "instance": instance, "format": format_number, "epoch": str(uuid.uuid4())}
    connection.execute(insert_unless_there(connection, store).values(values))
    row = connection.execute(select(store.c.instance, store.c.format).where(store.c.id == 1)).one()
    return row[0], row[1]


def epoch(connection: Connection) -> str:
    """A name for the line of serials that this database counts; a new one after each restore."""
    return str(connection.execute(select(store.c.epoch).where(store.c.id == 1)).scalar_one())


def has_blobs(connection: Connection) -> bool:
    """Is there any row of a blob?"""
    return connection.execute(select(blob.c.digest).limit(1)).first() is not None
