"""Folders that come into a space with another rule for the case of names: their names are found by other keys there."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, update

from creamery.database import Prepared
from creamery.hive.errors import Taken
from creamery.hive.names import CasePolicy, key_of
from creamery.hive.nodes import Node, every_child
from creamery.hive.tables import node

_REKEY = Prepared(update(node).where(node.c.id == bindparam("id_")).values(name_key=bindparam("name_key_")))


def rekey_below(connection: Connection, folder_id: int, policy: CasePolicy) -> None:
    """Give everything below a folder the keys of another rule. Reads all of it, writes those whose key is another.

    Raises:
        Taken: two things that lie in one folder have one name by that rule.
    """
    folders = [folder_id]
    while folders:
        there = list(every_child(connection, folders.pop()))
        by_key: dict[str, Node] = {}
        for each in there:
            if by_key.setdefault(key_of(each.name, policy), each) is not each:
                raise Taken(each.name)
        others = [{"id_": each.id, "name_key_": key} for key, each in by_key.items() if key != each.name_key]
        _REKEY.run_many(connection, others)
        folders += [each.id for each in there if each.is_folder]
