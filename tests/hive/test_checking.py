"""What a check finds in a hive whose rows somebody has spoilt, and what a repair makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from creamery.contract import Digest
from creamery.hive import tables
from creamery.hive.checking import Kind, check
from creamery.hive.mending import mend
from creamery.hive.nodes import Node, children
from creamery.hive.tables import change, lock, node, space, trash, version
from tests.doubles.grove import Grove


@dataclass(frozen=True)
class Planted:
    """A home with `/a/b/file` (two versions), `/a/other`, `/empty/` and, in the trash, `gone/` with a file."""

    home: int
    root: int
    trash: int
    a: Node
    b: Node
    file: Node
    other: Node
    empty: Node
    gone: Node
    below_gone: Node


@pytest.fixture
def planted(grove: Grove) -> Planted:
    home = grove.home(1, "alice")
    grove.project("apiary", "preserving")
    a = grove.make_folder(home.id, "a").node
    b = grove.make_folder(home.id, "a/b").node
    file = [grove.put(home.id, "a/b/file", b"content" * count).node for count in (1, 2, 3)][-1]
    other = grove.put(home.id, "a/other", b"other").node
    empty = grove.make_folder(home.id, "empty").node
    grove.make_folder(home.id, "gone")
    below_gone = grove.put(home.id, "gone/file", b"gone").node
    gone = grove.delete(home.id, "gone")
    return Planted(home.id, home.root_id, home.trash_id, a, b, file, other, empty, gone, below_gone)


Spoil = Callable[[Planted], object]


def set_node(which: str, **columns: object) -> Spoil:
    return lambda planted: update(node).where(node.c.id == getattr(planted, which).id).values(**columns)


def set_space(**columns: object) -> Spoil:
    return lambda planted: update(space).where(space.c.id == planted.home).values(**columns)


def hang(name: str, below: str) -> Spoil:
    return lambda planted: (
        update(node)
        .where(node.c.id == getattr(planted, name).id)
        .values(parent_id=getattr(planted, below).id, name_key="elsewhere", name="elsewhere")
    )


def drop(name: str) -> Spoil:
    return lambda planted: delete(node).where(node.c.id == getattr(planted, name).id)


SPOILT: dict[str, tuple[Spoil, set[Kind]]] = {
    "a folder says too much": (set_node("a", size=1), {Kind.SUM}),
    "a folder says less than nothing": (set_node("b", size=-5), {Kind.SUM, Kind.FORM}),
    "a folder in the trash says too little": (set_node("gone", size=0), {Kind.SUM}),
    "a folder has too many versions": (set_node("a", versions_size=3), {Kind.SUM}),
    "a file says too few versions": (set_node("file", versions_size=1), {Kind.SUM}),
    "a file says versions that are not there": (set_node("other", versions_size=8), {Kind.SUM}),
    "a folder has not heard of a change": (set_node("a", tree_serial=1), {Kind.SERIAL}),
    "a folder is ahead of its space": (set_node("empty", tree_serial=900), {Kind.SERIAL}),
    "a space is behind": (set_space(serial=3), {Kind.SERIAL, Kind.LOG}),
    "a space counts files wrongly": (set_space(used_files=1), {Kind.SPACE}),
    "a space counts versions wrongly": (set_space(used_versions=1), {Kind.SPACE}),
    "a space counts trash wrongly": (set_space(used_trash=0), {Kind.SPACE}),
    "a space counts locks that are not there": (set_space(lock_count=1), {Kind.SPACE}),
    "the log has a hole": (lambda _: delete(change).where(change.c.serial == 4), {Kind.LOG}),
    "the log ends too early": (lambda _: delete(change).where(change.c.serial > 5), {Kind.LOG}),
    "a folder's parent is not there": (
        lambda planted: update(node).where(node.c.id == planted.b.id).values(parent_id=4_000),
        {Kind.LOST, Kind.SUM, Kind.SPACE},
    ),
    "a folder that something lies in is not there": (drop("a"), {Kind.LOST, Kind.SUM, Kind.SPACE}),
    "a file lies in a file": (hang("other", "file"), {Kind.LOST, Kind.SUM, Kind.SPACE}),
    "two folders lie in each other": (hang("a", "b"), {Kind.LOST, Kind.SUM, Kind.SPACE}),
    "a folder lies in itself": (hang("a", "a"), {Kind.LOST, Kind.SUM, Kind.SPACE}),
    "the root is not there": (
        lambda planted: delete(node).where(node.c.id == planted.root),
        {Kind.ROOT, Kind.LOST, Kind.SPACE},
    ),
    "the trash is not there": (
        lambda planted: delete(node).where(node.c.id == planted.trash),
        {Kind.ROOT, Kind.LOST, Kind.SPACE, Kind.TRASH_ROW},
    ),
    "the root lies in a folder": (
        lambda planted: update(node).where(node.c.id == planted.root).values(parent_id=planted.a.id),
        {Kind.ROOT, Kind.LOST, Kind.NAME, Kind.SPACE},
    ),
    "a key is not that of the name": (set_node("other", name_key="another"), {Kind.KEY}),
    "a key in the trash is none": (set_node("gone", name_key="another"), {Kind.KEY}),
    "what lies in the trash has no row": (lambda _: delete(trash), {Kind.TRASH}),
    "a row says of what is alive that it is in the trash": (
        lambda planted: update(trash).values(node_id=planted.a.id),
        {Kind.TRASH, Kind.TRASH_ROW},
    ),
    "a lock hangs on what is deleted": (
        lambda planted: insert(lock).values(
            token="urn:uuid:1",
            node_id=planted.below_gone.id,
            space_id=planted.home,
            is_deep=False,
            is_exclusive=True,
            owner="",
            user_id=1,
            created=1,
            expires=2,
        ),
        {Kind.LOCK, Kind.SPACE},
    ),
    "the next number is taken": (lambda _: update(tables.number).values(next=3), {Kind.NUMBER}),
}
FOR_PEOPLE: dict[str, tuple[Spoil, set[Kind]]] = {
    "a name is none": (set_node("other", name="a/b"), {Kind.NAME, Kind.KEY}),
    "a file has no digest": (set_node("other", digest=None), {Kind.FORM}),
    "a folder has a digest": (set_node("a", digest=Digest("7" * 64)), {Kind.FORM}),
    "a version is of nothing": (lambda _: update(version).values(node_id=4_000), {Kind.VERSION, Kind.SUM, Kind.SPACE}),
    "a version is younger than its file": (
        lambda _: update(version).where(version.c.revision == 1).values(revision=9),
        {Kind.VERSION},
    ),
}
"""What no row tells how to mend."""


def spoil(grove: Grove, planted: Planted, spoilt: Spoil) -> None:
    grove.write(lambda connection: connection.execute(spoilt(planted)))  # type: ignore[call-overload]


def test_a_hive_that_nobody_has_spoilt_is_clean(grove: Grove, planted: Planted) -> None:
    assert grove.findings() == []


def test_a_hive_without_spaces_is_clean(grove: Grove) -> None:
    assert grove.findings() == []


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_spoilt_is_found_and_mended(grove: Grove, planted: Planted, name: str) -> None:
    spoilt, kinds = SPOILT[name]
    before = {each.id: each for each in grove.nodes() if each.is_file}

    spoil(grove, planted, spoilt)
    found = {finding.kind for finding in grove.findings()}
    grove.write(lambda connection: mend(connection, grove.now))

    assert found == kinds
    assert grove.findings() == []
    after = {each.id: each for each in grove.nodes() if each.is_file}
    assert {number: each.digest for number, each in after.items()} == {
        number: each.digest for number, each in before.items()
    }


@pytest.mark.parametrize("name", FOR_PEOPLE)
def test_what_cannot_be_mended_stays_on_the_list(grove: Grove, planted: Planted, name: str) -> None:
    spoilt, kinds = FOR_PEOPLE[name]

    spoil(grove, planted, spoilt)
    found = {finding.kind for finding in grove.findings()}
    grove.write(lambda connection: mend(connection, grove.now))

    assert found == kinds
    left = {finding.kind for finding in grove.findings()}
    assert left
    assert left <= kinds & {Kind.NAME, Kind.KEY, Kind.FORM, Kind.VERSION}


def test_a_hive_that_is_clean_stays_as_it_is_when_it_is_mended(grove: Grove, planted: Planted) -> None:
    before = (grove.nodes(), grove.space(planted.home))

    grove.write(lambda connection: mend(connection, grove.now))

    assert (grove.nodes(), grove.space(planted.home)) == before


def test_what_is_mended_takes_a_serial_so_that_clients_look_again(grove: Grove, planted: Planted) -> None:
    spoil(grove, planted, set_node("a", size=1))
    before = {each.id: each.tree_serial for each in grove.nodes()}
    space_before = grove.space(planted.home)

    grove.write(lambda connection: mend(connection, grove.now))

    moved = {each.id for each in grove.nodes() if each.tree_serial != before[each.id]}
    assert moved == {planted.a.id, planted.root}
    assert grove.space(planted.home).serial == space_before.serial + 1


def test_what_hangs_nowhere_is_found_in_the_trash_with_all_below_it(grove: Grove, planted: Planted) -> None:
    spoil(grove, planted, drop("a"))

    grove.write(lambda connection: mend(connection, grove.now))

    def look(connection: Connection) -> tuple[list[str], list[str]]:
        [row] = connection.execute(select(trash).where(trash.c.name == "found")).fetchall()
        there = children(connection, row.node_id)
        b = next(each for each in there if each.name == "b")
        return [each.name for each in there], [each.name for each in children(connection, b.id)]

    assert grove.database.read(look) == (["b", "other"], ["file"])


def test_lost_nodes_of_one_name_are_both_found(grove: Grove, planted: Planted) -> None:
    spoil(grove, planted, lambda _: update(node).where(node.c.name == "file").values(parent_id=node.c.id + 5_000))

    grove.write(lambda connection: mend(connection, grove.now))

    assert grove.findings() == []
    parents = {each.parent_id for each in grove.nodes() if each.id in {planted.file.id, planted.below_gone.id}}
    assert len(parents) == 1


def test_files_without_bytes_are_named(grove: Grove, planted: Planted) -> None:
    found = list(grove.database.read(lambda connection: list(check(connection))))

    assert {each.kind for each in found} == {Kind.BYTES}
    assert {each.subject for each in found} == {
        f"node {planted.file.id} ('file')",
        f"node {planted.other.id} ('other')",
        f"node {planted.below_gone.id} ('file')",
        f"revision 1 of node {planted.file.id}",
        f"revision 2 of node {planted.file.id}",
    }
