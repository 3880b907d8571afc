"""Locks (RFC 4918 sections 6 and 7): who holds one, and what it keeps others from.

A lock hangs on a node. It is asked for inside the transaction of the write that it may stand in the way of, so that all
processes agree. A space's row says how many rows of locks there are: with none, which is nearly always, nothing is
asked. An expired lock counts for nothing, and goes when somebody next locks something in its space.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from creamery.hive.acts import Act
from creamery.hive.errors import LockedBy
from creamery.hive.ledger import Space, settle
from creamery.hive.nodes import Found, chain_of
from creamery.hive.tables import lock


class Lock(NamedTuple):
    """A lock that counts.

    Attributes:
        token: `urn:uuid:...`.
        node_id: what it hangs on.
        is_deep: it holds for everything below.
        is_exclusive: nobody else may have one.
        owner: what whoever took it said of themselves, as XML.
        user_id: who took it; the token is worth nothing to others.
        created, expires: microseconds since 1970.
    """

    token: str
    node_id: int
    is_deep: bool
    is_exclusive: bool
    owner: str
    user_id: int
    created: int
    expires: int


def live(connection: Connection, row: Space, now: int) -> list[Lock]:
    """All locks of a space that count now. No statement where there are none."""
    if not row.lock_count:
        return []
    asked = select(*[lock.c[name] for name in Lock._fields]).where(lock.c.space_id == row.id, lock.c.expires > now)
    return [Lock(*found) for found in connection.execute(asked)]


def covers(held: Lock, found: Found) -> bool:
    """Does a lock hold for what a path names: by itself, or from above?"""
    if found.node is not None and held.node_id == found.node.id:
        return True
    return held.is_deep and held.node_id in found.ancestors


def refuse_if_locked(connection: Connection, act: Act, row: Space, found: Found, *, is_removed: bool = False) -> None:
    """May what a path names be written, made, or removed with everything below?

    A file that is there is kept by locks on itself and by deep ones above it. What comes or goes is kept by a lock on
    its folder too, and what goes by locks on anything below it.

    Raises:
        LockedBy: a lock's token is wanted that did not come along.
    """
    there = live(connection, row, act.now)
    if not there:
        return
    above = found.ancestors
    own = None if found.node is None else found.node.id
    comes_or_goes = is_removed or own is None
    holding = [
        each
        for each in there
        if covers(each, found)
        or (comes_or_goes and above and each.node_id == above[-1])
        or (is_removed and own is not None and lies_below(connection, each.node_id, own))
    ]
    _refuse_without_tokens(connection, act, holding)


def tokens_at(connection: Connection, row: Space, found: Found, now: int) -> frozenset[str]:
    """Of the locks that cover what a path names, from above too: its state tokens in an `If` header."""
    return frozenset(each.token for each in live(connection, row, now) if covers(each, found))


def _refuse_without_tokens(connection: Connection, act: Act, holding: Iterable[Lock]) -> None:
    """Each exclusive lock wants its token; of shared ones on a node one does (RFC 4918 section 6.2)."""
    shared: dict[int, list[Lock]] = {}
    for each in holding:
        if each.is_exclusive:
            if each.token not in act.tokens or each.user_id != act.user_id:
                raise _locked(connection, each)
        else:
            shared.setdefault(each.node_id, []).append(each)
    for together in shared.values():
        if not any(each.token in act.tokens and each.user_id == act.user_id for each in together):
            raise _locked(connection, together[0])


def remove_below(connection: Connection, row: Space, node_id: int) -> None:
    """What is moved or deleted takes no lock along."""
    if not row.lock_count:
        return
    asked = select(lock.c.token, lock.c.node_id).where(lock.c.space_id == row.id)
    gone = [
        token
        for token, locked_id in connection.execute(asked).fetchall()
        if locked_id == node_id or lies_below(connection, locked_id, node_id)
    ]
    if gone:
        connection.execute(delete(lock).where(lock.c.token.in_(gone)))
        settle(connection, row._replace(lock_count=row.lock_count - len(gone)))


def lies_below(connection: Connection, node_id: int, above: int) -> bool:
    """Is one node somewhere in another? One point read for each level."""
    chain = chain_of(connection, node_id)
    return chain is not None and above in chain.above


def _locked(connection: Connection, held: Lock) -> LockedBy:
    chain = chain_of(connection, held.node_id)
    return LockedBy(() if chain is None else chain.names[1:])
