"""Which built wheels go: by age, by room, by what their builds cost; what was pinned or handed out stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from creamery.accounts import Scope
from creamery.clock import SECOND, Micros
from creamery.jobs import Job
from creamery.wheels.checking import Checking
from creamery.wheels.tables import wheel_entry
from creamery.wheels.thinning import Held, Thinning, leaving
from tests.databases import KINDS, create_tables, empty_database
from tests.doubles.building import build_of, put_entry
from tests.doubles.distributions import wheel
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of

NOW = Micros(1_000_000 * SECOND)
HOUR = 3_600 * SECOND


def thin(hub: RunningHub) -> None:
    Thinning(hub.built.hub, Checking(hub.built.hub)).run(Job(1, "wheels.thin", {}, 1))


def held(number: int, *, size: int = 100, millis: int = 10_000, hours: float = 1) -> Held:
    return Held(number, size, millis, Micros(NOW - round(hours * HOUR)))


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ([held(1, hours=5), held(2, hours=1)], 1),
        ([held(1, size=500), held(2, size=100)], 1),
        ([held(1, millis=5_000), held(2, millis=600_000)], 1),
        ([held(1, millis=0), held(2, millis=2_000)], 1),
        ([held(1, hours=48, millis=3_600_000), held(2, hours=1, millis=1_000)], 2),
        ([held(1, size=0), held(2, size=400)], 2),
    ],
    ids=["unused for longer", "larger", "built faster", "not timed", "an hour of building", "nothing of it"],
)
def test_what_is_worth_least_goes_first(given: list[Held], first: int) -> None:
    total = sum(each.size for each in given)

    assert [each.id for each in leaving(given, NOW, max_bytes=total - 1, max_unused=None)] == [first]


def test_nothing_goes_where_all_fit_and_what_is_old_goes_all_the_same() -> None:
    given = [held(1), held(2, hours=30)]

    assert leaving(given, NOW, max_bytes=200, max_unused=None) == []
    assert leaving(given, NOW, max_bytes=None, max_unused=None) == []
    assert [each.id for each in leaving(given, NOW, max_bytes=200, max_unused=24 * 3_600)] == [2]


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_is_gone_and_what_was_pinned_or_handed_out_stays(kind: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"index": {"upstreams": []}, "wheels": {"max_bytes": 0}}
    made = {name: wheel(name, "1.0", size=500) for name in ("pinned", "handed", "plain")}
    with empty_database(kind, tmp_path) as url:
        create_tables(url)
        with RunningHub(tmp_path / "data", database_url=url, **settings) as hub:
            alice = token_of(hub, "alice", [Scope("wheels:push")])
            root = token_of(hub, "root", [Scope("admin")], is_admin=True)
            for number, each in enumerate(made.values()):
                put_entry(hub, each, alice, build_of(f"{number}" * 64))
            hub.client.put(f"{hub.base}/api/v1/wheels/{made['pinned'].filename}/pin", auth=root)
            handed = made["handed"]
            hub.get(f"/w/f/{handed.sha256}/{handed.filename}", user_agent="curl/8")

            thin(hub)

            assert sorted(each["project"] for each in hub.get("/api/v1/wheels").json()["items"]) == ["handed", "pinned"]
            assert hub.get(f"/w/p/{made['plain'].filename}").status_code == 404
            hub.built.hub.committer.write(lambda c: c.execute(update(wheel_entry).values(kept_until=0)))
            thin(hub)
            assert [each["project"] for each in hub.get("/api/v1/wheels").json()["items"]] == ["pinned"]
            assert put_entry(hub, made["plain"], alice, build_of("2" * 64)).status_code == 201


def test_what_could_not_be_checked_is_checked_some_time(tmp_path: Path) -> None:
    with RunningHub(tmp_path / "data", index={"upstreams": []}) as hub:
        alice = token_of(hub, "alice", [Scope("wheels:push")])
        put_entry(hub, wheel("acme", "1.0"), alice)
        hub.built.hub.committer.write(lambda c: c.execute(update(wheel_entry).values(state="checking")))

        thin(hub)

        def is_listed() -> bool:
            (entry,) = hub.get("/w/v1/projects/acme").json()["wheels"]
            return bool(entry["listing"]["state"] == "listed")

        hub.wait_until(is_listed)
