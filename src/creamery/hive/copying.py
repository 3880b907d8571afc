"""Copies (RFC 4918 section 9.8): other nodes over the same blobs; no byte moves.

A copy appears at once and as a whole, in one transaction: 100,000 files hold the writer for some 6 s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from creamery.contract import Digest
from creamery.hive import locks
from creamery.hive.acts import Act
from creamery.hive.errors import BytesMissing, NotThere, Taken
from creamery.hive.ledger import Space, next_numbers, refuse_over_quota, space_now
from creamery.hive.names import key_of
from creamery.hive.nodes import Node, children, insert_nodes
from creamery.hive.properties import copy_properties
from creamery.hive.tables import HAS_PROPERTIES
from creamery.hive.trashing import into_trash
from creamery.hive.tree import Check, Done, Place, allow_everything, create, follow, target_of

AT_ONCE = 1_000

Refer = Callable[[Connection, Sequence[Digest]], set[Digest]]
"""Takes the rows of blobs, and says which of them are here: `Blobs.refer_all`."""


def copy(  # noqa: PLR0913 - what COPY says in its headers
    connection: Connection,
    act: Act,
    source: Place,
    target: Place,
    refer: Refer,
    *,
    overwrite: bool,
    is_deep: bool = True,
    check: Check = allow_everything,
) -> Done:
    """Make something anew at another place: with everything below, or a folder alone.

    Copies have numbers of their own, no versions and no locks. What lay at the target goes into the trash; folders
    are replaced, never mixed. Not for writes that gather.

    Raises:
        NotThere, OntoItself, ParentMissing, Taken, ConditionFailed, LockedBy, OverQuota, NameRefused, BytesMissing:
            nothing was copied.
    """
    row = space_now(connection, source.space_id)
    found = follow(connection, row, source.names)
    original = found.node
    if original is None:
        raise NotThere(str(source))
    check(original)
    other = space_now(connection, target.space_id)
    there = target_of(connection, other, found, target)
    if there.node is not None and not overwrite:
        raise Taken(str(target))
    replaces = there.node is not None
    locks.refuse_if_locked(connection, act, other, there, is_removed=replaces)
    if replaces:
        into_trash(connection, act, other, there, str(target))
        other = space_now(connection, target.space_id)
    is_whole = is_deep or original.is_file
    fresh = original._replace(
        size=original.size if is_whole else 0,
        versions_size=0,
        revision=1,
        mtime=original.mtime,
        created=act.now,
        author_id=act.user_id,
    )
    refuse_over_quota(other, fresh.size, act.quota)
    made = create(connection, act, other, target, there._replace(node=None), fresh)
    if original.flags & HAS_PROPERTIES:
        copy_properties(connection, {original.id: made.id})
    if original.digest is not None:
        _refer(connection, refer, [original.digest])
    if is_deep and original.is_folder:
        _copy_below(connection, act, original, made, other, refer)
    return Done(made, is_new=not replaces)


def _copy_below(connection: Connection, act: Act, original: Node, made: Node, other: Space, refer: Refer) -> None:
    """Folder by folder, each in pages."""
    waiting = [(original.id, made.id)]
    while waiting:
        old_id, new_id = waiting.pop()
        after = ""
        taken: set[str] = set()
        while some := children(connection, old_id, after, AT_ONCE):
            after = some[-1].name_key
            first = next_numbers(connection, len(some))
            copies = [
                each._replace(
                    parent_id=new_id,
                    name_key=key_of(each.name, other.case_policy),
                    id=first + number,
                    versions_size=0,
                    revision=1,
                    serial=made.serial,
                    tree_serial=made.serial,
                    created=act.now,
                    author_id=act.user_id,
                )
                for number, each in enumerate(some)
            ]
            for each in copies:
                if each.name_key in taken:
                    raise Taken(each.name)
                taken.add(each.name_key)
            _refer(connection, refer, [each.digest for each in some if each.digest is not None])
            insert_nodes(connection, copies)
            pairs = zip(some, copies, strict=True)
            copy_properties(connection, {old.id: new.id for old, new in pairs if old.flags & HAS_PROPERTIES})
            waiting += [(old.id, new.id) for old, new in zip(some, copies, strict=True) if old.is_folder]


def _refer(connection: Connection, refer: Refer, digests: list[Digest]) -> None:
    if digests and (lost := set(digests) - refer(connection, digests)):
        raise BytesMissing(min(lost))
