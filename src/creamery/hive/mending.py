"""What `check` finds, mended as far as rows tell how: sums, serials, counts, keys, and what hangs nowhere.

One transaction, which sees all nodes several times: no hub should be at work meanwhile. Nobody's file is deleted. What
hangs nowhere comes into a folder `found` in a trash, from where people take it. Whatever is changed takes a new serial
of its space, so that clients who compare tags look again; the log gets a line of the space's root for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from creamery.database import Prepared, write_gathered
from creamery.hive import tables
from creamery.hive.checking import Kind, counts_of, has_wrong_key, of_locks, of_log, of_trash, sums_of
from creamery.hive.ledger import Change, Space, log_change, next_numbers
from creamery.hive.names import CasePolicy, NameRefused, check_name, key_of
from creamery.hive.nodes import Node, by_id, find, insert_node
from creamery.hive.survey import Survey, survey
from creamery.hive.tables import FOLDER, ROOT, TRASH, change, lock, node, space, trash

FOUND = "found"
"""The folder that lost nodes come into."""

_HANG = Prepared(
    update(node)
    .where(node.c.id == bindparam("id_"))
    .values({name: bindparam(f"{name}_") for name in ("parent_id", "name_key", "name")})
)
_SET = {
    name: Prepared(update(node).where(node.c.id == bindparam("id_")).values({name: bindparam("value_")}))
    for name in ("name_key", "size", "versions_size", "tree_serial")
}


def mend(connection: Connection, now: int) -> None:
    """Mend what can be mended; for a write of the committer's that is alone. What is left, `check` finds again.

    Args:
        connection: the committer's.
        now: microseconds since 1970.
    """
    found = survey(connection)
    _mend_number(connection, found)
    if _restore_roots(connection, found, now):
        write_gathered(connection)
        found = survey(connection)
    if _take_in_the_lost(connection, found, now):
        write_gathered(connection)
        found = survey(connection)
    _mend_keys(connection, found)
    _mend_trash(connection, found, now)
    _mend_locks(connection, found)
    _mend_sums(connection, found, now)


def _restore_roots(connection: Connection, found: Survey, now: int) -> bool:
    """A space's two topmost folders, where they are not there or hang elsewhere."""
    missing = [
        (row.id, number, name)
        for row in found.spaces.values()
        for number, name in ((row.root_id, ROOT), (row.trash_id, TRASH))
        if found.tops.get(found.folders.get(number, -1)) != row.id
    ]
    for space_id, number, name in missing:
        if by_id(connection, number) is None:
            top = Node(-space_id, name, number, name, FOLDER, None, 0, 0, 1, 1, 1, now, now, None, None, 0)
            insert_node(connection, top)
        else:
            _HANG.run(connection, {"id_": number, "parent_id_": -space_id, "name_key_": name, "name_": name})
    return bool(missing)


def _take_in_the_lost(connection: Connection, found: Survey, now: int) -> bool:
    """Into the folder `found`, in the trash of the space that the log last saw them in, else of the first one."""
    heads = [found.ids[head] for head in found.heads()]
    if not heads or not found.spaces:
        return False
    folders: dict[int, Node] = {}
    for number in heads:
        row = _space_of_lost(connection, found, number)
        if row.id not in folders:
            folders[row.id] = _found_folder(connection, row, now)
        lost = by_id(connection, number)
        assert lost is not None, "it was there in this transaction"  # noqa: S101
        name = _free_name(connection, folders[row.id], lost, row.case_policy)
        key = key_of(name, row.case_policy)
        _HANG.run(connection, {"id_": number, "parent_id_": folders[row.id].id, "name_key_": key, "name_": name})
    return True


def _space_of_lost(connection: Connection, found: Survey, number: int) -> Space:
    asked = select(change.c.space_id).where(change.c.node_id == number).order_by(change.c.at.desc()).limit(1)
    space_id = connection.execute(asked).scalar()
    return found.spaces.get(-1 if space_id is None else space_id, found.spaces[min(found.spaces)])


def _found_folder(connection: Connection, row: Space, now: int) -> Node:
    asked = select(trash.c.node_id).where(
        trash.c.space_id == row.id, trash.c.path == f"/{FOUND}", trash.c.by_id.is_(None)
    )
    for number in connection.execute(asked).scalars().fetchall():
        known = by_id(connection, number)
        if known is not None and known.parent_id == row.trash_id and known.name == FOUND:
            return known
    number = next_numbers(connection, 1)
    serial = row.serial  # a bound; its sum and serial are set with all others
    made = Node(
        row.trash_id, str(number), number, FOUND, FOLDER, None, 0, 0, 1, serial, serial, now, now, None, None, 0
    )
    insert_node(connection, made)
    _write_trash_row(connection, row, made, now)
    return made


def _write_trash_row(connection: Connection, row: Space, gone: Node, now: int) -> None:
    values = {"space_id": row.id, "from_parent": row.root_id, "name": gone.name, "path": f"/{gone.name}"}
    connection.execute(insert(trash), {"node_id": gone.id, **values, "at": now, "by_id": None})


def _free_name(connection: Connection, folder: Node, lost: Node, policy: CasePolicy) -> str:
    """Its own, where that is a name and free."""
    try:
        wanted = check_name(lost.name)
    except NameRefused:
        wanted = f"node {lost.id}"
    for name in (wanted, f"node {lost.id}"):
        if find(connection, folder.id, [key_of(name, policy)]).node is None:
            return name
    return f"node {lost.id} ({lost.revision})"


def _mend_number(connection: Connection, found: Survey) -> None:
    """Before a new node takes one that is taken."""
    highest = max(found.ids, default=0)
    connection.execute(
        update(tables.number).where(tables.number.c.id == 1, tables.number.c.next <= highest).values(next=highest + 1)
    )


def _mend_keys(connection: Connection, found: Survey) -> None:
    """Where nothing else in the folder has the right one."""
    for position, wrong in enumerate(found.wrong):
        if not wrong or not has_wrong_key(found, position):
            continue
        there = by_id(connection, found.ids[position])
        row = found.spaces[found.space_of(position) or 0]
        if there is None:
            continue
        key = str(there.id) if there.parent_id == row.trash_id else key_of(there.name, row.case_policy)
        if find(connection, there.parent_id, [key]).node is None:
            _SET["name_key"].run(connection, {"id_": there.id, "value_": key})


def _mend_trash(connection: Connection, found: Survey, now: int) -> None:
    for finding in list(of_trash(connection, found)):
        number = int(finding.subject.removeprefix("node "))
        there = by_id(connection, number)
        connection.execute(delete(trash).where(trash.c.node_id == number))
        if finding.kind == Kind.TRASH and there is not None and finding.space_id is not None:
            _write_trash_row(connection, found.spaces[finding.space_id], there, now)


def _mend_locks(connection: Connection, found: Survey) -> None:
    """A lock on nothing keeps nobody from anything, and counts."""
    dead = [finding.subject for finding in of_locks(connection, found) if finding.kind == Kind.LOCK]
    for token in dead:
        connection.execute(delete(lock).where(lock.c.token == token))
    counted = select(lock.c.space_id, func.count().label("locks")).group_by(lock.c.space_id)
    counts = {row.space_id: row.locks for row in connection.execute(counted)}
    for row in found.spaces.values():
        if counts.get(row.id, 0) != row.lock_count:
            connection.execute(update(space).where(space.c.id == row.id).values(lock_count=counts.get(row.id, 0)))


def _mend_sums(connection: Connection, found: Survey, now: int) -> None:
    sums = sums_of(connection, found)
    holes = {finding.space_id for finding in of_log(connection, found)}
    _set(connection, "size", _by_number(found, sums.sizes))
    _set(connection, "versions_size", _by_number(found, sums.versions))
    changed: dict[int, set[int]] = {}
    for position in {*sums.sizes, *sums.versions, *sums.serials}:
        if (space_id := found.space_of(position)) is not None:
            changed.setdefault(space_id, set()).update(_upwards(found, position))
    for row in found.spaces.values():
        folders = changed.get(row.id, set())
        counts = counts_of(row, found, sums)
        is_counted = all(getattr(row, name) == right for name, right in counts.items())
        if folders or not is_counted or row.id in holes or sums.highest[row.id] > row.serial:
            _write_space(connection, found, row, max(row.serial, sums.highest[row.id]), folders, counts, now)


def _write_space(
    connection: Connection,
    found: Survey,
    row: Space,
    highest: int,
    folders: Iterable[int],
    counts: Mapping[str, int],
    now: int,
) -> None:
    last = connection.execute(select(func.max(change.c.serial)).where(change.c.space_id == row.id)).scalar()
    serial = max(highest, last or 0) + 1
    tops = [found.folders[row.root_id]] if row.root_id in found.folders else []
    _set(connection, "tree_serial", {found.ids[position]: serial for position in {*folders, *tops}})
    floor = serial - 1  # whoever follows the log begins anew
    connection.execute(update(space).where(space.c.id == row.id).values(serial=serial, log_floor=floor, **counts))
    log_change(connection, Change(row.id, serial, "props", row.root_id, -row.id, ROOT, FOLDER, None, now))


def _upwards(found: Survey, position: int) -> Iterable[int]:
    """The folders that it lies in, and itself where it is one; not a trash."""
    at = position
    while at >= 0:
        if found.kinds[at] == FOLDER and found.ids[at] != found.spaces[found.space_of(at) or 0].trash_id:
            yield at
        at = found.parents[at]


def _by_number(found: Survey, by_position: Mapping[int, int]) -> dict[int, int]:
    return {found.ids[position]: value for position, value in by_position.items()}


def _set(connection: Connection, name: str, values: Mapping[int, int]) -> None:
    _SET[name].run_many(connection, [{"id_": number, "value_": value} for number, value in sorted(values.items())])
