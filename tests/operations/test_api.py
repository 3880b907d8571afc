"""`/api/v1`: users, groups, tokens, the journal; becoming the first, becoming a user; its limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from creamery.accounts import add_user, first_link
from tests.doubles.running import RunningHub
from tests.operations.conftest import BY, PASSWORD, Browser

Ask = Callable[..., httpx2.Response]


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Callable[..., RunningHub]]:
    """Starts hubs without users, with settings of their own."""
    running: list[RunningHub] = []

    def start(**settings: Any) -> RunningHub:
        running.append(RunningHub(tmp_path / f"hub{len(running)}", index={"upstreams": []}, **settings).__enter__())
        return running[-1]

    yield start
    for hub in running:
        hub.__exit__(None, None, None)


def post(hub: RunningHub, path: str, **body: Any) -> httpx2.Response:
    return hub.client.post(f"{hub.base}/api/v1{path}", json=body)


def test_the_first_administrator_is_made_by_the_link_once(empty: Callable[..., RunningHub]) -> None:
    hub = empty()
    link = first_link(hub.built.hub.accounts.secret)

    assert post(hub, "/first", link=link[:-1], name="root", password=PASSWORD).status_code == 403
    assert post(hub, "/first", link=link, name="root", password="short").status_code == 422
    assert post(hub, "/first", link=link, name="havarti", password=PASSWORD).status_code == 422
    made = post(hub, "/first", link=link, name="root", password=PASSWORD)
    assert (made.status_code, made.json()["user"]["is_admin"]) == (201, True)
    again = post(hub, "/first", link=link, name="second", password=PASSWORD)
    assert again.status_code == 403
    assert "creamery user add NAME --admin" in again.json()["remedy"]


def test_the_link_ends_with_its_time(empty: Callable[..., RunningHub]) -> None:
    hub = empty(limits={"first_seconds": 60})
    clock = hub.built.hub.accounts.secret._clock
    hub.built.hub.accounts.secret._clock = _Ago(clock, 62)  # type: ignore[assignment]
    link = first_link(hub.built.hub.accounts.secret)
    hub.built.hub.accounts.secret._signers.clear()
    hub.built.hub.accounts.secret._clock = clock

    assert post(hub, "/first", link=link, name="root", password=PASSWORD).status_code == 403


class _Ago:
    """A clock that is so many seconds behind."""

    def __init__(self, clock: Any, seconds: int) -> None:
        self._clock, self._micros = clock, seconds * 1_000_000

    def now(self) -> int:
        return int(self._clock.now()) - self._micros


def test_strangers_become_users_only_where_that_is_open(empty: Callable[..., RunningHub]) -> None:
    closed = empty()
    opened = empty(accounts={"registrations_open": True}, limits={"registrations_address": 3})

    refused = post(closed, "/registrations", name="eve", password=PASSWORD)
    assert (refused.status_code, refused.json()["title"]) == (403, "Registration is closed")
    made = post(opened, "/registrations", name="eve", password=PASSWORD)
    assert (made.status_code, made.json()["is_admin"]) == (201, False)
    assert post(opened, "/registrations", name="EVE", password=PASSWORD).status_code == 409
    assert post(opened, "/registrations", name="eve\u0301", password=PASSWORD).status_code == 422
    slowed = post(opened, "/registrations", name="adam", password=PASSWORD)
    assert (slowed.status_code, int(slowed.headers["retry-after"]) > 0) == (429, True)
    assert post(opened, "/sessions", name="eve", password=PASSWORD).status_code == 201


def test_guessing_locks_no_browser_out_that_has_signed_in_before(tmp_path: Path, hashed: str) -> None:
    limits = {"login_failures": 2, "login_failures_address": 3, "login_seconds": 1_000, "device_seconds": 1_000}
    with RunningHub(tmp_path / "data", index={"upstreams": []}, limits=limits) as hub:
        hub.built.hub.committer.write(partial(add_user, name="alice", password=hashed, by=BY))
        known, stranger = Browser(hub), Browser(hub)
        known.sign_in("alice")
        hub.built.hub.accounts._authenticator._throttle._known.clear()  # else this very address is known
        guessed = [stranger.sign_in("alice", "wrong password").status_code for _ in range(4)]

        assert guessed == [401, 401, 429, 429]
        assert stranger.sign_in("alice").status_code == 429
        assert known.sign_in("alice").status_code == 201
        borrowed = {"cookie": f"creamery-device={known.client.cookies['creamery-device']}"}
        of_bob = [
            stranger.ask("POST", "/sessions", name="bob", password="x" * 9, headers=borrowed).status_code
            for _ in range(2)
        ]
        assert of_bob == [401, 429], "the address is slowed: the cookie is of another account"
        assert [known.sign_in("alice", "wrong password").status_code for _ in range(3)] == [401, 401, 429]
        known.client.close()
        stranger.client.close()


def test_users_are_added_changed_and_removed(admin: Ask) -> None:
    added = admin("POST", "/users", name="carol", password=PASSWORD)
    assert added.status_code == 201
    assert added.json() | {"created": ""} == {
        "name": "carol",
        "is_admin": False,
        "disabled": False,
        "has_password": True,
        "groups": [],
        "created": "",
    }
    assert admin("POST", "/users", name="CAROL").status_code == 409
    assert admin("PATCH", "/users/Carol", disabled=True, is_admin=True).json()["disabled"] is True
    assert admin("GET", "/users/carol").json()["is_admin"] is True
    assert admin("DELETE", "/users/carol").status_code == 204
    assert admin("GET", "/users/carol").status_code == 404


@pytest.mark.parametrize(
    ("method", "change"), [("DELETE", {}), ("PATCH", {"is_admin": False}), ("PATCH", {"disabled": True})]
)
def test_the_last_administrator_stays(admin: Ask, method: str, change: dict[str, bool]) -> None:
    answer = admin(method, "/users/root", **change)

    assert answer.status_code == 409
    assert "last administrator" in answer.json()["detail"]
    assert admin("GET", "/users/root").json()["is_admin"] is True


def test_a_change_that_is_refused_in_part_changes_nothing(admin: Ask, browser: Callable[..., Browser]) -> None:
    assert admin("PATCH", "/users/root", password="battery staple", disabled=True).status_code == 409

    assert browser().sign_in("root").status_code == 201


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "\u0430lice", "ali\u0301ce", "\u202ealice", "al\0ice", "a b", "../x", "__token__", "hub"]
)
def test_names_that_nobody_can_have_are_refused_by_name(admin: Ask, name: str) -> None:
    answer = admin("POST", "/users", name=name)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_groups_and_their_members(admin: Ask) -> None:
    assert admin("POST", "/groups", name="team").status_code == 201
    assert admin("PUT", "/groups/team/members/alice").json() == {"name": "team", "members": ["alice"]}
    assert admin("PUT", "/groups/team/members/alice").json()["members"] == ["alice"]
    assert admin("PUT", "/groups/team/members/nobody").status_code == 404
    assert admin("GET", "/users/alice").json()["groups"] == ["team"]
    assert admin("DELETE", "/groups/team/members/alice").json()["members"] == []
    assert admin("DELETE", "/groups/team").status_code == 204
    assert admin("GET", "/groups").json() == {"items": [], "next": None}


def test_a_token_is_shown_once_and_opens_what_it_says(hub: RunningHub, admin: Ask) -> None:
    made = admin("POST", "/users/alice/tokens", name="ci", scopes=["admin"], expires="2999-01-01T00:00:00+01:00")
    assert made.status_code == 201
    assert made.json()["expires"] == "2998-12-31T23:00:00Z"
    listed = admin("GET", "/users/alice/tokens").json()["items"]
    assert [(token["name"], "token" in token) for token in listed] == [("ci", False)]
    headers = {"authorization": f"Bearer {made.json()['token']}"}
    assert hub.get("/api/v1/me", **headers).json()["scopes"] == ["admin"]
    assert admin("DELETE", f"/users/bob/tokens/{made.json()['id']}").status_code == 404, "it is alice's"
    assert admin("DELETE", f"/users/alice/tokens/{made.json()['id']}").status_code == 204
    assert hub.get("/api/v1/me", **headers).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": ["index:paint"]},
        {"scopes": []},
        {"scopes": ["admin:x"]},
        {"expires": "2001-01-01T00:00:00Z"},
        {"expires": "2999-01-01T00:00:00"},
        {"expires": "soon"},
        {"name": "a\nb"},
        {"name": ""},
        {"more": 1},
    ],
    ids=str,
)
def test_a_token_that_cannot_be_is_refused(admin: Ask, wrong: dict[str, Any]) -> None:
    answer = admin("POST", "/users/alice/tokens", **{"name": "ci", "scopes": ["admin"], **wrong})

    assert answer.status_code == 422
    assert admin("GET", "/users/alice/tokens").json()["items"] == []


def test_a_token_lasts_a_year_unless_told_otherwise(admin: Ask) -> None:
    year = admin("POST", "/users/alice/tokens", name="a", scopes=["admin"]).json()
    assert int(year["expires"][:4]) == int(year["created"][:4]) + 1
    assert admin("POST", "/users/alice/tokens", name="b", scopes=["admin"], expires=None).json()["expires"] is None


def test_lists_come_in_pieces(admin: Ask) -> None:
    first = admin("GET", "/users?limit=2").json()
    rest = admin("GET", f"/users?limit=2&after={first['next']}").json()

    assert [user["name"] for user in first["items"] + rest["items"]] == ["alice", "bob", "root"]
    assert rest["next"] is None
    for name in ("a", "b", "c"):
        admin("POST", "/users/alice/tokens", name=name, scopes=["admin"])
    first = admin("GET", "/users/alice/tokens?limit=2").json()
    rest = admin("GET", f"/users/alice/tokens?limit=2&after={first['next']}").json()
    assert [token["name"] for token in first["items"] + rest["items"]] == ["a", "b", "c"]


def test_the_journal_says_who_did_what_and_from_where(admin: Ask) -> None:
    admin("POST", "/groups", name="team")

    last = admin("GET", "/journal?limit=1").json()[0]
    assert (last["action"], last["subject"], last["origin"]) == ("group added", "team", "127.0.0.1")
    assert last["actor"].startswith("root (token ")
    assert admin("GET", f"/journal?after={last['serial']}").json() == []
    assert [entry["serial"] for entry in admin("GET", "/journal?after=1&limit=2").json()] == [2, 3]


def test_lists_and_bodies_are_bounded(empty: Callable[..., RunningHub]) -> None:
    hub = empty(limits={"results": 5, "json_bytes": 200})
    link = first_link(hub.built.hub.accounts.secret)
    browser = Browser(hub)
    browser.ask("POST", "/first", link=link, name="root", password=PASSWORD)

    assert browser.ask("GET", "/users?limit=5").status_code == 200
    assert browser.ask("GET", "/users?limit=6").status_code == 422
    fits = b'{"name": "team"}'.ljust(200)
    for body, status in ((fits, 201), (fits + b" ", 413)):
        headers = {"content-type": "application/json"}
        answer = browser.client.post(f"{browser.api}/groups", content=body, headers=headers)
        assert answer.status_code == status
    browser.client.close()


def test_what_is_no_json_is_told_so_without_being_said_again(admin: Ask, hub: RunningHub) -> None:
    secret = "hunter2 hunter2"
    answer = hub.client.post(f"{hub.base}/api/v1/sessions", json={"name": 5, "password": [secret]})

    assert answer.status_code == 422
    assert secret not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert admin("GET", "/users").headers["cache-control"] == "no-store"


def test_what_can_be_got_can_be_asked_for_its_head(hub: RunningHub, admin: Ask) -> None:
    for path, status in (("/users", 200), ("/users/nobody", 404)):
        got, head = admin("GET", path), admin("HEAD", path)

        assert (head.status_code, head.content) == (status, b"")
        assert head.headers["content-type"] == got.headers["content-type"]
        if status == 200:
            assert head.headers["content-length"] == str(len(got.content))


OPEN_TO_ALL = {("post", f"/api/v1/{name}") for name in ("first", "registrations", "sessions")}
OPEN_TO_READERS = {("get", f"/api/v1/index/projects/{{project}}{more}") for more in ("", "/explain", "/roles")} | {
    ("get", f"/api/v1/wheels{more}") for more in ("", "/projects/{project}/{version}")
}


def without_credentials(hub: RunningHub) -> set[tuple[str, str]]:
    """The requests that the document asks nobody's credentials for."""
    paths = hub.get("/api/v1/openapi.json").json()["paths"]
    return {(method, path) for path, of in paths.items() for method in of if of[method].get("security") == []}


def test_the_document_says_which_requests_need_no_credentials(hub: RunningHub, tmp_path: Path) -> None:
    """In this hub, as it is set up: another one lets users alone read."""
    closed_doors = {"index": {"upstreams": [], "read": "users"}, "wheels": {"read": "users"}}
    with RunningHub(tmp_path / "closed", **closed_doors) as closed:
        assert without_credentials(closed) == OPEN_TO_ALL
    assert without_credentials(hub) == OPEN_TO_ALL | OPEN_TO_READERS


def test_a_token_whose_end_cannot_be_written_is_refused_and_the_others_can_be_listed(admin: Ask) -> None:
    """It was kept, and from then on nobody could list that user's tokens."""
    last, beyond = "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00"

    refused = admin("POST", "/tokens", name="a", scopes=["admin"], expires=beyond)
    kept = admin("POST", "/tokens", name="b", scopes=["admin"], expires=last)

    assert refused.status_code == 422
    assert "cannot end after the year 9999" in refused.json()["detail"]
    assert kept.status_code == 201
    assert admin("GET", "/tokens").json()["items"][-1]["expires"] == last


def test_a_route_without_its_twin_is_told_at_the_first_request(empty: Callable[..., RunningHub]) -> None:
    hub = empty()
    hub.built.hub.api._declared.add(("GET", "/api/v1/nothing"))

    assert hub.get("/api/v1/me", authorization="Bearer x").status_code == 401
    assert hub.get("/api/v1/openapi.json").status_code == 500


def test_head_says_what_get_would(admin: Ask) -> None:
    answer = admin("HEAD", "/users")

    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len(admin("GET", "/users").content)
    assert admin("OPTIONS", "/users").headers["allow"] == "GET, HEAD, OPTIONS, POST"
