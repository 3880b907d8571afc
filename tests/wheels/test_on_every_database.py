"""Built wheels on each database, through two hubs that share it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from creamery.accounts import Scope
from creamery.blobs import Audit, Depth
from creamery.hub import offline_holders
from creamery.wheels.tables import wheel_entry
from tests.databases import KINDS, create_tables, empty_database
from tests.doubles.building import build_of, key_of, put_entry, put_failure
from tests.doubles.distributions import wheel
from tests.doubles.pushing import push
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of

ROUNDS = 5


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_hubs_that_take_one_name_at_once_one_keeps_it(kind: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"index": {"upstreams": []}}
    with empty_database(kind, tmp_path) as url:
        create_tables(url)
        with (
            RunningHub(tmp_path / "data", database_url=url, **settings) as one,
            RunningHub(tmp_path / "data", database_url=url, **settings) as two,
        ):
            alice = token_of(one, "alice", [Scope("wheels:push")])
            for number in range(ROUNDS):
                made = [wheel("acme", f"{number}.0", size=size) for size in (100, 200)]
                with ThreadPoolExecutor(2) as senders:
                    sent = [senders.submit(push, *each, alice) for each in zip((one, two), made, strict=True)]
                answers = [each.result().status_code for each in sent]

                assert sorted(answers) == [200, 409]
                served = {hub.get(f"/w/p/{made[0].filename}").content for hub in (one, two)}
                assert len(served) == 1
                assert served <= {each.content for each in made}
            built = one.built.hub
            audit = Audit(built.settings.data, built.database, offline_holders(), built.settings.limits, built.clock)
            assert list(audit.run(Depth.DATA, lambda size: None)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_whose_wheel_has_gone_takes_other_bytes(kind: str, tmp_path: Path) -> None:
    first, second = wheel("acme", "1.0"), wheel("acme", "1.0", size=100)
    with empty_database(kind, tmp_path) as url:
        create_tables(url)
        with RunningHub(tmp_path / "data", database_url=url, index={"upstreams": []}) as hub:
            alice = token_of(hub, "alice", [Scope("wheels:push")])
            assert push(hub, first, alice).status_code == 200
            hub.built.hub.committer.write(lambda c: c.execute(update(wheel_entry).values(digest=None)))  # as evicted

            assert hub.get(f"/w/p/{first.filename}").status_code == 404
            assert push(hub, second, alice).status_code == 200
            assert hub.get(f"/w/p/{first.filename}").content == second.content
            assert [each["sha256"] for each in hub.get("/api/v1/wheels").json()["items"]] == [second.sha256]


@pytest.mark.parametrize("kind", KINDS)
def test_of_eight_machines_at_two_hubs_one_builds_and_all_have_its_wheel(kind: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"index": {"upstreams": []}}
    made, key = wheel("acme", "1.0"), key_of(build_of())
    with empty_database(kind, tmp_path) as url:
        create_tables(url)
        with (
            RunningHub(tmp_path / "data", database_url=url, **settings) as one,
            RunningHub(tmp_path / "data", database_url=url, **settings) as two,
        ):
            alice = token_of(one, "alice", [Scope("wheels:push")])

            def machine(number: int) -> tuple[bool, bytes]:
                hub = (one, two)[number % 2]
                with httpx2.Client(auth=alice, timeout=60, trust_env=False) as client:
                    answer = client.post(f"{hub.base}/w/v1/lease/{key}?wait=30")
                    if answer.status_code == 201:
                        put_entry(hub, made, alice)
                        return True, made.content
                    return False, client.get(answer.json()["url"]).content

            with ThreadPoolExecutor(8) as machines:
                ended = list(machines.map(machine, range(8)))

            assert [built for built, _ in ended].count(True) == 1
            assert {content for _, content in ended} == {made.content}


@pytest.mark.parametrize("kind", KINDS)
def test_failures_that_come_through_two_hubs_at_once_are_all_counted(kind: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"index": {"upstreams": []}}
    with empty_database(kind, tmp_path) as url:
        create_tables(url)
        with (
            RunningHub(tmp_path / "data", database_url=url, **settings) as one,
            RunningHub(tmp_path / "data", database_url=url, **settings) as two,
        ):
            alice = token_of(one, "alice", [Scope("wheels:push")])
            with ThreadPoolExecutor(6) as machines:
                sent = [machines.submit(put_failure, hub, "7" * 64, alice, log="no\n") for hub in (one, two) * 3]

            assert [each.result().status_code for each in sent] == [201] * 6
            assert one.get("/w/v1/failures/" + "7" * 64).json()["times"] == 6
