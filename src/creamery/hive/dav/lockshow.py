"""Which locks cover what is listed, as `lockdiscovery` tells it (RFC 4918 section 15.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from creamery.hive import locks
from creamery.hive.dav.properties import active_lock
from creamery.hive.ledger import Space
from creamery.hive.names import href
from creamery.hive.nodes import Found, by_id, chain_of


@dataclass(frozen=True, slots=True)
class Shown:
    """Locks as elements.

    Attributes:
        own: of the thing itself, from above too.
        inherited: what covers everything in it.
        by_node: what hangs on nodes, by their number.
    """

    own: str = ""
    inherited: str = ""
    by_node: dict[int, str] | None = None

    def of_itself(self, _: int) -> str:
        """What covers the thing that was asked for."""
        return self.own

    def of_member(self, node_id: int) -> str:
        """What covers something in it."""
        return self.inherited + (self.by_node or {}).get(node_id, "")


NONE = Shown()


def shown_locks(connection: Connection, row: Space, found: Found, base: str, now: int) -> Shown:
    """Those that cover what a path names, and what lies in it. No statement where the space has none."""
    there = locks.live(connection, row, now)
    if not there or found.node is None:
        return NONE
    own, inherited, by_node = "", "", dict[int, str]()
    for each in there:
        text = element(connection, each, base, now)
        if locks.covers(each, found):
            own += text
            inherited += text if each.is_deep else ""
        else:
            by_node[each.node_id] = by_node.get(each.node_id, "") + text
    return Shown(own, inherited, by_node)


def element(connection: Connection, held: Any, base: str, now: int) -> str:
    """One lock, as an element."""
    chain = chain_of(connection, held.node_id)
    node = by_id(connection, held.node_id)
    root = href(() if chain is None else chain.names[1:], is_folder=node is not None and node.is_folder)
    return active_lock(
        held.token,
        is_exclusive=held.is_exclusive,
        is_infinite=held.is_deep,
        owner=held.owner,
        seconds=max(1, (held.expires - now) // 1_000_000),
        root=base + root,
    )
