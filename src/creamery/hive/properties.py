"""Dead properties: what clients keep beside a file or folder, and the hub does not understand (RFC 4918 section 4).

A node's flag tells whether it may have some: a listing asks for them only then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from creamery.contract import Digest
from creamery.database import Prepared
from creamery.hive import locks
from creamery.hive.acts import Act
from creamery.hive.errors import NotThere, TooManyProperties
from creamery.hive.ledger import space_now
from creamery.hive.nodes import Node
from creamery.hive.tables import HAS_PROPERTIES, node, prop
from creamery.hive.tree import Check, Place, allow_everything, follow, tell

AT_ONCE = 500

_SET_NODE = Prepared(
    update(node)
    .where(node.c.id == bindparam("id_"))
    .values({name: bindparam(f"{name}_") for name in ("flags", "mtime", "serial", "tree_serial")})
)


@dataclass(frozen=True, slots=True)
class Patch:
    """What becomes of a node's properties, in this order.

    Attributes:
        changes: by name `{namespace}local` the whole element, or None where it goes.
        mtime: another time of change, in microseconds; None: as it was.
    """

    changes: Sequence[tuple[str, str | None]] = ()
    mtime: int | None = None


def read_properties(connection: Connection, nodes: Iterable[int]) -> dict[int, dict[str, str]]:
    """The dead properties of many nodes, by number and name. One statement for each 500; none for none."""
    wanted = list(nodes)
    found: dict[int, dict[str, str]] = {}
    for start in range(0, len(wanted), AT_ONCE):
        asked = select(prop.c.node_id, prop.c.name, prop.c.value).where(
            prop.c.node_id.in_(wanted[start : start + AT_ONCE])
        )
        for node_id, name, value in connection.execute(asked.order_by(prop.c.node_id, prop.c.name)):
            found.setdefault(node_id, {})[name] = value
    return found


def patch(
    connection: Connection, act: Act, place: Place, wanted: Patch, most: int, check: Check = allow_everything
) -> Node:
    """Change them, all or nothing. `most`: properties that a node may have.

    Raises:
        NotThere, ConditionFailed, LockedBy, TooManyProperties: nothing was changed.
    """
    row = space_now(connection, place.space_id)
    found = follow(connection, row, place.names)
    there = found.node
    if there is None:
        raise NotThere(str(place))
    check(there)
    locks.refuse_if_locked(connection, act, row, found)
    _write(connection, there.id, wanted.changes, most)
    changed = there._replace(
        flags=there.flags | (HAS_PROPERTIES if wanted.changes else 0),
        mtime=there.mtime if wanted.mtime is None else wanted.mtime,
        serial=row.serial + 1,
        tree_serial=row.serial + 1,
    )
    _SET_NODE.run(
        connection,
        {
            "id_": changed.id,
            "flags_": changed.flags,
            "mtime_": changed.mtime,
            "serial_": changed.serial,
            "tree_serial_": changed.tree_serial,
        },
    )
    tell(connection, act, row, found.ancestors, changed, "props", 0, 0)
    return changed


def _write(connection: Connection, node_id: int, changes: Sequence[tuple[str, str | None]], most: int) -> None:
    for name, value in changes:
        key = _key(name)
        connection.execute(delete(prop).where(prop.c.node_id == node_id, prop.c.key == key))
        if value is not None:
            connection.execute(insert(prop), {"node_id": node_id, "key": key, "name": name, "value": value})
    if changes:
        count = connection.execute(select(func.count()).where(prop.c.node_id == node_id)).scalar_one()
        if count > most:
            raise TooManyProperties(most)


def copy_properties(connection: Connection, numbers: Mapping[int, int]) -> None:
    """Give copies what their originals have; `numbers`: each original's, and its copy's."""
    rows = [
        {"node_id": numbers[node_id], "key": _key(name), "name": name, "value": value}
        for node_id, properties in read_properties(connection, numbers).items()
        for name, value in properties.items()
    ]
    if rows:
        connection.execute(insert(prop), rows)


def remove_for(connection: Connection, nodes: Sequence[int]) -> None:
    """Nodes go for good, and their properties with them."""
    for start in range(0, len(nodes), AT_ONCE):
        connection.execute(delete(prop).where(prop.c.node_id.in_(nodes[start : start + AT_ONCE])))


def _key(name: str) -> Digest:
    return Digest(hashlib.sha256(name.encode()).hexdigest())
