"""The table of permissions, cell by cell, asked of running hubs; and that no route is without its right."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial

import httpx2
import pytest
from passlib.hash import bcrypt

from creamery.accounts import (
    By,
    Passwords,
    Rule,
    Scope,
    add_group,
    add_members,
    add_user,
    create_token,
    revoke_token,
    set_disabled,
    set_password,
)
from creamery.clock import Micros
from creamery.http import Gate, Needs, Proxies, Route, Router
from scripts.permissions import GROUP, SETTABLE, SETTINGS, credentials, outcome
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream

PASSWORD = "correct horse"
PASSCODE = "open sesame"
BY = By(Micros(1_700_000_000_000_000))
MEANS = {"yes": {200, 301, 404, 422}, "401": {401}, "403": {403}}
NAMES = {"project": "demo", "file": "demo-1.0-py3-none-any.whl", "name": "nobody", "user": "nobody"}
"""What stands for the placeholders of paths; where a route changes something, there is nothing of that name."""

Headers = Mapping[str, str]


def basic(name: str, password: str) -> Headers:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, RunningHub]]:
    """A hub for each value of `index.read`."""
    folder = tmp_path_factory.mktemp("permissions")
    (folder / "htpasswd").write_text(f"dave:{bcrypt.using(rounds=4).hash(PASSWORD)}")
    with Upstream() as upstream, ExitStack() as running:
        upstream.add("demo", "1.0")
        yield {
            text: running.enter_context(
                RunningHub(
                    folder / text.replace(":", "-"),
                    index={
                        "upstreams": [upstream.url],
                        "max_age": 1e6,
                        "read": text,
                        "htpasswd": folder / "htpasswd",
                        "passcode": PASSCODE,
                    },
                    limits={"login_failures": 1_000, "login_failures_address": 1_000},
                )
            )
            for text in SETTINGS
        }


@pytest.fixture(scope="module")
def presented(hubs: Mapping[str, RunningHub]) -> Mapping[str, Callable[[str, str], Headers]]:
    """By hub: what is sent for each kind of credential that the table names, made for a right."""
    hashed = Passwords(next(iter(hubs.values())).settings.limits).hash(PASSWORD)
    return {text: _people(hub, hashed) for text, hub in hubs.items()}


def _people(hub: RunningHub, hashed: str) -> Callable[[str, str], Headers]:
    write = hub.built.hub.committer.write

    def token(user: str, scope: str) -> tuple[Headers, int]:
        text, made = write(lambda c: create_token(c, user, "a test's", [Scope(scope)], None, BY))
        return {"authorization": f"Bearer {text}"}, made.id

    def session(user: str) -> Headers:
        answer = httpx2.post(f"{hub.base}/api/v1/sessions", json={"name": user, "password": PASSWORD}, trust_env=False)
        cookie = answer.headers["set-cookie"].partition(";")[0]
        return {"cookie": cookie, "x-csrf-token": answer.json()["csrf_token"]}

    # Who has sessions has no other credential: asked with one of those, DELETE /sessions ends them all.
    for name in ("alice", "bob", "eve", "root", "alice.s", "bob.s", "eve.s", "root.s"):
        write(partial(add_user, name=name, password=hashed, by=BY, is_admin=name.startswith("root")))
    write(lambda c: add_members(c, add_group(c, GROUP, BY).name, ["bob", "bob.s"], BY))
    revoked, number = token("alice", "index:read")
    write(lambda c: revoke_token(c, number, BY))
    disabled, _ = token("eve", "index:read")
    write(lambda c: set_disabled(c, "eve", BY, disabled=True))
    ended = session("eve.s")
    write(lambda c: set_password(c, "eve.s", hashed, BY))
    fixed: Mapping[str, Headers] = {
        "none": {},
        "wrong password": basic("alice", "wrong password"),
        "expired or revoked token": revoked,
        "token of a disabled user": disabled,
        "session that has ended": ended,
        "password": basic("alice", PASSWORD),
        "password of a member": basic("bob", PASSWORD),
        "password of an administrator": basic("root", PASSWORD),
        "session": session("alice.s"),
        "session of a member": session("bob.s"),
        "session of an administrator": session("root.s"),
        "token with another right": token("bob", "wheels:push")[0],
        "administrator's token with another right": token("root", "wheels:push")[0],
        "administrator's token `admin`": token("root", "admin")[0],
        "user's token `admin`": token("alice", "admin")[0],
        "password file of the index": basic("dave", PASSWORD),
        "passcode of the index": basic("havarti", PASSCODE),
    }
    with_the_right = {
        "token with the right": "alice",
        "member's token with the right": "bob",
        "administrator's token with the right": "root",
    }
    made = functools.cache(lambda user, action: token(user, action)[0])

    def headers(credential: str, action: str) -> Headers:
        user = with_the_right.get(credential)
        return fixed[credential] if user is None else made(user, action)

    return headers


def lines(hub: RunningHub) -> list[tuple[Route, str, Rule | None]]:
    """Each route with each of its methods, and the rule of its right; None: anyone."""
    doors = hub.built.doors
    declared = {action: rule for door in doors for action, rule in door.rules.items()}
    return [
        (route, method, declared.get(route.needs.action))
        for door in doors
        for route in door.routes
        for method in route.methods
    ]


@pytest.mark.parametrize("credential", credentials("index:read"))
@pytest.mark.parametrize("setting", SETTINGS)
def test_each_route_answers_each_credential_as_the_table_says(
    hubs: Mapping[str, RunningHub],
    presented: Mapping[str, Callable[[str, str], Headers]],
    setting: str,
    credential: str,
) -> None:
    hub, answers = hubs[setting], {}
    for route, method, rule in lines(hub):
        action = route.needs.action
        if action not in SETTABLE and setting != "anyone":
            continue  # the same in every hub
        path = route.path.format_map(NAMES | dict.fromkeys(("session_id", "token_id", "job_id"), "999999"))
        status = hub.client.request(method, hub.base + path, headers=presented[setting](credential, action)).status_code
        if rule is None:
            if status in {401, 403}:
                answers[method, route.path] = (status, "yes")
            continue
        expected = outcome(rule, action, credentials(action)[credential])
        if status not in MEANS[expected]:
            answers[method, route.path] = (status, expected)

    assert answers == {}


def test_a_route_whose_right_nobody_has_declared_ends_the_start(hubs: Mapping[str, RunningHub]) -> None:
    hub = hubs["anyone"]
    undeclared = Route(("GET",), "/x", hub.built.doors[0].routes[0].endpoint, Needs("index:paint", "project"))

    with pytest.raises(ValueError, match="/x needs index:paint, and no door says who has it"):
        Router({"index": [undeclared]}, Gate(hub.built.hub.accounts, Proxies()))
    with pytest.raises(ValueError, match="nobody to ask"):
        Router({"index": [undeclared]})
