"""What carts wait for: an archive's files, each brought once for all carts that want it. The questions about them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, func, select, update

from creamery.carts.notice import tell
from creamery.carts.tables import (
    AT_ONCE,
    Cart,
    State,
    cart,
    cart_by_id,
    cart_file,
    cart_source,
    failures_of,
    set_state,
)
from creamery.clock import Micros
from creamery.contract import Digest
from creamery.database import execute_many, insert_unless_there

MAX_VERSION = 255
"""Characters of a version that a row takes."""


class Source(NamedTuple):
    """An archive's file that carts wait for."""

    id: int
    archive: str
    item: str
    size: int
    mtime: int
    version: str
    near: bool
    state: Literal["waiting", "asked", "here", "error"]
    due: Micros
    asked: Micros | None
    attempts: int
    digest: Digest | None


class Planned(NamedTuple):
    """What an archive says of a file: the source that it comes from; its blob, where it is one of this hub already."""

    position: int
    archive: str
    item: str
    size: int
    mtime: int
    version: str
    near: bool
    digest: Digest | None

    @property
    def key(self) -> Digest:
        """What makes a source one and the same."""
        said = (self.archive, self.item, str(self.size), str(self.mtime), self.version)
        return Digest(hashlib.sha256("\0".join(said).encode("utf-8", "surrogatepass")).hexdigest())


class Waiting(NamedTuple):
    """A file that waits for a source: what its bytes must be."""

    cart_id: int
    position: int
    path: str
    source_id: int
    algorithm: str | None
    expected: str | None


class Settled(NamedTuple):
    """What became of a file that waited."""

    cart_id: int
    position: int
    size: int
    digest: Digest | None
    message: str | None


_SOURCE = tuple(cart_source.c[name] for name in Source._fields)


# Planning


def plan(connection: Connection, cart_id: int, planned: Sequence[Planned], now: Micros) -> list[Source]:
    """Let files wait for their sources, which are made where they are new. The sources, as they are now."""
    if not planned:
        return []
    keys = [each.key for each in planned]
    rows = [
        {
            "key": key,
            "archive": each.archive,
            "item": each.item,
            "size": each.size,
            "mtime": each.mtime,
            "version": each.version,
            "near": each.near,
            "state": "waiting",
            "due": now,
            "attempts": 0,
        }
        for key, each in zip(keys, planned, strict=True)
    ]
    execute_many(connection, insert_unless_there(connection, cart_source), rows)
    found: dict[Digest, Source] = {}
    for start in range(0, len(planned), AT_ONCE):
        some = cart_source.c.key.in_(keys[start : start + AT_ONCE])
        for row in connection.execute(select(cart_source.c.key, *_SOURCE).where(some)):
            found[row[0]] = Source(*row[1:])
    placed = [
        {
            "of": cart_id,
            "at": each.position,
            "from": found[key].id,
            "long": each.size,
            "moment": each.mtime,
        }
        for key, each in zip(keys, planned, strict=True)
    ]
    execute_many(connection, _PLACE, placed)
    return list(found.values())


_PLACE = (
    update(cart_file)
    .where(cart_file.c.cart_id == bindparam("of"), cart_file.c.position == bindparam("at"))
    .values(source_id=bindparam("from"), size=bindparam("long"), mtime=bindparam("moment"))
)


def sizes(connection: Connection, cart_id: int) -> tuple[int, int]:
    """The bytes of a planned cart, and how many of them its archives have yet to bring."""
    total = select(func.coalesce(func.sum(cart_file.c.size), 0)).where(cart_file.c.cart_id == cart_id)
    wanted = select(cart_file.c.source_id).where(cart_file.c.cart_id == cart_id)
    away = select(func.coalesce(func.sum(cart_source.c.size), 0)).where(
        cart_source.c.id.in_(wanted), cart_source.c.state.in_(("waiting", "asked"))
    )
    return int(connection.execute(total).scalar_one()), int(connection.execute(away).scalar_one())


def promised(connection: Connection, cart_id: int) -> int:
    """The bytes that were promised to other carts and have not come, but for those that this one waits for, too."""
    own = select(cart_file.c.source_id).where(cart_file.c.cart_id == cart_id, cart_file.c.source_id.is_not(None))
    asked = select(func.coalesce(func.sum(cart_source.c.size), 0)).where(_OPEN, _WANTED, cart_source.c.id.not_in(own))
    return int(connection.execute(asked).scalar_one())


def set_planned(connection: Connection, cart_id: int, total: int, now: Micros) -> None:
    """All of its files have a source, or have failed."""
    connection.execute(update(cart).where(cart.c.id == cart_id).values(planned=True, bytes=total, changed=now))


# Sources


_OPEN = cart_source.c.state.in_(("waiting", "asked"))
_WANTED = exists().where(
    cart_file.c.source_id == cart_source.c.id,
    cart_file.c.state == "waiting",
    cart.c.id == cart_file.c.cart_id,
    cart.c.planned,
    cart.c.deleted.is_(None),
)
"""By a cart that has its room: for one that may still be refused, or was, nothing is fetched."""


def due_sources(
    connection: Connection, archive: str, state: Literal["waiting", "asked"], now: Micros, limit: int, *, near: bool
) -> list[Source]:
    """Sources that some cart waits for and that something can be done for now, the longest due first.

    A range of the index, in its order.
    """
    asked = select(*_SOURCE).where(cart_source.c.archive == archive, cart_source.c.state == state)
    asked = asked.where(cart_source.c.due <= now, cart_source.c.near == near, _WANTED)
    return _sources(connection, asked.order_by(cart_source.c.due, cart_source.c.id).limit(limit))


def are_due(connection: Connection, archive: str, now: Micros, count: int) -> bool:
    """Are there so many that can be fetched now?"""
    asked = select(cart_source.c.id).where(cart_source.c.archive == archive, cart_source.c.state == "waiting")
    some = asked.where(cart_source.c.due <= now, cart_source.c.near, _WANTED).limit(count).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one()) == count


def here_and_waited_for(connection: Connection, archive: str, limit: int) -> list[Source]:
    """Sources that were fetched, and some cart's file has not been told: it came while they were."""
    asked = select(*_SOURCE).where(cart_source.c.archive == archive, cart_source.c.state == "here", _WANTED)
    return _sources(connection, asked.limit(limit))


def waited_for(connection: Connection, archive: str, limit: int) -> list[Source]:
    """Whatever some cart waits for and is not here, due or not."""
    asked = select(*_SOURCE).where(cart_source.c.archive == archive, _OPEN, _WANTED)
    return _sources(connection, asked.limit(limit))


def carts_waiting(connection: Connection, archive: str) -> list[int]:
    """The carts that wait for something of an archive."""
    asked = select(cart.c.id).where(cart.c.deleted.is_(None), cart.c.state.in_(("waiting", "staging")))
    waits = exists().where(
        cart_file.c.cart_id == cart.c.id, cart_file.c.archive == archive, cart_file.c.state == "waiting"
    )
    return list(connection.execute(asked.where(waits)).scalars())


def next_due(connection: Connection, archive: str) -> Micros | None:
    """When something can be done next for what carts wait for; None: they wait for nothing there."""
    asked = select(func.min(cart_source.c.due)).where(cart_source.c.archive == archive, _OPEN, _WANTED)
    moment = connection.execute(asked).scalar()
    return None if moment is None else Micros(int(moment))


def unwanted_asked(connection: Connection, archive: str, limit: int) -> list[Source]:
    """What an archive was asked to bring near, and nobody waits for any more."""
    asked = select(*_SOURCE).where(cart_source.c.archive == archive, cart_source.c.state == "asked", ~_WANTED)
    return _sources(connection, asked.limit(limit))


def asked_count(connection: Connection, archive: str) -> int:
    """How many an archive is bringing near just now."""
    asked = select(func.count()).where(cart_source.c.archive == archive, cart_source.c.state == "asked")
    return int(connection.execute(asked.where(~cart_source.c.near)).scalar_one())


def set_sources(connection: Connection, sources: Sequence[Source]) -> None:
    """Write down how far these are."""
    if sources:
        execute_many(connection, _SET_SOURCE, [_source_values(source) for source in sources])


_SET_SOURCE = (
    update(cart_source)
    .where(cart_source.c.id == bindparam("of"))
    .values(
        near=bindparam("is_near"),
        state=bindparam("is_now"),
        due=bindparam("comes"),
        asked=bindparam("asked_at"),
        attempts=bindparam("tries"),
        digest=bindparam("has"),
    )
)


def _source_values(source: Source) -> dict[str, Any]:
    return {
        "of": source.id,
        "is_near": source.near,
        "is_now": source.state,
        "comes": source.due,
        "asked_at": source.asked,
        "tries": source.attempts,
        "has": source.digest,
    }


def remove_unwanted(connection: Connection, limit: int) -> int:
    """Rows of sources that no cart's file names and whose bytes are not here; how many went."""
    unnamed = ~exists().where(cart_file.c.source_id == cart_source.c.id)
    some = select(cart_source.c.id).where(cart_source.c.digest.is_(None), cart_source.c.state != "asked", unnamed)
    numbers = list(connection.execute(some.limit(limit)).scalars())
    if numbers:
        connection.execute(delete(cart_source).where(cart_source.c.id.in_(numbers)))
    return len(numbers)


def waiting_for(connection: Connection, sources: Sequence[int]) -> list[Waiting]:
    """The files of living carts that wait for these sources."""
    found = []
    columns = (cart_file.c[name] for name in Waiting._fields)
    asked = select(*columns).where(cart_file.c.state == "waiting")
    for start in range(0, len(sources), AT_ONCE):
        some = asked.where(cart_file.c.source_id.in_(sources[start : start + AT_ONCE]))
        for row in connection.execute(some):
            expected = None if row.expected is None else row.expected.hex()
            found.append(Waiting(row.cart_id, row.position, row.path, row.source_id, row.algorithm, expected))
    return found


def wanted_hashes(connection: Connection, sources: Sequence[int]) -> list[tuple[int, str]]:
    """By which algorithms files that wait for these sources are verified, as pairs of a source and a name."""
    asked = select(cart_file.c.source_id, cart_file.c.algorithm).where(cart_file.c.state == "waiting").distinct()
    asked = asked.where(cart_file.c.algorithm.is_not(None))
    found: list[tuple[int, str]] = []
    for start in range(0, len(sources), AT_ONCE):
        some = asked.where(cart_file.c.source_id.in_(sources[start : start + AT_ONCE]))
        found += [(row[0], row[1]) for row in connection.execute(some)]
    return found


def settle(connection: Connection, settled: Sequence[Settled], now: Micros) -> None:
    """Files are here, or never will be; carts for which nothing is left become `ready`, or `error`."""
    if not settled:
        return
    rows = [
        {
            "of": each.cart_id,
            "at": each.position,
            "is_now": "here" if each.message is None else "error",
            "has": each.digest,
            "said": each.message,
        }
        for each in settled
    ]
    execute_many(connection, _SETTLE, rows)
    sums: dict[int, list[int]] = {}
    for each in settled:
        counts = sums.setdefault(each.cart_id, [0, 0, 0])
        counts[0] += each.message is None
        counts[1] += each.size if each.message is None else 0
        counts[2] += each.message is not None
    for cart_id in sorted(sums):
        done, size, failed = sums[cart_id]
        row = update(cart).where(cart.c.id == cart_id)
        connection.execute(
            row.values(
                done_files=cart.c.done_files + done,
                done_bytes=cart.c.done_bytes + size,
                failed_files=cart.c.failed_files + failed,
                changed=now,
            )
        )
        finish(connection, cart_id, now)


_SETTLE = (
    update(cart_file)
    .where(cart_file.c.cart_id == bindparam("of"), cart_file.c.position == bindparam("at"))
    .values(state=bindparam("is_now"), digest=bindparam("has"), message=bindparam("said"))
)


def finish(connection: Connection, cart_id: int, now: Micros) -> None:
    """`ready` or `error`, where nothing is left to wait for."""
    found = cart_by_id(connection, cart_id)
    if found is None or not found.planned or found.done_files + found.failed_files < found.files:
        return
    if not found.failed_files:
        _end(connection, found, "ready", "", now)
        return
    first = failures_of(connection, cart_id, 1)[0]
    more = f" (and {found.failed_files - 1} more)" if found.failed_files > 1 else ""
    _end(connection, found, "error", f"{first.path}: {first.message}{more}", now)


def fail(connection: Connection, cart_id: int, message: str, now: Micros) -> None:
    """`error`, of a cart that cannot be had as a whole."""
    found = cart_by_id(connection, cart_id)
    if found is not None:
        _end(connection, found, "error", message, now)


def _end(connection: Connection, found: Cart, state: State, message: str, now: Micros) -> None:
    tell(connection, found, now)
    set_state(connection, found.id, state, message, now)


def _sources(connection: Connection, asked: Any) -> list[Source]:
    return [Source(*row) for row in connection.execute(asked)]
