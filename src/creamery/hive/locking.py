"""Locks taken, renewed and given up (RFC 4918 sections 6, 7, 9.10, 9.11): each is one write of the committer's."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from creamery.hive.acts import Act
from creamery.hive.errors import ConditionFailed, LockConflict, NotThere, TooManyLocks, WrongToken
from creamery.hive.ledger import Space, settle, space_now
from creamery.hive.locks import Lock, covers, lies_below, live
from creamery.hive.nodes import Found, Node, chain_of
from creamery.hive.tables import lock
from creamery.hive.tree import Check, Place, allow_everything, follow


@dataclass(frozen=True, slots=True)
class Wish:
    """The lock that somebody wants.

    Attributes:
        is_exclusive: nobody else may have one.
        is_deep: for everything below, too.
        owner: what they say of themselves, as XML.
        seconds: how long it lives.
    """

    is_exclusive: bool
    is_deep: bool
    owner: str
    seconds: int


def take(
    connection: Connection, act: Act, place: Place, wish: Wish, most: int, check: Check = allow_everything
) -> tuple[Lock, Node]:
    """A lock on something that is there. `most`: locks that a space may have.

    Raises:
        NotThere: it is not. LockConflict: somebody has one that does not go with it.
        ConditionFailed, TooManyLocks: there is none.
    """
    row = _without_expired(connection, space_now(connection, place.space_id), act.now)
    found = follow(connection, row, place.names)
    if found.node is None:
        raise NotThere(str(place))
    check(found.node)
    there = live(connection, row, act.now)
    _refuse_conflicts(connection, there, found, wish)
    if len(there) >= most:
        raise TooManyLocks(most)
    taken = Lock(
        token=uuid.uuid4().urn,
        node_id=found.node.id,
        is_deep=wish.is_deep and found.node.is_folder,
        is_exclusive=wish.is_exclusive,
        owner=wish.owner,
        user_id=act.user_id or 0,
        created=act.now,
        expires=act.now + wish.seconds * 1_000_000,
    )
    connection.execute(insert(lock), {**taken._asdict(), "space_id": row.id})
    settle(connection, row._replace(lock_count=row.lock_count + 1))
    return taken, found.node


def renew(connection: Connection, act: Act, place: Place, seconds: int) -> list[Lock]:
    """Let those locks live on whose tokens came along, and that cover what the path names.

    Raises:
        ConditionFailed: none of them does, or they are somebody else's.
    """
    row = space_now(connection, place.space_id)
    found = follow(connection, row, place.names)
    mine = [
        each._replace(expires=act.now + seconds * 1_000_000)
        for each in live(connection, row, act.now)
        if each.token in act.tokens and each.user_id == act.user_id and covers(each, found)
    ]
    if not mine:
        raise ConditionFailed(str(place))
    for each in mine:
        connection.execute(update(lock).where(lock.c.token == each.token).values(expires=each.expires))
    return mine


def release(connection: Connection, act: Act, place: Place, token: str) -> None:
    """End a lock; at anything that it covers the whole lock ends.

    Raises:
        WrongToken: it is no lock of whoever asks that covers what the path names.
    """
    row = space_now(connection, place.space_id)
    found = follow(connection, row, place.names)
    for each in live(connection, row, act.now):
        if each.token == token and covers(each, found):
            if each.user_id != act.user_id:
                raise WrongToken(str(place), is_others=True)
            connection.execute(delete(lock).where(lock.c.token == token))
            settle(connection, row._replace(lock_count=row.lock_count - 1))
            return
    raise WrongToken(str(place))


def _refuse_conflicts(connection: Connection, there: list[Lock], found: Found, wish: Wish) -> None:
    node = found.node
    conflicts = [
        each
        for each in there
        if (wish.is_exclusive or each.is_exclusive)
        and (
            covers(each, found) or (wish.is_deep and node is not None and lies_below(connection, each.node_id, node.id))
        )
    ]
    if conflicts:
        chains = [chain_of(connection, each.node_id) for each in conflicts]
        raise LockConflict([chain.names[1:] for chain in chains if chain is not None])


def _without_expired(connection: Connection, row: Space, now: int) -> Space:
    """The space, its expired locks removed."""
    if not row.lock_count:
        return row
    over = (lock.c.space_id == row.id, lock.c.expires <= now)
    count = connection.execute(select(func.count()).select_from(lock).where(*over)).scalar_one()
    if not count:
        return row
    connection.execute(delete(lock).where(*over))
    fewer = row._replace(lock_count=row.lock_count - count)
    settle(connection, fewer)
    return fewer
