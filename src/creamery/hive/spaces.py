"""Spaces: made, found, and given to somebody else."""

from __future__ import annotations

from sqlalchemy import Connection, insert, or_, select

from creamery.hive.ledger import Space, next_numbers, space_row
from creamery.hive.names import CasePolicy
from creamery.hive.nodes import Node, insert_node
from creamery.hive.tables import FOLDER, HOME, PROJECT, ROOT, TRASH, space

_FIELDS = [space.c[name] for name in Space._fields]


def home_of(connection: Connection, user_id: int) -> Space | None:
    """A user's home; None before its first use."""
    row = connection.execute(select(*_FIELDS).where(space.c.home_of == user_id)).first()
    return None if row is None else Space._make(row)


def find_space(connection: Connection, space_id: int) -> Space | None:
    """One by its number."""
    return space_row(connection, space_id)


def every_space(connection: Connection) -> list[Space]:
    """All of them, homes first, by name."""
    return [Space._make(row) for row in connection.execute(select(*_FIELDS).order_by(space.c.kind, space.c.name))]


def spaces_of(connection: Connection, user_id: int, *, and_projects: bool = False) -> list[Space]:
    """Those that are somebody's, homes first, by name; with `and_projects` all that are nobody's home, too."""
    whose = space.c.owner_id == user_id
    asked = select(*_FIELDS).where(or_(whose, space.c.kind == PROJECT) if and_projects else whose)
    found = connection.execute(asked.order_by(space.c.kind, space.c.name, space.c.id))
    return [Space._make(row) for row in found]


def make_home(connection: Connection, user_id: int, name: str, now: int) -> Space:
    """A user's home, which may be there already: two requests at once make one."""
    return home_of(connection, user_id) or _make(connection, HOME, user_id, name, now, "sensitive", None)


def make_project(
    connection: Connection, owner_id: int, name: str, now: int, case_policy: CasePolicy, quota: int | None
) -> Space:
    """A space that is nobody's home."""
    return _make(connection, PROJECT, owner_id, name, now, case_policy, quota)


def _make(
    connection: Connection, kind: str, owner_id: int, name: str, now: int, case_policy: CasePolicy, quota: int | None
) -> Space:
    root_id = next_numbers(connection, 2)
    fields = {
        "kind": kind,
        "owner_id": owner_id,
        "home_of": owner_id if kind == HOME else None,
        "name": name,
        "root_id": root_id,
        "trash_id": root_id + 1,
        "case_policy": case_policy,
        "serial": 1,
        "quota": quota,
        "used_files": 0,
        "used_versions": 0,
        "used_trash": 0,
        "lock_count": 0,
        "log_floor": 1,
        "created": now,
        "disabled": False,
    }
    made = connection.execute(insert(space), fields)
    assert made.inserted_primary_key is not None  # noqa: S101 - an INSERT of one row
    space_id = int(made.inserted_primary_key[0])
    for number, name_of_root in ((root_id, ROOT), (root_id + 1, TRASH)):
        insert_node(
            connection,
            Node(-space_id, name_of_root, number, name_of_root, FOLDER, None, 0, 0, 1, 1, 1, now, now, None, None, 0),
        )
    return Space(space_id, **fields)  # type: ignore[arg-type]
