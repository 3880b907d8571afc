"""How much a space may have: exactly so much and no byte more, whoever writes at once; and what gives way."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import cast

import pytest

from creamery.clock import SystemClock
from creamery.door import Hub
from creamery.hive import quotas, versions
from creamery.hive.errors import OverQuota
from creamery.hive.ledger import Space
from creamery.hive.purging import oldest_versions
from creamery.hive.quotas import Usage, most_bytes, usage
from creamery.hive.reserving import Reservations
from creamery.hive.trashing import trashed
from creamery.hive.tree import put
from creamery.hive.upkeep import Upkeep
from creamery.jobs import Job, JobRow, jobs
from creamery.sections import Hive
from tests.doubles.grove import Grove, at, content

WRITERS = 8


@pytest.fixture
def home(grove: Grove) -> Space:
    return grove.home(1, "alice")


def purges(grove: Grove) -> list[JobRow]:
    return grove.database.read(lambda connection: jobs(connection, kind=quotas.PURGE_JOB, limit=100))


def make_room(grove: Grove, space_id: int, quota: int) -> None:
    """What the job does."""
    hub = SimpleNamespace(
        committer=grove.committer,
        database=grove.database,
        clock=SystemClock(),
        settings=SimpleNamespace(hive=Hive(quota=quota)),
    )
    Upkeep(cast("Hub", hub)).purge(Job(1, quotas.PURGE_JOB, {"space": space_id}, 1))


def test_eight_writers_at_once_get_exactly_what_there_is_and_no_byte_more(grove: Grove, home: Space) -> None:
    """17 writes of 3 bytes fit into 53; the hundreds that do not fit change nothing."""
    came: list[str] = []
    refused: list[OverQuota] = []

    def work(writer: int) -> None:
        for number in range(25):
            path, act = f"{writer}-{number}", grove.act(quota=53)
            try:
                grove.committer.write(
                    lambda connection, act=act, path=path: put(connection, act, at(home.id, path), content(b"abc")),  # type: ignore[misc]
                    gathers=True,
                )
            except OverQuota as error:
                refused.append(error)
            else:
                came.append(path)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(came), len(refused)) == (17, WRITERS * 25 - 17)
    assert {error.free for error in refused} == {2}
    assert grove.space(home.id).used_files == 51
    assert all(grove.find(home.id, path) for path in came)
    assert grove.findings() == []


def test_a_space_may_be_full_to_the_last_byte(grove: Grove, home: Space) -> None:
    grove.put(home.id, "file", b"x" * 10, quota=10)

    with pytest.raises(OverQuota, match="1 bytes are wanted, and the space has 0 left"):
        grove.put(home.id, "other", b"y", quota=10)
    assert grove.put(home.id, "file", b"y" * 9, quota=10).node.size == 9, "less is always right"
    assert grove.put(home.id, "empty", b"", quota=10).is_new


def test_a_quota_of_its_own_counts_and_not_the_hubs(grove: Grove) -> None:
    project = grove.project("hives", quota=5)

    with pytest.raises(OverQuota):
        grove.put(project.id, "file", b"x" * 6, quota=100)
    assert grove.put(project.id, "file", b"x" * 5, quota=1).is_new


def test_versions_and_trash_stand_in_no_writes_way_but_give_way(grove: Grove, home: Space) -> None:
    """The oldest trash first, then the oldest versions; what is pinned stays."""
    for number in range(4):
        grove.put(home.id, "file", b"f" * (10 + number), quota=60)
    for number in range(3):
        grove.put(home.id, f"{number}", b"x" * 10, quota=60)
        grove.delete(home.id, f"{number}")
    file = grove.find(home.id, "file")
    assert file is not None
    grove.write(lambda connection: versions.describe_version(connection, file.id, 1, pinned=True))
    assert grove.space(home.id)[10:13] == (13, 33, 30)

    grove.put(home.id, "more", b"y" * 30, quota=60)
    make_room(grove, home.id, 60)

    row = grove.space(home.id)
    left = grove.database.read(lambda connection: versions.versions_of(connection, file.id))
    assert [each.revision for each in left] == [1]
    assert (row.used_files, row.used_versions, row.used_trash) == (43, 10, 0)
    assert grove.findings() == []


def test_no_more_goes_than_must(grove: Grove, home: Space) -> None:
    for number in range(3):
        grove.put(home.id, f"{number}", b"x" * 10)
        grove.delete(home.id, f"{number}")

    make_room(grove, home.id, 25)

    left = grove.database.read(lambda connection: trashed(connection, home.id))
    assert [each.name for each in left] == ["2", "1"]


def test_versions_go_in_the_order_in_which_they_were_overwritten_whichever_file_is_whose(
    grove: Grove, home: Space
) -> None:
    grove.make_folder(home.id, "a")
    for number in range(1, 4):
        grove.put(home.id, "a/one", b"1" * number)
        grove.put(home.id, "two", b"2" * number)
    ids = {name: found.id for name in ("a/one", "two") if (found := grove.find(home.id, name))}
    row = grove.space(home.id)

    def choose(missing: int) -> list[tuple[int, int]]:
        return grove.database.read(lambda connection: oldest_versions(connection, row, missing))

    assert choose(1) == [(ids["a/one"], 1)]
    assert choose(2) == [(ids["a/one"], 1), (ids["two"], 1)]
    assert choose(5) == [(ids["a/one"], 1), (ids["two"], 1), (ids["a/one"], 2), (ids["two"], 2)]
    assert len(choose(1_000)) == 4


def test_a_write_beyond_the_quota_of_all_three_has_room_made_by_one_job(grove: Grove, home: Space) -> None:
    grove.put(home.id, "file", b"x" * 10, quota=20)
    grove.put(home.id, "file", b"y" * 9, quota=20)
    assert purges(grove) == []

    grove.put(home.id, "file", b"z" * 8, quota=20)
    grove.put(home.id, "other", b"z", quota=20)

    assert [each.payload for each in purges(grove)] == [{"space": home.id}]


def test_what_a_refused_write_wanted_is_not_made_room_for(grove: Grove, home: Space) -> None:
    grove.put(home.id, "file", b"x" * 10, quota=10)

    with pytest.raises(OverQuota):
        grove.put(home.id, "file", b"y" * 11, quota=10)

    assert purges(grove) == []


def test_people_are_told_the_sum_and_what_files_may_still_have(grove: Grove) -> None:
    row = grove.project("hives")._replace(used_files=30, used_versions=20, used_trash=10)

    assert usage(row, 100) == Usage(30, 20, 10, 100, 70)
    assert usage(row, 100).used == 60
    assert usage(row, 100, reserved=25, disk=60).available == 45
    assert usage(row, 100, disk=60).available == 60
    assert usage(row, 10).available == 0
    assert usage(row, None).available is None
    assert usage(row, None, disk=7).available == 7
    assert usage(row._replace(quota=35), 100).available == 5


def test_an_upload_of_unknown_length_may_have_what_is_left_and_what_it_replaces(grove: Grove) -> None:
    row = grove.project("hives", quota=100)._replace(used_files=30)

    assert most_bytes(row, None) == 70
    assert most_bytes(row, None, reserved=50, replaced=5) == 25
    assert most_bytes(row, None, reserved=90) == 0
    assert most_bytes(row._replace(quota=None), None) is None


def test_uploads_that_are_on_their_way_count_until_they_have_come(grove: Grove) -> None:
    row, other = grove.project("hives", quota=100), grove.project("combs", quota=100)
    reservations = Reservations()

    with reservations.reserve(row, 60, None):
        with (
            pytest.raises(OverQuota, match="41 bytes are wanted, and the space has 40 left"),
            reservations.reserve(row, 41, None),
        ):
            pass
        with reservations.reserve(row, 40, None), reservations.reserve(other, 100, None):
            assert (reservations.of(row.id), reservations.of(other.id)) == (100, 100)
        with reservations.reserve(row, -5, None):
            assert reservations.of(row.id) == 60

    assert reservations.of(row.id) == 0


def test_a_reservation_ends_with_its_upload_however_that_ends(grove: Grove) -> None:
    row = grove.project("hives", quota=100)
    reservations = Reservations()

    with pytest.raises(ConnectionError), reservations.reserve(row, 60, None):
        raise ConnectionError

    assert reservations.of(row.id) == 0


def test_reservations_of_many_threads_are_never_more_than_there_is(grove: Grove) -> None:
    row = grove.project("hives", quota=100)
    reservations, together, barrier = Reservations(), list[int](), threading.Barrier(WRITERS)

    def work() -> None:
        barrier.wait()
        for _ in range(200):
            try:
                with reservations.reserve(row, 30, None):
                    together.append(reservations.of(row.id))
            except OverQuota:
                pass

    threads = [threading.Thread(target=work) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(together) <= {30, 60, 90}
    assert reservations.of(row.id) == 0
