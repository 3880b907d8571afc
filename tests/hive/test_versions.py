"""What files had in them before: kept, thinned, pinned, restored, let go; and every sum right after each act."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from creamery.hive import tree, versions
from creamery.hive.errors import ConditionFailed, IsFolder, LockedBy, NoSuchVersion, NotThere, OverQuota
from creamery.hive.ledger import Space
from creamery.hive.locking import Wish, take
from creamery.hive.nodes import Node
from creamery.hive.restoring import restore_version
from creamery.hive.versions import Version
from tests.doubles.grove import SECOND, Grove, at, content

HOUR = 3_600 * SECOND


@pytest.fixture
def home(grove: Grove) -> Space:
    return grove.home(1, "alice")


def versions_of(grove: Grove, node_id: int) -> list[Version]:
    return grove.database.read(lambda connection: versions.versions_of(connection, node_id))


def revisions(grove: Grove, node_id: int) -> list[int]:
    return [each.revision for each in versions_of(grove, node_id)]


def restore(grove: Grove, node_id: int, revision: int, **more: Any) -> Node:
    act = grove.act(**more)
    return grove.write(lambda connection: restore_version(connection, act, node_id, revision))


def describe(grove: Grove, node_id: int, revision: int, **what: Any) -> Version:
    return grove.write(lambda connection: versions.describe_version(connection, node_id, revision, **what))


def drop(grove: Grove, node_id: int, revision: int) -> Version:
    return grove.write(lambda connection: versions.delete_version(connection, node_id, revision))


def written(grove: Grove, home: Space, times: int, path: str = "a/file") -> Node:
    """A file that was written so many times, an hour apart; its content is as long as its revision."""
    if grove.find(home.id, "a") is None:
        grove.make_folder(home.id, "a")
    done = None
    for number in range(1, times + 1):
        grove.now += HOUR
        done = grove.put(home.id, path, b"x" * number).node
    assert done is not None
    return done


def test_former_contents_are_listed_the_latest_first(grove: Grove, home: Space) -> None:
    file = written(grove, home, 3)

    found = versions_of(grove, file.id)

    assert [(each.revision, each.size, each.author_id, each.pinned, each.label) for each in found] == [
        (2, 2, 1, False, None),
        (1, 1, 1, False, None),
    ]
    assert grove.space(home.id).used_versions == 3


def test_a_former_content_comes_back_as_a_new_one_and_nothing_of_the_history_is_lost(grove: Grove, home: Space) -> None:
    file = written(grove, home, 3)

    back = restore(grove, file.id, 1)

    assert (back.digest, back.size, back.revision) == (content(b"x").digest, 1, 4)
    assert revisions(grove, file.id) == [3, 2, 1]
    assert grove.find(home.id, "a/file") == back
    assert grove.space(home.id).used_versions == back.versions_size == 6
    assert grove.space(home.id).used_files == 1
    assert grove.findings() == []


def test_what_was_written_a_moment_ago_is_kept_when_something_older_comes_back(grove: Grove, home: Space) -> None:
    file = written(grove, home, 2)
    grove.now -= 9 * SECOND

    restore(grove, file.id, 1)

    assert revisions(grove, file.id) == [2, 1]


def test_the_present_content_comes_back_as_what_it_is(grove: Grove, home: Space) -> None:
    file = written(grove, home, 2)
    grove.put(home.id, "a/file", b"x")  # as revision 1
    now = grove.find(home.id, "a/file")

    assert restore(grove, file.id, 1) == now


@pytest.mark.parametrize("missing", [3, 17])
def test_a_content_that_never_was_or_is_the_present_one_cannot_come_back(
    grove: Grove, home: Space, missing: int
) -> None:
    file = written(grove, home, 3)

    with pytest.raises(NoSuchVersion):
        restore(grove, file.id, missing)
    assert grove.find(home.id, "a/file") == file


def test_nothing_comes_back_over_a_lock_or_a_condition_that_does_not_hold(grove: Grove, home: Space) -> None:
    file = written(grove, home, 2)
    wish = Wish(is_exclusive=True, is_deep=False, owner="", seconds=100)
    act = grove.act(user_id=2)

    def refuse(_: Node | None) -> None:
        raise ConditionFailed("a/file")

    with pytest.raises(ConditionFailed):
        grove.write(lambda connection: restore_version(connection, act, file.id, 1, refuse))
    grove.write(lambda connection: take(connection, act, at(home.id, "a/file"), wish, 10))
    with pytest.raises(LockedBy):
        restore(grove, file.id, 1)
    assert grove.find(home.id, "a/file") == file


def test_a_larger_content_does_not_come_back_over_the_quota(grove: Grove, home: Space) -> None:
    grove.put(home.id, "file", b"x" * 10)
    file = grove.put(home.id, "file", b"x").node
    grove.put(home.id, "other", b"x" * 8, quota=10)

    with pytest.raises(OverQuota):
        restore(grove, file.id, 1, quota=10)
    assert restore(grove, file.id, 1, quota=18).size == 10


def test_a_folder_has_no_versions_and_nor_has_what_is_in_the_trash(grove: Grove, home: Space) -> None:
    file = written(grove, home, 2)
    folder = grove.find(home.id, "a")
    assert folder is not None

    with pytest.raises(IsFolder):
        restore(grove, folder.id, 1)
    grove.delete(home.id, "a")
    for ask in (
        lambda: restore(grove, file.id, 1),
        lambda: drop(grove, file.id, 1),
        lambda: describe(grove, file.id, 1, pinned=True),
    ):
        with pytest.raises(NotThere):
            ask()
    assert revisions(grove, file.id) == [1]


def test_one_of_them_is_let_go_and_every_sum_is_right(grove: Grove, home: Space) -> None:
    file = written(grove, home, 4)
    before = grove.find(home.id, "a")
    assert before is not None

    gone = drop(grove, file.id, 2)

    after = grove.find(home.id, "a")
    assert (gone.revision, revisions(grove, file.id)) == (2, [3, 1])
    assert grove.space(home.id).used_versions == 4
    assert after == before._replace(versions_size=4), "who lists it sees nothing new: its tag is the same"
    assert grove.findings() == []
    with pytest.raises(NoSuchVersion):
        drop(grove, file.id, 2)


def test_one_is_pinned_and_named_and_is_so_no_more(grove: Grove, home: Space) -> None:
    file = written(grove, home, 2)

    assert describe(grove, file.id, 1, pinned=True, label="as it was sent")[-2:] == ("as it was sent", True)
    assert describe(grove, file.id, 1, pinned=False)[-2:] == ("as it was sent", False)
    assert describe(grove, file.id, 1, label="")[-2:] == (None, False)
    assert versions_of(grove, file.id)[0][-2:] == (None, False)


def test_few_are_not_thinned_however_old_they_are(grove: Grove, home: Space) -> None:
    file = written(grove, home, 6)
    grove.now += 365 * 24 * HOUR

    grove.put(home.id, "a/file", b"other")

    assert len(revisions(grove, file.id)) == 1 + 1
    assert revisions(grove, written(grove, home, 5, "a/few").id) == [4, 3, 2, 1]


def test_a_file_that_is_written_very_often_keeps_few_and_its_pinned_ones(grove: Grove, home: Space) -> None:
    file = written(grove, home, 3)
    describe(grove, file.id, 1, pinned=True)

    for number in range(4, 40):
        grove.put(home.id, "a/file", b"x" * number)  # ten seconds apart

    kept = revisions(grove, file.id)
    assert kept[0] == 38
    assert kept[-1] == 1
    assert len(kept) < 20
    assert grove.findings() == []


def test_the_sums_are_right_when_many_writes_of_one_file_are_one_batch(grove: Grove, home: Space) -> None:
    file = written(grove, home, 7)

    def write(number: int) -> Callable[[Connection], object]:
        act = grove.act()
        return lambda connection: tree.put(connection, act, at(home.id, "a/file"), content(b"y" * number))

    waiting = [grove.submit(write(number), gathers=True) for number in range(1, 9)]
    waiting.append(grove.submit(lambda connection: versions.delete_version(connection, file.id, 14)))
    waiting.append(grove.submit(write(9), gathers=True))
    for each in waiting:
        each.result()

    assert grove.findings() == []


def test_a_file_that_nobody_writes_any_more_is_thinned_by_and_by(grove: Grove, home: Space) -> None:
    file = written(grove, home, 9)
    small = written(grove, home, 3, "a/small")
    year_later = grove.now + 365 * 24 * HOUR

    found = grove.database.read(lambda connection: versions.many_versions(connection, 0, 10))
    freed = grove.write(lambda connection: versions.thin_versions(connection, file.id, year_later))

    assert found == [file.id]
    assert revisions(grove, file.id) == [8]
    assert freed == sum(range(1, 8))
    assert revisions(grove, small.id) == [2, 1]
    assert grove.findings() == []


def test_a_file_in_the_trash_is_thinned_too_and_every_sum_is_right(grove: Grove, home: Space) -> None:
    file = written(grove, home, 9)
    grove.delete(home.id, "a")
    used = grove.space(home.id).used_trash

    freed = grove.write(lambda connection: versions.thin_versions(connection, file.id, grove.now + 365 * 24 * HOUR))

    assert grove.space(home.id).used_trash == used - freed == 9 + 8
    assert grove.findings() == []
