"""Of many cold machines one builds and the others wait; what cannot be built is not tried by everybody."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, update

from creamery.accounts import Scope
from creamery.clock import SECOND
from creamery.wheels.leases import wheel_failure, wheel_lease
from tests.doubles.building import build_of, key_of, put_entry, put_failure
from tests.doubles.distributions import wheel
from tests.doubles.running import RunningHub
from tests.doubles.uploading import Auth, token_of

MADE = wheel("acme", "1.0")
KEY = key_of(build_of())


def lease(hub: RunningHub, auth: Auth, wait: int = 0, key: str = KEY) -> httpx2.Response:
    return hub.client.post(f"{hub.base}/w/v1/lease/{key}?wait={wait}", auth=auth)


def test_of_eight_one_builds_and_the_others_get_its_wheel(hub: RunningHub, alice: Auth) -> None:
    builds: list[str] = []
    got: list[str] = []

    def machine() -> None:
        answer = lease(hub, alice, wait=30)
        if answer.status_code == 201:
            builds.append(answer.json()["token"])
            time.sleep(0.3)
            put_entry(hub, MADE, alice)
        else:
            got.append(hub.client.get(answer.json()["url"], auth=alice).content.hex())

    threads = [threading.Thread(target=machine) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(builds) == 1
    assert got == [MADE.content.hex()] * 7


def test_a_lease_that_nobody_renews_passes_on(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, limits={"wheel_lease_seconds": 0.5}) as hub:
        alice = token_of(hub, "alice", [Scope("wheels:push")])
        dead = lease(hub, alice).json()["token"]

        assert lease(hub, alice).status_code == 202
        passed = lease(hub, alice, wait=10)

        assert passed.status_code == 201
        assert renewed(hub, alice, dead).status_code == 409
        assert renewed(hub, alice, passed.json()["token"]).status_code == 200


def test_a_lease_that_is_given_back_is_free_at_once(hub: RunningHub, alice: Auth) -> None:
    token = lease(hub, alice).json()["token"]
    answers: list[httpx2.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(lease(hub, alice, wait=20)))
    waiting.start()
    began = time.monotonic()

    given = hub.client.delete(f"{hub.base}/w/v1/lease/{KEY}?token={token}", auth=alice)
    waiting.join()

    assert given.status_code == 204
    assert answers[0].status_code == 201
    assert time.monotonic() - began < 10


def test_a_lease_says_who_builds_and_for_how_long(hub: RunningHub, alice: Auth) -> None:
    lease(hub, alice)

    other = lease(hub, token_of(hub, "bob", [Scope("wheels:push")])).json()
    looked = hub.client.post(f"{hub.base}/w/v1/lookup", json={"keys": [KEY]}).json()["keys"][KEY]

    assert other["state"] == looked["state"] == "leased"
    assert other["by"].split()[0] == "alice"
    assert 0 < other["seconds"] <= 60


def test_nobody_waits_longer_than_the_hub_lets_them(tmp_path: Path) -> None:
    limits = {"wheel_wait_seconds": 0.3, "wheel_failure_seconds": 100, "wheel_failure_most_seconds": 150}
    with RunningHub(tmp_path, index={"upstreams": []}, limits=limits) as hub:
        alice = token_of(hub, "alice", [Scope("wheels:push")])
        lease(hub, alice)
        began = time.monotonic()

        assert lease(hub, alice, wait=3_000).status_code == 202
        assert time.monotonic() - began < 5
        for seconds in (100, 150, 150):
            failed = put_failure(hub, KEY, alice).json()
            assert round(failed["until"] - failed["last"]) == seconds


def test_leases_and_failures_of_a_branch_are_nobody_elses(hub: RunningHub, alice: Auth) -> None:
    branch = token_of(hub, "bob", [Scope("wheels:push", "pr-17")])
    assert lease(hub, branch).status_code == 201
    assert lease(hub, alice).status_code == 201

    put_failure(hub, KEY, branch)

    assert lease(hub, branch).json()["state"] == "failed"
    assert hub.client.get(f"{hub.base}/w/v1/failures/{KEY}", auth=branch).status_code == 200
    assert hub.get(f"/w/v1/failures/{KEY}").status_code == 404


def test_in_a_ring_that_everybody_trusts_its_own_leases_and_failures_count(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, wheels={"trusted": ["nightly"]}) as hub:
        nightly = token_of(hub, "night", [Scope("wheels:push", "nightly")])
        alice = token_of(hub, "alice", [Scope("wheels:push")])
        failed, theirs = (key_of(build_of(digit * 64)) for digit in "ab")
        said = put_failure(hub, failed, nightly, log="no such header\n").json()
        put_failure(hub, theirs, alice)
        lease(hub, nightly)

        keys = {"keys": [failed, theirs, KEY]}
        told = hub.client.post(f"{hub.base}/w/v1/lookup", json=keys, auth=nightly).json()["keys"]

        assert [told[key]["state"] for key in keys["keys"]] == ["failed", "miss", "leased"]
        assert hub.client.get(said["log"], auth=nightly).text == "no such header\n"
        assert hub.client.get(f"{hub.base}/w/v1/failures/{theirs}", auth=nightly).status_code == 404


def test_there_are_so_many_leases_and_no_more(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, limits={"wheel_leases": 2}) as hub:
        alice = token_of(hub, "alice", [Scope("wheels:push")])
        statuses = [lease(hub, alice, key=f"{number:064x}").status_code for number in range(3)]

        assert statuses == [201, 201, 429]


def test_a_failure_is_remembered_with_its_log_for_longer_each_time(hub: RunningHub, alice: Auth) -> None:
    lease(hub, alice)
    first = put_failure(hub, KEY, alice, log="foo.c:1: error: no such thing\n").json()
    second = put_failure(hub, KEY, alice).json()

    day = 86_400
    assert (first["times"], round(first["until"] - first["last"])) == (1, day)
    assert (second["times"], round(second["until"] - second["last"])) == (2, 2 * day)
    assert hub.client.get(first["log"]).status_code == 404  # the second time nothing was said
    answer = lease(hub, alice, wait=20)
    assert (answer.status_code, answer.json()["state"], answer.json()["reason"]) == (200, "failed", "gcc ended with 1")
    assert hub.client.post(f"{hub.base}/w/v1/lookup", json={"keys": [KEY]}).json()["keys"][KEY]["state"] == "failed"


def test_the_log_of_a_failure_is_as_it_was_sent(hub: RunningHub, alice: Auth) -> None:
    said = put_failure(hub, KEY, alice, log="foo.c:1: error: grüße\n").json()

    answer = hub.client.get(said["log"])

    assert answer.text == "foo.c:1: error: grüße\n"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("changes", "log", "status", "word"),
    [
        ({"kind": "network"}, None, 422, "network"),
        ({"kind": "disk"}, None, 422, "disk"),
        ({"kind": "other"}, None, 400, "kind"),
        ({}, "x\nOSError: [Errno 28] No space left on device\n", 422, "No space left"),
        ({}, "cc1plus: fatal error: Killed signal terminated program cc1plus", 422, "Killed signal"),
        ({"reason": "urlopen error [Errno -3] Temporary failure in name resolution"}, None, 422, "name resolution"),
        ({"version": "new"}, None, 400, "version"),
        ({"project": "-"}, None, 400, "project"),
        ({"colour": "red"}, None, 400, "colour"),
    ],
)
def test_only_failures_of_a_build_backend_are_remembered(
    one_hub: RunningHub, changes: dict[str, Any], log: str | None, status: int, word: str
) -> None:
    alice = token_of(one_hub, "alice", [Scope("wheels:push")])
    refused = put_failure(one_hub, KEY, alice, log=log, **changes)

    assert refused.status_code == status
    assert word in refused.text
    assert one_hub.get(f"/w/v1/failures/{KEY}").status_code == 404


def test_what_was_built_after_all_has_not_failed(hub: RunningHub, alice: Auth) -> None:
    put_failure(hub, KEY, alice, log="no\n")

    assert put_entry(hub, MADE, alice).status_code == 201
    assert lease(hub, alice).json()["state"] == "hit"
    assert hub.get(f"/w/v1/failures/{KEY}").status_code == 404


def test_who_fails_ends_their_own_lease_and_not_that_of_who_builds_now(hub: RunningHub, alice: Auth) -> None:
    bob = token_of(hub, "bob", [Scope("wheels:push")])
    path = f"{hub.base}/w/v1/lease/{KEY}?token={lease(hub, bob).json()['token']}"

    put_failure(hub, KEY, alice)  # whose lease has passed on
    assert hub.client.put(path, auth=bob).status_code == 200

    put_failure(hub, KEY, bob)
    assert hub.client.put(path, auth=bob).status_code == 409


def test_no_clock_but_the_hubs_counts(hub: RunningHub, alice: Auth) -> None:
    skewed = {"seconds": 1, "built": 4_102_444_800}  # the year 2100
    put_entry(hub, MADE, alice, provenance=skewed)

    found = hub.get(f"/w/v1/entries/{KEY}").json()

    assert abs(found["pushed"] - hub.built.hub.clock.now() / SECOND) < 60
    assert found["record"]["provenance"]["built"] == 4_102_444_800


def test_no_lease_and_no_failure_outlasts_a_clock_that_was_ahead(hub: RunningHub, alice: Auth) -> None:
    failed = key_of(build_of("7" * 64))
    lease(hub, alice)
    put_failure(hub, failed, alice)

    def as_if_written_in_ten_years(connection: Connection) -> None:
        for table in (wheel_lease, wheel_failure):
            connection.execute(update(table).values(until=table.c.until + 10 * 365 * 86_400 * SECOND))

    hub.built.hub.committer.write(as_if_written_in_ten_years)
    told = hub.client.post(f"{hub.base}/w/v1/lookup", json={"keys": [KEY, failed]}).json()["keys"]

    assert [each["state"] for each in told.values()] == ["miss", "miss"]
    assert [lease(hub, alice, key=key).status_code for key in (KEY, failed)] == [201, 201]
    assert lease(hub, alice).status_code == 202


@pytest.mark.parametrize("wait", ["-1", "1.5", "soon", "9999999"])
def test_a_wait_that_is_none_is_refused(one_hub: RunningHub, wait: str) -> None:
    alice = token_of(one_hub, "alice", [Scope("wheels:push")])
    answer = one_hub.client.post(f"{one_hub.base}/w/v1/lease/{KEY}?wait={wait}", auth=alice)

    assert answer.status_code == 400
    assert "wait" in answer.text


def renewed(hub: RunningHub, auth: Auth, token: str) -> httpx2.Response:
    return hub.client.put(f"{hub.base}/w/v1/lease/{KEY}?token={token}", auth=auth)
