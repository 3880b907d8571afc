"""What many writes of one batch change of the same few rows: spaces, the folders above, the log, the next number.

Every change of a tree takes the space's next serial and writes it to all folders above in the same transaction, so
that a client who compares their ETags finds it. Eight uploads into one folder are one update of each folder above.
What stands here is written by `database/gathering.py` before the commit, or before the first write that does not
gather; until then `space_now` tells what a space's row will be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from creamery.database import Prepared, gather, gathered, loaded
from creamery.hive.errors import OverQuota
from creamery.hive.names import CasePolicy
from creamery.hive.tables import change, node, number, space


class Space(NamedTuple):
    """A space's row.

    Attributes:
        id: its number.
        kind: `home` or `project`.
        owner_id: the user whose quota it is.
        home_of: the user whose home it is.
        name: of the user, or of the project.
        root_id, trash_id: its two topmost folders.
        case_policy: see `names.py`.
        serial: of its last change.
        quota: bytes that its files may have; None: the hub's `hive.quota`.
        used_files, used_versions, used_trash: bytes.
        lock_count: rows of locks, expired ones included until somebody removes them.
        log_floor: changes up to this serial are forgotten.
        created: microseconds since 1970.
        disabled: nobody gets at it.
    """

    id: int
    kind: str
    owner_id: int
    home_of: int | None
    name: str
    root_id: int
    trash_id: int
    case_policy: CasePolicy
    serial: int
    quota: int | None
    used_files: int
    used_versions: int
    used_trash: int
    lock_count: int
    log_floor: int
    created: int
    disabled: bool


class Change(NamedTuple):
    """What happened: `what` is created, content, moved, gone, props, mounted or share."""

    space_id: int
    serial: int
    what: str
    node_id: int
    parent_id: int
    name: str
    kind: int
    actor_id: int | None
    at: int


class _Above(NamedTuple):
    """What an act does to the folders above it."""

    ids: Sequence[int]
    serial: int
    size: int
    versions: int


_SPACE = Prepared(select(*[space.c[name] for name in Space._fields]).where(space.c.id == bindparam("id")))
_SET_SPACE = Prepared(
    update(space)
    .where(space.c.id == bindparam("id_"))
    .values({name: bindparam(name) for name in ("serial", "used_files", "used_versions", "used_trash", "lock_count")})
)
_RAISE = Prepared(
    update(node)
    .where(node.c.id == bindparam("id_"))
    .values(
        tree_serial=bindparam("serial_"),
        size=node.c.size + bindparam("size_"),
        versions_size=node.c.versions_size + bindparam("versions_"),
    )
)
_SUMS = Prepared(
    update(node)
    .where(node.c.id == bindparam("id_"))
    .values(size=node.c.size + bindparam("size_"), versions_size=node.c.versions_size + bindparam("versions_"))
)
_LOG = Prepared(insert(change), [column.key for column in change.columns])
_NEXT = Prepared(select(number.c.next).where(number.c.id == 1))
_SET_NEXT = Prepared(update(number).where(number.c.id == 1).values(next=bindparam("next_")))


def space_row(connection: Connection, space_id: int) -> Space | None:
    """A space as its row is. One point read."""
    row = _SPACE.run(connection, {"id": space_id}).first()
    return None if row is None else Space._make(row)


def space_now(connection: Connection, space_id: int) -> Space:
    """A space as this transaction leaves it.

    Raises:
        LookupError: there is none.
    """
    for row in gathered(connection, _write_spaces):
        if row.id == space_id:
            return row  # type: ignore[no-any-return]
    found = loaded(connection, (_write_spaces, space_id), lambda: space_row(connection, space_id))
    if found is None:
        raise LookupError(f"there is no space {space_id}")
    return found


def settle(connection: Connection, changed: Space) -> None:
    """The space's row will be so: serial, what is used, and the count of locks."""
    gather(connection, _write_spaces, changed)


def raise_above(connection: Connection, ids: Sequence[int], serial: int, size: int = 0, versions: int = 0) -> None:
    """Something changed below these folders."""
    gather(connection, _write_above, _Above(ids, serial, size, versions))


def change_sums(connection: Connection, ids: Sequence[int], size: int = 0, versions: int = 0) -> None:
    """These nodes, or what lies below them, take so much more, and whoever lists them sees nothing new."""
    gather(connection, _write_sums, _Above(ids, 0, size, versions))


def log_change(connection: Connection, happened: Change) -> None:
    """For those who ask what happened since."""
    gather(connection, _write_changes, happened)


def next_numbers(connection: Connection, count: int) -> int:
    """The first of so many numbers of new nodes, which follow each other; taken back with the write that took them."""
    following = next(gathered(connection, _write_next), None)
    if following is None:
        following = loaded(connection, _write_next, lambda: int(_NEXT.run(connection, {}).scalar_one()))
    gather(connection, _write_next, following + count)
    return int(following)


def quota_of(row: Space, default: int | None) -> int | None:
    """Bytes that a space may have; `default`: what `hive.quota` says; None: any."""
    return default if row.quota is None else row.quota


def refuse_over_quota(row: Space, more: int, quota: int | None, reserved: int = 0) -> None:
    """May the space have so many bytes more? Less is always right; versions and trash give way, and do not count.

    Args:
        row: the space.
        more: bytes that its files would have more.
        quota: of a space that has none of its own; None: any.
        reserved: bytes of uploads that are on their way, for whoever asks before bytes move.

    Raises:
        OverQuota: it may not.
    """
    allowed = quota_of(row, quota)
    taken = row.used_files + reserved
    if more > 0 and allowed is not None and taken + more > allowed:
        raise OverQuota(more, allowed - taken)


def _write_spaces(connection: Connection, rows: Sequence[Space]) -> None:
    last = {row.id: row for row in rows}
    _SET_SPACE.run_many(
        connection,
        [
            {
                "id_": row.id,
                "serial": row.serial,
                "used_files": row.used_files,
                "used_versions": row.used_versions,
                "used_trash": row.used_trash,
                "lock_count": row.lock_count,
            }
            for _, row in sorted(last.items())
        ],
    )


def _write_above(connection: Connection, items: Sequence[_Above]) -> None:
    _RAISE.run_many(
        connection,
        [
            {"id_": folder, "serial_": serial, "size_": size, "versions_": versions}
            for folder, (serial, size, versions) in _added_up(items)
        ],
    )


def _write_sums(connection: Connection, items: Sequence[_Above]) -> None:
    _SUMS.run_many(
        connection,
        [
            {"id_": folder, "size_": size, "versions_": versions}
            for folder, (_, size, versions) in _added_up(items)
            if size or versions
        ],
    )


def _added_up(items: Sequence[_Above]) -> list[tuple[int, list[int]]]:
    """By folder, the last serial, and what it has more."""
    sums: dict[int, list[int]] = {}
    for item in items:
        for folder in item.ids:
            known = sums.setdefault(folder, [0, 0, 0])
            known[0] = item.serial
            known[1] += item.size
            known[2] += item.versions
    return sorted(sums.items())


def _write_changes(connection: Connection, rows: Sequence[Change]) -> None:
    _LOG.run_many(connection, [row._asdict() for row in rows])


def _write_next(connection: Connection, numbers: Sequence[int]) -> None:
    _SET_NEXT.run(connection, {"next_": numbers[-1]})
