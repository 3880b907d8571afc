"""What people want back: something from the trash, or what a file had in it before. No byte moves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import NamedTuple

from sqlalchemy import Connection, delete

from creamery.hive import locks
from creamery.hive.acts import Act
from creamery.hive.errors import IsFolder, NotThere
from creamery.hive.ledger import Space, refuse_over_quota, space_now
from creamery.hive.names import MAX_NAME_BYTES, key_of
from creamery.hive.nodes import Chain, Found, Node, Step, by_id, chain_of, find
from creamery.hive.tables import FOLDER, ROOT, trash
from creamery.hive.trashing import Trashed, find_trashed
from creamery.hive.tree import Check, Content, allow_everything, overwrite, tell, write_place
from creamery.hive.versions import find_version


class Restored(NamedTuple):
    """What has come out of the trash.

    Attributes:
        node: as it is now.
        names: where, from the root of its space down.
    """

    node: Node
    names: tuple[str, ...]


class _Home(NamedTuple):
    """The folder that something comes into.

    Attributes:
        above: it, and what it lies in, from the root on.
        names: the path to it.
    """

    above: tuple[Step, ...]
    names: tuple[str, ...]


def restore_trashed(connection: Connection, act: Act, space_id: int, node_id: int) -> Restored:
    """Bring something back to where it was, with all below it: one row, whatever its size.

    It comes into the root where its folder is not there any more, and under another name where its own is taken.
    Not for writes that gather.

    Raises:
        NotInTrash, LockedBy, OverQuota: it stays where it is.
    """
    row = space_now(connection, space_id)
    gone = find_trashed(connection, space_id, node_id)
    there = by_id(connection, node_id)
    assert there is not None, "find_trashed joins both"  # noqa: S101
    refuse_over_quota(row, there.size, act.quota)
    home = _home_of(connection, row, gone)
    name = _free_name(connection, row, home.above[-1].id, gone, act.now)
    found = Found(home.above, None, 1)
    locks.refuse_if_locked(connection, act, row, found)
    back = there._replace(
        parent_id=home.above[-1].id,
        name_key=key_of(name, row.case_policy),
        name=name,
        serial=row.serial + 1,
        tree_serial=row.serial + 1,
    )
    write_place(connection, back)
    connection.execute(delete(trash).where(trash.c.node_id == node_id))
    row = row._replace(used_trash=row.used_trash - there.size - there.versions_size)
    tell(connection, act, row, found.ancestors, back, "moved", there.size, there.versions_size)
    return Restored(back, (*home.names, name))


def restore_version(
    connection: Connection, act: Act, node_id: int, revision: int, check: Check = allow_everything
) -> Node:
    """Give a file the bytes again that it had before. Those of now become a version, and the old one stays.

    Not for writes that gather.

    Raises:
        NotThere: the file is not in a tree, but in the trash, or nowhere.
        NoSuchVersion: there is none of that number.
        IsFolder, ConditionFailed, LockedBy, OverQuota: it stays as it was.
    """
    chain, found = _standing(connection, node_id)
    old = found.node
    if old is None or not old.is_file:
        raise IsFolder("/" + "/".join(chain.names[1:]))
    row = space_now(connection, chain.space_id)
    check(old)
    locks.refuse_if_locked(connection, act, row, found)
    wanted = find_version(connection, node_id, revision)
    if wanted.digest == old.digest:
        return old
    return overwrite(connection, act, row, found, old, Content(wanted.digest, wanted.size), always=True)


def _standing(connection: Connection, node_id: int) -> tuple[Chain, Found]:
    chain = chain_of(connection, node_id)
    if chain is None or chain.names[0] != ROOT:
        raise NotThere(f"node {node_id}")
    return chain, Found(tuple(Step(each, FOLDER) for each in chain.above), by_id(connection, node_id), 0)


def _home_of(connection: Connection, row: Space, gone: Trashed) -> _Home:
    """Where it was, if that is still a folder of its space's tree; else the root."""
    chain = chain_of(connection, gone.from_parent)
    folder = None if chain is None else by_id(connection, gone.from_parent)
    if chain is None or folder is None or not folder.is_folder:
        return _Home((Step(row.root_id, FOLDER),), ())
    if chain.space_id != row.id or chain.names[0] != ROOT:
        return _Home((Step(row.root_id, FOLDER),), ())
    return _Home(tuple(Step(each, FOLDER) for each in (*chain.above, folder.id)), chain.names[1:])


def _free_name(connection: Connection, row: Space, parent_id: int, gone: Trashed, now: int) -> str:
    """Its own, or one that says when it came back."""
    name, number = gone.name, 0
    while find(connection, parent_id, [key_of(name, row.case_policy)]).node is not None:
        number += 1
        name = renamed(gone.name, now, number, is_folder=gone.kind == FOLDER)
    return name


def renamed(name: str, now: int, number: int = 1, *, is_folder: bool = False) -> str:
    """`report (restored 2026-11-28 13-05).pdf`, and so on; cut where it would be too long."""
    moment = f"{datetime.fromtimestamp(now // 1_000_000, UTC):%Y-%m-%d %H-%M}"
    ending = "" if is_folder else PurePosixPath(name).suffix
    said = f" (restored {moment}{f' {number}' if number > 1 else ''})"
    room = MAX_NAME_BYTES - len(said.encode()) - len(ending.encode())
    if room <= 0:  # nobody's ending is so long
        ending, room = "", MAX_NAME_BYTES - len(said.encode())
    stem = name.removesuffix(ending) if ending else name
    return stem.encode()[:room].decode("utf-8", "ignore") + said + ending
