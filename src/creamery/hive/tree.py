"""What is done to a tree: each function is one write of the committer's, all or nothing.

A write begins with the row of its space, which makes it wait for nobody and be waited for: committers take turns.
Then it follows its path anew, for what a reader saw may be gone, asks the conditions and locks, does it, and tells
the folders above. Refusals are results: nothing was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, update

from creamery.contract import Digest
from creamery.database import Prepared
from creamery.hive import locks, versions
from creamery.hive.acts import Act
from creamery.hive.errors import IsFolder, NotThere, OntoItself, ParentMissing, Taken
from creamery.hive.ledger import (
    Change,
    Space,
    log_change,
    next_numbers,
    raise_above,
    refuse_over_quota,
    settle,
    space_now,
)
from creamery.hive.names import check_name, key_of
from creamery.hive.nodes import Found, Node, find, insert_node
from creamery.hive.quotas import want_room
from creamery.hive.rekeying import rekey_below
from creamery.hive.tables import FILE, FOLDER, node
from creamery.hive.trashing import into_trash

Check = Callable[[Node | None], None]
"""Asks the request's conditions of what is there; raises `ConditionFailed`."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that are a blob already, or become one in this transaction.

    Attributes:
        digest, size: theirs.
        mtime: when they were last changed, where the client says so.
    """

    digest: Digest
    size: int
    mtime: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A path in a space.

    Attributes:
        space_id: which.
        names: from its root down, as they were sent.
    """

    space_id: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "/" + "/".join(self.names)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a node.

    Attributes:
        node: as it is now.
        is_new: nothing had its name before.
    """

    node: Node
    is_new: bool


def follow(connection: Connection, row: Space, names: Sequence[str]) -> Found:
    """Where a path leads in a space."""
    return find(connection, row.root_id, [key_of(name, row.case_policy) for name in names])


def allow_everything(_: Node | None) -> None:
    """The request has no conditions."""


_OF_CONTENT = ("digest", "size", "versions_size", "revision", "serial", "tree_serial", "mtime", "author_id")
_OF_PLACE = ("parent_id", "name_key", "name", "serial", "tree_serial")


def _update_of(columns: Sequence[str]) -> Prepared:
    return Prepared(
        update(node).where(node.c.id == bindparam("id_")).values({name: bindparam(f"{name}_") for name in columns})
    )


_WRITE_CONTENT = _update_of(_OF_CONTENT)
_WRITE_PLACE = _update_of(_OF_PLACE)


def put(connection: Connection, act: Act, place: Place, content: Content, check: Check = allow_everything) -> Done:
    """Make a file, or give one other bytes; what it had before becomes a version. The blob's row is taken already.

    Raises:
        ParentMissing, IsFolder, ConditionFailed, LockedBy, OverQuota, NameRefused: it stays as it was.
    """
    row = space_now(connection, place.space_id)
    found = follow(connection, row, place.names)
    _refuse_without_parent(found, place)
    old = found.node
    if old is not None and not old.is_file:
        raise IsFolder(str(place))
    check(old)
    locks.refuse_if_locked(connection, act, row, found)
    if old is None:
        return Done(create(connection, act, row, place, found, _file(content, act)), is_new=True)
    if old.digest == content.digest:
        return Done(_touch(connection, act, row, found, old, content), is_new=False)
    return Done(overwrite(connection, act, row, found, old, content), is_new=False)


def overwrite(
    connection: Connection, act: Act, row: Space, found: Found, old: Node, content: Content, *, always: bool = False
) -> Node:
    """Give a file other bytes; those of now become a version, with `always` even where they came a moment ago.

    Raises:
        OverQuota: it stays as it was.
    """
    refuse_over_quota(row, content.size - old.size, act.quota)
    kept = versions.keep_old(connection, act, old, always=always)
    new = old._replace(
        digest=content.digest,
        size=content.size,
        versions_size=old.versions_size + kept,
        revision=old.revision + 1,
        serial=row.serial + 1,
        tree_serial=row.serial + 1,
        mtime=_mtime(content, act),
        author_id=act.user_id,
    )
    _write_content(connection, new)
    tell(connection, act, row, found.ancestors, new, "content", content.size - old.size, kept)
    return new


def make_folder(connection: Connection, act: Act, place: Place, check: Check = allow_everything) -> Done:
    """A new folder.

    Raises:
        ParentMissing, Taken, ConditionFailed, LockedBy, NameRefused: there is none.
    """
    row = space_now(connection, place.space_id)
    found = follow(connection, row, place.names)
    if found.node is not None:
        raise Taken(str(place))
    _refuse_without_parent(found, place)
    check(None)
    locks.refuse_if_locked(connection, act, row, found)
    return Done(create(connection, act, row, place, found, _folder(act)), is_new=True)


def delete(connection: Connection, act: Act, place: Place, check: Check = allow_everything) -> Node:
    """Bring something into its space's trash, whatever lies below it: one row, and the folders above.

    Not for writes that gather: a folder's size must be written when it is read.

    Raises:
        NotThere, ConditionFailed, LockedBy: it stays. OntoItself: a space's root.
    """
    row = space_now(connection, place.space_id)
    found = follow(connection, row, place.names)
    if found.node is None:
        raise NotThere(str(place))
    if not found.above:
        raise OntoItself("/")
    check(found.node)
    locks.refuse_if_locked(connection, act, row, found, is_removed=True)
    into_trash(connection, act, row, found, str(place))
    return found.node


def move(
    connection: Connection,
    act: Act,
    source: Place,
    target: Place,
    *,
    overwrite: bool,
    check: Check = allow_everything,
) -> Done:
    """Give something another place and name, in its space or in another: one row, whatever lies below it.

    What lay at the target goes into the trash. Not for writes that gather.

    Raises:
        NotThere, OntoItself, ParentMissing, Taken, ConditionFailed, LockedBy, OverQuota, NameRefused: all stays.
    """
    row = space_now(connection, source.space_id)
    found = follow(connection, row, source.names)
    if found.node is None:
        raise NotThere(str(source))
    moved = found.node
    check(moved)
    other = space_now(connection, target.space_id)
    there = _target(connection, other, found, target)
    is_renamed = there.node is not None and there.node.id == moved.id
    if is_renamed and moved.name == target.names[-1]:
        raise OntoItself(str(target))
    if there.node is not None and not is_renamed and not overwrite:
        raise Taken(str(target))
    locks.refuse_if_locked(connection, act, row, found, is_removed=True)
    locks.refuse_if_locked(connection, act, other, there, is_removed=not is_renamed)
    if row.id != other.id:
        given = 0 if there.node is None else there.node.size
        refuse_over_quota(other, moved.size - given, act.quota)
        if moved.is_folder and row.case_policy != other.case_policy:
            rekey_below(connection, moved.id, other.case_policy)
    if there.node is not None and not is_renamed:
        into_trash(connection, act, other, there, str(target))
    locks.remove_below(connection, space_now(connection, row.id), moved.id)
    new = _rehang(connection, act, moved, found, there, source, target)
    return Done(new, is_new=there.node is None or is_renamed)


def _rehang(
    connection: Connection, act: Act, moved: Node, found: Found, there: Found, source: Place, target: Place
) -> Node:
    """Out of the one folder, into the other: two serials, and in the log two lines.

    A folder that comes from a space with higher serials raises those of its new one: a hole in the log before its line.
    """
    old_space = space_now(connection, source.space_id)
    is_within = source.space_id == target.space_id
    tell(connection, act, old_space, found.ancestors, moved, "gone", -moved.size, -moved.versions_size)
    new_space = space_now(connection, target.space_id)
    if not is_within and moved.is_folder:
        # The folders below keep their serials: were the space to come to those again, tags would come a second time.
        new_space = new_space._replace(serial=max(new_space.serial, old_space.serial))
    key = key_of(target.names[-1], new_space.case_policy)
    new = moved._replace(
        parent_id=there.above[-1].id,
        name=_checked(target.names[-1], act),
        name_key=key,
        serial=new_space.serial + 1,
        tree_serial=new_space.serial + 1,
    )
    write_place(connection, new)
    what = "moved" if is_within else "created"
    tell(connection, act, new_space, there.ancestors, new, what, new.size, new.versions_size)
    return new


def _target(connection: Connection, other: Space, source: Found, target: Place) -> Found:
    """Where something goes.

    Raises:
        OntoItself, ParentMissing: nowhere.
    """
    there = follow(connection, other, target.names)
    moved = source.node
    if moved is None or not there.above or not source.above:
        raise OntoItself(str(target))
    if moved.id in there.ancestors or (there.node is not None and there.node.id in source.ancestors):
        raise OntoItself(str(target))
    _refuse_without_parent(there, target)
    return there


def target_of(connection: Connection, other: Space, source: Found, target: Place) -> Found:
    """Where a copy goes; as for `move`.

    Raises:
        OntoItself, ParentMissing: nowhere.
    """
    there = _target(connection, other, source, target)
    if there.node is not None and source.node is not None and there.node.id == source.node.id:
        raise OntoItself(str(target))
    return there


def create(connection: Connection, act: Act, row: Space, place: Place, found: Found, fresh: Node) -> Node:
    """A new node where nothing is, which brings `fresh.size` bytes with it.

    Raises:
        OverQuota, NameRefused: there is none.
    """
    refuse_over_quota(row, fresh.size, act.quota)
    name = _checked(place.names[-1], act)
    new = fresh._replace(
        parent_id=found.above[-1].id,
        name_key=key_of(name, row.case_policy),
        id=next_numbers(connection, 1),
        name=name,
        serial=row.serial + 1,
        tree_serial=row.serial + 1,
    )
    insert_node(connection, new)
    tell(connection, act, row, found.ancestors, new, "created", new.size, 0)
    return new


def _touch(connection: Connection, act: Act, row: Space, found: Found, old: Node, content: Content) -> Node:
    """The same bytes once more: another time, and no version."""
    new = old._replace(serial=row.serial + 1, tree_serial=row.serial + 1, mtime=_mtime(content, act))
    _write_content(connection, new)
    tell(connection, act, row, found.ancestors, new, "props", 0, 0)
    return new


def _write_content(connection: Connection, new: Node) -> None:
    _WRITE_CONTENT.run(connection, _values(new, _OF_CONTENT))


def write_place(connection: Connection, new: Node) -> None:
    """The row of a node that has another folder, name or serial now."""
    _WRITE_PLACE.run(connection, _values(new, _OF_PLACE))


def _values(new: Node, columns: Sequence[str]) -> dict[str, object]:
    return {"id_": new.id, **{f"{name}_": getattr(new, name) for name in columns}}


def tell(  # noqa: PLR0913, PLR0917 - what happened, and to whom: each is a column
    connection: Connection, act: Act, row: Space, above: Sequence[int], changed: Node, what: str, size: int, kept: int
) -> None:
    """What every act ends with: the space's next serial, to all folders above; the log's line.

    Args:
        connection: of the write.
        act: who did it.
        row: the space before it.
        above: the folders that the changed node lies in.
        changed: the node.
        what: see `Change`.
        size, kept: bytes that the folders have more now, of files and of versions.
    """
    serial = row.serial + 1
    raise_above(connection, above, serial, size, kept)
    after = row._replace(serial=serial, used_files=row.used_files + size, used_versions=row.used_versions + kept)
    settle(connection, after)
    want_room(connection, after, act.quota, act.now)
    log_change(
        connection,
        Change(row.id, serial, what, changed.id, changed.parent_id, changed.name, changed.kind, act.user_id, act.now),
    )


def _mtime(content: Content, act: Act) -> int:
    """The beginning of 1970 is a time too."""
    return act.now if content.mtime is None else content.mtime


def _file(content: Content, act: Act) -> Node:
    mtime = _mtime(content, act)
    return Node(0, "", 0, "", FILE, content.digest, content.size, 0, 1, 0, 0, mtime, act.now, act.user_id, None, 0)


def _folder(act: Act) -> Node:
    return Node(0, "", 0, "", FOLDER, None, 0, 0, 1, 0, 0, act.now, act.now, act.user_id, None, 0)


def _checked(name: str, act: Act) -> str:
    return check_name(name, refuse_windows_names=act.refuses_windows_names)


def _refuse_without_parent(found: Found, place: Place) -> None:
    if not found.above:
        raise IsFolder("/")
    if not found.has_parent:
        raise ParentMissing(str(place))
