"""What a running hub does to spaces by itself: jobs that remove, expire, thin and make room."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select, update

from creamery.hive import purging, spaces, versions
from creamery.hive.changes import StaleToken, serial_of, token_of
from creamery.hive.ledger import Space
from creamery.hive.tables import change, node, trash, version
from creamery.hive.thinning import DAY
from creamery.hive.upkeep import SCHEDULES, Upkeep
from creamery.jobs import Job
from tests.doubles.dav import Dav
from tests.doubles.running import RunningHub

NOTHING_ELSE: dict[str, list[str]] = {"upstreams": []}


def home_of(hub: RunningHub) -> Space:
    found: Space = hub.ask(spaces.every_space)[0]
    return found


def used(hub: RunningHub) -> tuple[int, int, int]:
    row = home_of(hub)
    return row.used_files, row.used_versions, row.used_trash


def run(hub: RunningHub, kind: str) -> None:
    """As if it had come due."""
    Upkeep(hub.built.hub).handlers()[kind](Job(1, kind, {}, 1))


def count(hub: RunningHub, table: str) -> int:
    tables = {"trash": trash, "node": node, "version": version}
    found: int = hub.ask(lambda c: c.execute(select(func.count()).select_from(tables[table])).scalar_one())
    return found


def age(hub: RunningHub, micros: int) -> None:
    """Everything was deleted, or overwritten, so long ago."""

    def work(connection: Connection) -> None:
        connection.execute(update(trash).values(at=trash.c.at - micros))
        connection.execute(update(version).values(created=version.c.created - micros))

    hub.built.hub.committer.write(work)


def test_the_schedules_have_handlers(hub: RunningHub) -> None:
    door = next(door for door in hub.built.doors if door.name == "hive")

    assert door.schedules == SCHEDULES
    assert {each.kind for each in SCHEDULES} <= door.handlers.keys()


def test_what_is_beyond_the_quota_goes_in_the_wake_of_the_write(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index=NOTHING_ELSE, hive={"quota": 100}) as hub:
        alice = Dav(hub)
        alice.put("/first", b"a" * 40)
        alice("DELETE", "/first")
        alice.put("/second", b"b" * 50)
        assert used(hub) == (50, 0, 40)

        alice.put("/third", b"c" * 20)

        hub.wait_until(lambda: used(hub) == (70, 0, 0))
        assert (count(hub, "trash"), alice.names()) == (0, ["second", "third"])


@pytest.mark.parametrize(
    ("settings", "days", "stays"),
    [
        ({}, 10_000, True),
        ({"trash_most_days": 10}, 9, True),
        ({"trash_most_days": 10}, 11, False),
        ({"trash_days": 10}, 11, True),  # there is room
    ],
)
def test_trash_goes_by_its_age_where_the_settings_say_so(
    tmp_path: Path, settings: dict[str, float], days: int, *, stays: bool
) -> None:
    """hive.trash_days, hive.trash_most_days."""
    with RunningHub(tmp_path, index=NOTHING_ELSE, hive=settings) as hub:
        alice = Dav(hub)
        alice.put("/file", b"a" * 40)
        alice("DELETE", "/file")
        age(hub, days * DAY)

        run(hub, "hive.expire")

        if not stays:
            hub.wait_until(lambda: count(hub, "trash") == 0)
        assert used(hub) == (0, 0, 40 if stays else 0)


@pytest.mark.parametrize(("days", "stays"), [(29, True), (31, False)])
def test_trash_of_a_month_goes_when_the_disk_is_short(hub: RunningHub, days: int, *, stays: bool) -> None:
    alice = Dav(hub)
    alice.put("/file", b"a" * 40)
    alice("DELETE", "/file")
    age(hub, days * DAY)
    upkeep = Upkeep(hub.built.hub)
    upkeep._is_disk_short = lambda: True  # type: ignore[method-assign]

    upkeep.expire(Job(1, "hive.expire", {}, 1))

    if not stays:
        hub.wait_until(lambda: count(hub, "trash") == 0)
    assert count(hub, "trash") == (1 if stays else 0)


def test_old_versions_are_thinned_at_night(alice: Dav) -> None:
    hub = alice.hub
    alice.put("/file", b"x")
    file = hub.ask(lambda connection: connection.execute(select(node.c.id).where(node.c.name == "file")).scalar_one())
    for number in range(12):  # a client that tells old times, so that every write is one of its own
        assert alice("PUT", "/file", b"y" * (number + 1), X_OC_Mtime=str(1_000_000 + number)).status_code == 204
        age(hub, DAY // 24)
    assert count(hub, "version") == 11  # what was written a moment before is none
    age(hub, 365 * DAY)

    run(hub, "hive.thin")

    left = hub.ask(lambda connection: versions.versions_of(connection, file))
    assert [each.revision for each in left] == [12]
    assert used(hub) == (12, 11, 0)


def test_a_large_folder_is_removed_in_many_transactions(alice: Dav, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging.purge_some, "__defaults__", (5,))
    hub = alice.hub
    for folder in range(3):
        alice.folder(f"/{folder}")
        for number in range(7):
            alice.put(f"/{folder}/{number}", b"x")
        alice("DELETE", f"/{folder}")
    before = hub.metric("commits_total")

    hub.built.hub.committer.write(lambda c: purging.purge(c, home_of(hub).id, hub.built.hub.clock.now()))

    hub.wait_until(lambda: count(hub, "trash") == 0)
    assert count(hub, "node") == 2
    assert used(hub) == (0, 0, 0)
    assert hub.metric("commits_total") - before >= 5


def test_what_happened_long_ago_is_forgotten_and_who_asks_for_it_lists_anew(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index=NOTHING_ELSE) as hub:
        dav = Dav(hub)
        dav.put("/old")
        hub.built.hub.committer.write(lambda connection: connection.execute(update(change).values(at=1)))
        dav.put("/new")

        run(hub, "hive.thin")

        lines = hub.ask(lambda connection: connection.execute(select(change.c.name)).scalars().all())
        row = home_of(hub)
        assert list(lines) == ["new"]
        assert row.log_floor == row.serial - 1
        with pytest.raises(StaleToken):
            serial_of(token_of(row.id, "01234567", row.log_floor - 1), row, "01234567")
        assert serial_of(token_of(row.id, "01234567", row.log_floor), row, "01234567") == row.log_floor
