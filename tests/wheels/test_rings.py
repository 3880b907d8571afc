"""Rings: who writes where, who sees what, how a wheel comes to be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from creamery.accounts import Scope, UnknownScope, parse_scope, remove_user, set_disabled
from creamery.wheels import SCOPES
from tests.doubles.building import build_of, key_of, put_entry
from tests.doubles.distributions import Distribution, wheel
from tests.doubles.pushing import push
from tests.doubles.running import RunningHub
from tests.doubles.uploading import BY, Auth, token_of

MADE = wheel("acme", "1.0")
OTHER = wheel("acme", "1.0", size=100)
KEY = key_of(build_of())


def of_ring(hub: RunningHub, user: str, ring: str) -> Auth:
    return token_of(hub, user, [Scope("wheels:push", ring)])


def seen(hub: RunningHub, auth: Auth | None) -> str | None:
    """Whose bytes somebody gets under the key."""
    known: Any = {} if auth is None else {"auth": auth}
    answer = hub.client.get(f"{hub.base}/w/v1/entries/{KEY}", **known)
    return None if answer.status_code == 404 else str(answer.json()["sha256"])


def conflicts(hub: RunningHub) -> list[tuple[str, str]]:
    known = hub.get("/api/v1/wheels/projects/acme/1.0").json()["conflicts"]
    return [(each["ring"], each["sha256"]) for each in known]


def test_a_branch_sees_main_and_main_never_a_branch(hub: RunningHub, alice: Auth) -> None:
    branch = of_ring(hub, "bob", "pr-17")
    put_entry(hub, OTHER, branch)

    assert (seen(hub, branch), seen(hub, alice), seen(hub, None)) == (OTHER.sha256, None, None)
    put_entry(hub, MADE, alice)
    assert (seen(hub, branch), seen(hub, alice), seen(hub, None)) == (OTHER.sha256, MADE.sha256, MADE.sha256)
    assert seen(hub, of_ring(hub, "carol", "pr-18")) == MADE.sha256


def test_what_a_branch_has_is_in_none_of_the_others_lists(hub: RunningHub, alice: Auth) -> None:
    branch = of_ring(hub, "bob", "pr-17")
    push(hub, MADE, branch)
    put_entry(hub, MADE, branch)

    for path in ("api/", "api/acme", f"p/{MADE.filename}", "s/acme", f"f/{MADE.sha256}/{MADE.filename}"):
        mine = hub.client.get(f"{hub.base}/w/{path}", auth=branch)
        theirs = hub.client.get(f"{hub.base}/w/{path}", auth=alice)
        assert mine.status_code == 200
        assert theirs.status_code == 404 or theirs.json() == []
    assert hub.client.get(f"{hub.base}/api/v1/wheels", auth=alice).json()["items"] == []
    assert len(hub.client.get(f"{hub.base}/api/v1/wheels", auth=branch).json()["items"]) == 2
    root = token_of(hub, "root", [Scope("admin")], is_admin=True)
    assert len(hub.client.get(f"{hub.base}/api/v1/wheels", auth=root).json()["items"]) == 2
    assert hub.client.get(f"{hub.base}/api/v1/wheels?ring=main", auth=root).json()["items"] == []


def test_a_token_that_only_reads_pushes_nowhere(hub: RunningHub) -> None:
    fork = token_of(hub, "eve", [Scope("wheels:read")])

    assert put_entry(hub, MADE, fork).status_code == 403
    assert push(hub, MADE, fork).status_code == 403


@pytest.mark.parametrize("ring", ["upstream", "Upstream", "strangers"])
def test_no_token_writes_where_the_hub_keeps_what_others_brought(ring: str) -> None:
    with pytest.raises(UnknownScope, match="name another"):
        parse_scope(f"wheels:push:{ring}", SCOPES)


@pytest.mark.parametrize("scopes", [["pr-17", "pr-18"], ["pr-17", ""]])
def test_a_token_that_names_several_rings_is_refused(hub: RunningHub, scopes: list[str]) -> None:
    several = token_of(hub, "bob", [Scope("wheels:push", ring) for ring in scopes])

    refused = put_entry(hub, MADE, several)

    assert refused.status_code == 400
    assert "pr-17" in refused.text


def test_rings_that_the_hub_trusts_are_seen_by_all_in_their_order(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, wheels={"trusted": ["ci", "nightly"]}) as hub:
        put_entry(hub, OTHER, of_ring(hub, "night", "nightly"))
        assert seen(hub, None) == OTHER.sha256

        put_entry(hub, MADE, of_ring(hub, "ci", "ci"))
        assert seen(hub, None) == MADE.sha256
        assert (
            seen(hub, of_ring(hub, "night", "nightly")) == MADE.sha256
        )  # it is trusted, so it has no place of its own


def test_an_administrator_promotes_what_a_branch_has_built(hub: RunningHub, alice: Auth) -> None:
    put_entry(hub, MADE, of_ring(hub, "bob", "pr-17"), log="built\n")
    path = f"{hub.base}/api/v1/wheels/{MADE.filename}/promotion"

    assert hub.client.post(path, auth=alice).status_code == 403
    root = token_of(hub, "root", [Scope("admin")], is_admin=True)
    assert hub.client.post(f"{path}?ring=pr-18", auth=root).status_code == 404
    assert hub.client.post(path, auth=root).status_code == 204

    assert seen(hub, None) == MADE.sha256
    assert hub.get(f"/w/v1/entries/{KEY}/log").text == "built\n"


def test_of_different_wheels_of_one_name_none_is_promoted_unless_it_is_said_which(hub: RunningHub) -> None:
    put_entry(hub, MADE, of_ring(hub, "bob", "pr-17"))
    put_entry(hub, OTHER, of_ring(hub, "mallory", "pr-18"), build_of("6" * 64))
    root = token_of(hub, "root", [Scope("admin")], is_admin=True)
    path = f"{hub.base}/api/v1/wheels/{MADE.filename}/promotion"

    refused = hub.client.post(path, auth=root)
    assert refused.status_code == 409
    assert "pr-17, pr-18" in refused.json()["detail"]
    assert hub.get("/api/v1/wheels").json()["items"] == []

    assert hub.client.post(f"{path}?ring=pr-17", auth=root).status_code == 204
    assert [each["sha256"] for each in hub.get("/api/v1/wheels").json()["items"]] == [MADE.sha256]
    assert hub.client.post(f"{path}?sha256={OTHER.sha256}", auth=root).status_code == 204


def test_a_promotion_never_replaces_what_main_has(hub: RunningHub, alice: Auth) -> None:
    put_entry(hub, OTHER, of_ring(hub, "bob", "pr-17"))
    put_entry(hub, MADE, alice)
    root = token_of(hub, "root", [Scope("admin")], is_admin=True)

    refused = hub.client.post(f"{hub.base}/api/v1/wheels/{MADE.filename}/promotion?sha256={OTHER.sha256}", auth=root)

    assert refused.status_code == 409
    assert seen(hub, None) == MADE.sha256
    assert conflicts(hub) == [("main", OTHER.sha256)]


def test_that_main_has_other_bytes_than_enough_users_have_built_is_a_conflict(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, wheels={"agree": 2}) as hub:
        put_entry(hub, MADE, token_of(hub, "mallory", [Scope("wheels:push")]))
        for user in ("ada", "bob"):
            assert put_entry(hub, OTHER, of_ring(hub, user, f"of-{user}")).status_code == 201

        assert seen(hub, None) == MADE.sha256
        assert conflicts(hub) == [("main", OTHER.sha256)]


def test_enough_users_who_have_built_the_same_make_it_trusted(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, wheels={"agree": 3}) as hub:

        def build(user: str, ring: str, made: Distribution) -> None:
            put_entry(hub, made, of_ring(hub, user, ring))

        build("ada", "pr-1", MADE)
        build("ada", "pr-2", MADE)  # once more she: that counts once
        build("bob", "pr-3", OTHER)
        build("carol", "pr-1", MADE)
        assert seen(hub, None) is None

        build("dora", "pr-4", MADE)

        assert seen(hub, None) == MADE.sha256
        assert hub.get(f"/w/f/{MADE.sha256}/{MADE.filename}").content == MADE.content


@pytest.mark.parametrize("is_removed", [True, False])
def test_who_is_let_in_no_more_counts_no_more(tmp_path: Path, *, is_removed: bool) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, wheels={"agree": 2}) as hub:
        put_entry(hub, MADE, of_ring(hub, "mallory", "of-mallory"))
        write = hub.built.hub.committer.write
        write(lambda c: remove_user(c, "mallory", BY) if is_removed else set_disabled(c, "mallory", BY, disabled=True))

        put_entry(hub, MADE, of_ring(hub, "ada", "of-ada"))
        assert seen(hub, None) is None
        put_entry(hub, MADE, of_ring(hub, "bob", "of-bob"))
        assert seen(hub, None) == MADE.sha256


def test_what_an_administrator_has_removed_has_to_be_agreed_on_anew(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, wheels={"agree": 2}) as hub:
        ada, bob = (of_ring(hub, user, f"of-{user}") for user in ("ada", "bob"))
        for user in (ada, bob):
            put_entry(hub, MADE, user)
        root = token_of(hub, "root", [Scope("admin")], is_admin=True)
        assert hub.client.delete(f"{hub.base}/api/v1/wheels/{MADE.filename}", auth=root).status_code == 204

        put_entry(hub, MADE, ada)
        assert seen(hub, None) is None
        put_entry(hub, MADE, bob)
        assert seen(hub, None) == MADE.sha256


def test_strangers_push_into_a_ring_of_their_own_where_the_hub_lets_them(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, wheels={"push": "anyone"}) as hub:
        alice = token_of(hub, "alice", [Scope("wheels:push")])

        assert push(hub, MADE, None).status_code == 200
        assert hub.get(f"/w/p/{MADE.filename}").content == MADE.content
        assert hub.client.get(f"{hub.base}/w/p/{MADE.filename}", auth=alice).status_code == 404
        assert push(hub, OTHER, alice).status_code == 200
        assert hub.get(f"/w/p/{MADE.filename}").content == MADE.content

        elsewhere = hub.client.put(
            f"{hub.base}/w/p/{MADE.filename}", content=MADE.content, headers={"Host": "evil.example"}
        )
        foreign = hub.client.put(
            f"{hub.base}/w/p/{MADE.filename}", content=MADE.content, headers={"Origin": "http://evil.example"}
        )
        assert (elsewhere.status_code, foreign.status_code) == (401, 403)

        hub.client.get(f"{hub.base}/w/api/")
        proxied = hub.client.put(
            f"{hub.base}/w/p/{MADE.filename}", content=MADE.content, headers={"X-Forwarded-For": "192.0.2.1"}
        )
        assert proxied.status_code == 401
        assert hub.get(f"/w/p/{MADE.filename}").content == OTHER.content


def test_credentials_that_are_none_of_ours_see_what_strangers_see(hub: RunningHub, alice: Auth) -> None:
    put_entry(hub, MADE, alice)

    assert seen(hub, ("proxy", "its password")) == MADE.sha256
