"""What another site's page, or a stranger who is a user, tries through somebody's browser and with their own token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from creamery.accounts import By, Passwords, Scope, add_user, create_token
from creamery.clock import Micros
from creamery.limits import Limits
from tests.doubles.running import RunningHub
from tests.operations.conftest import PASSWORD, Browser

BY = By(Micros(1_700_000_000_000_000))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """With alice, mallory, and root, who is an administrator."""
    hashed = Passwords(Limits()).hash(PASSWORD)
    limits = {"login_failures": 1_000, "login_failures_address": 1_000}
    with RunningHub(tmp_path_factory.mktemp("sites") / "data", index={"upstreams": []}, limits=limits) as running:
        for name in ("alice", "mallory", "root"):
            add = partial(add_user, name=name, password=hashed, by=BY, is_admin=name == "root")
            running.built.hub.committer.write(add)
        yield running


@pytest.fixture
def browser(hub: RunningHub) -> Iterator[Callable[..., Browser]]:
    """Makes browsers of root's, that say what is given."""
    made: list[Browser] = []

    def make(**headers: str) -> Browser:
        signed_in = Browser(hub)
        signed_in.sign_in("root")
        one = Browser(hub)
        one.client.headers.pop("sec-fetch-site")
        one.client.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        one.client.cookies.update(signed_in.client.cookies)
        made.extend((signed_in, one))
        return one

    yield make
    for one in made:
        one.client.close()


@pytest.mark.parametrize(
    "said",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec_fetch_site": "cross-site", "origin": "OWN"},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/users"), ("DELETE", "/sessions"), ("PATCH", "/users/alice")])
def test_another_sites_page_changes_nothing_with_somebodys_cookie(
    hub: RunningHub, browser: Callable[..., Browser], said: dict[str, str], method: str, path: str
) -> None:
    root = browser(**{name: hub.base if value == "OWN" else value for name, value in said.items()})

    answer = root.ask(method, path, name="eve")

    assert answer.status_code == 403
    assert root.ask("GET", "/users/eve").status_code == 404


@pytest.mark.parametrize("said", [{"sec_fetch_site": "same-origin"}, {"origin": "OWN"}], ids=str)
def test_the_hubs_own_page_does(hub: RunningHub, browser: Callable[..., Browser], said: dict[str, str]) -> None:
    root = browser(**{name: hub.base if value == "OWN" else value for name, value in said.items()})

    assert root.ask("POST", "/groups", name=f"group{len(said)}{next(iter(said))[0]}").status_code == 201


def test_a_page_without_origin_sends_the_sessions_own_form_token(
    hub: RunningHub, browser: Callable[..., Browser]
) -> None:
    root, other = browser(), browser()
    mine, theirs = (one.ask("GET", "/me").json()["csrf_token"] for one in (root, other))

    assert root.ask("POST", "/groups", name="formed", headers={"X-CSRF-Token": theirs}).status_code == 403
    assert root.ask("POST", "/groups", name="formed", headers={"X-CSRF-Token": mine + "x"}).status_code == 403
    assert root.ask("POST", "/groups", name="formed", headers={"X-CSRF-Token": mine}).status_code == 201


@pytest.mark.parametrize("path", ["/sessions", "/registrations", "/first"])
def test_another_site_signs_nobody_in(hub: RunningHub, path: str) -> None:
    evil = Browser(hub, **{"Sec-Fetch-Site": "cross-site"})

    answer = evil.ask("POST", path, name="mallory", password=PASSWORD)

    assert answer.status_code == 403
    assert evil.session == ""
    evil.client.close()


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_is_no_json(hub: RunningHub, content_type: str) -> None:
    body = b'{"name": "mallory", "password": "correct horse"}'

    answer = hub.client.post(hub.base + "/api/v1/sessions", content=body, headers={"content-type": content_type})

    assert answer.status_code == 422


@pytest.mark.parametrize("scopes", [["index:read"], ["journal:read"], ["jobs:manage"], ["journal:read", "index:read"]])
def test_a_token_makes_no_other_token_and_changes_nobody(hub: RunningHub, scopes: list[str]) -> None:
    parsed = [Scope(scope) for scope in scopes]
    text, _ = hub.built.hub.committer.write(lambda c: create_token(c, "root", "narrow", parsed, None, BY))
    headers = {"Authorization": f"Bearer {text}"}
    wide = {"name": "wide", "scopes": ["admin"]}

    for method, path, body in (
        ("POST", "/tokens", wide),
        ("GET", "/tokens", None),
        ("POST", "/users/root/tokens", wide),
        ("PATCH", "/users/root", {"password": "battery staple"}),
        ("PUT", "/me/password", {"current": PASSWORD, "new": "battery staple"}),
        ("GET", "/me", None),
    ):
        answer = hub.client.request(method, f"{hub.base}/api/v1{path}", json=body, headers=headers)
        assert answer.status_code == 403, (method, path)


@pytest.mark.parametrize("scope", ["admin"])
def test_a_user_becomes_no_administrator_and_sees_nobody_elses(hub: RunningHub, scope: str) -> None:
    text, _ = hub.built.hub.committer.write(lambda c: create_token(c, "mallory", "own", [Scope(scope)], None, BY))
    _, of_alice = hub.built.hub.committer.write(lambda c: create_token(c, "alice", "a", [Scope("admin")], None, BY))
    headers = {"Authorization": f"Bearer {text}"}

    for method, path, body, status in (
        ("PATCH", "/users/mallory", {"is_admin": True}, 403),
        ("GET", "/users", None, 403),
        ("GET", "/users/alice", None, 403),
        ("GET", "/users/nobody", None, 403),
        ("GET", "/users/alice/tokens", None, 403),
        ("GET", "/journal", None, 403),
        ("DELETE", f"/tokens/{of_alice.id}", None, 404),
        ("DELETE", "/tokens/999999", None, 404),
        ("PUT", "/groups/team/members/mallory", None, 403),
    ):
        answer = hub.client.request(method, f"{hub.base}/api/v1{path}", json=body, headers=headers)
        assert answer.status_code == status, (method, path)
    tokens = hub.client.get(f"{hub.base}/api/v1/tokens", headers=headers).json()["items"]
    assert {token["name"] for token in tokens} == {"own"}
