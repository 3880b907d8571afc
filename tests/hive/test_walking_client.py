"""A client that compares the tags of folders, from the root on, and looks only into those that are other ones."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from sqlalchemy import Connection

from creamery.hive.etags import Etags
from creamery.hive.ledger import space_row
from creamery.hive.nodes import Node, by_id, children
from tests.doubles.gardeners import Gardener, settled
from tests.doubles.grove import Grove

USERS = 4
WALK_EVERY = 25


@dataclass
class Client:
    """As the desktop clients find changes: a folder whose tag is known is not asked for again."""

    space_id: int
    etags: Etags = field(default_factory=lambda: Etags("epoch"))
    known: dict[int, tuple[str, dict[int, Node]]] = field(default_factory=dict)
    asked: int = 0

    def walk(self, connection: Connection) -> dict[int, Node]:
        """Everything that it knows of, afterwards."""
        row = space_row(connection, self.space_id)
        assert row is not None
        root = by_id(connection, row.root_id)
        assert root is not None
        found: dict[int, Node] = {}
        self._walk(connection, root, found)
        return found

    def _walk(self, connection: Connection, folder: Node, found: dict[int, Node]) -> None:
        tag = self.etags.of(self.space_id, folder)
        before = self.known.get(folder.id)
        is_known = before is not None and before[0] == tag
        if before is None or not is_known:
            self.asked += 1
            there = children(connection, folder.id, limit=10**6)
            before = self.known[folder.id] = (tag, {each.id: each for each in there})
        for each in before[1].values():
            found[each.id] = each
            if each.is_folder and is_known:
                self._remember(each, found)
            elif each.is_folder:
                self._walk(connection, each, found)

    def _remember(self, folder: Node, found: dict[int, Node]) -> None:
        """What lies below one whose tag is the same; nothing is asked."""
        for each in self.known[folder.id][1].values():
            found[each.id] = each
            if each.is_folder:
                self._remember(each, found)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("rounds", [500, pytest.param(2_500, marks=pytest.mark.installed)])
def test_it_finds_every_change_that_four_users_make(grove: Grove, rounds: int) -> None:
    homes = [grove.home(number, f"user {number}").id for number in (1, 2)]
    space_ids = [*homes, grove.project("apiary").id]
    gardeners = [Gardener(number, space_ids) for number in range(USERS)]
    clients = [Client(space_id) for space_id in space_ids]
    done = looks = 0

    for turn in range(1, rounds + 1):
        done += settled([gardener.do(grove) for gardener in gardeners])
        if turn % WALK_EVERY == 0:
            for client in clients:
                fresh = Client(client.space_id)
                assert grove.database.read(client.walk) == grove.database.read(fresh.walk)
                looks += fresh.asked

    assert done > rounds * USERS // 2
    assert sum(client.asked for client in clients) < looks  # it did not look everywhere
    assert grove.findings() == []
