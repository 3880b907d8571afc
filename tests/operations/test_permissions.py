"""The table of permissions, cell by cell, asked of running hubs; and that no route is without its right."""

from __future__ import annotations

import base64
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

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
MEANS = {"yes": {200, 201, 202, 204, 301, 400, 404, 409, 415, 422}, "401": {401}, "403": {403}}
NAMES = {
    "project": "demo",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "cart": "nothing",
    "format": "tar",
    "path*": "a/b",
    "file": "demo-1.0-py3-none-any.whl",
    "filename": "nothing-1.0-py3-none-any.whl",
    "package": "demo",
    "query": "demo",
    "name": "nobody",
    "user": "nobody",
    "what": "9.9",
    "number": "999999",
    "pattern": "nothing-*",
    "version": "1.0",
    "space": "999999",
    "node": "999999",
    "revision": "999999",
    "key": "1" * 64,
    "digest": "1" * 64,
    "ab": "ab",
    "cd": "cd",
    "rest": "000000000000000000000000000000000000000000000000000000000000",
}
"""What stands for the placeholders of paths; where a route changes something, there is nothing of that name."""

Headers = Mapping[str, str]


def basic(name: str, password: str) -> Headers:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@contextmanager
def started(folder: Path, setting: str) -> Iterator[RunningHub]:
    """A hub with that value of `index.read`, over an upstream with one project."""
    (folder / "htpasswd").write_text(f"dave:{bcrypt.using(rounds=4).hash(PASSWORD)}")
    with Upstream() as upstream:
        upstream.add("demo", "1.0")
        index = {"upstreams": [upstream.url], "max_age": 1e6, "read": setting, "passcode": PASSCODE}
        limits = {"login_failures": 1_000, "login_failures_address": 1_000}
        index |= {"htpasswd": folder / "htpasswd"}
        with RunningHub(folder / "data", index=index, carts={"anonymous": "off"}, limits=limits) as hub:
            yield hub


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
    with_another = {"token with another right": "bob", "administrator's token with another right": "root"}
    made = functools.cache(lambda user, action: token(user, action)[0])

    def headers(credential: str, action: str) -> Headers:
        if (user := with_the_right.get(credential)) is not None:
            return made(user, action)
        if (user := with_another.get(credential)) is not None:
            return made(user, "carts:use" if action.startswith("hive:") else "hive:write")
        return fixed[credential]

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


@pytest.mark.parametrize("setting", SETTINGS)
def test_each_route_answers_each_credential_as_the_table_says(tmp_path: Path, setting: str) -> None:
    wrong = {}
    with started(tmp_path, setting) as hub:
        presented = _people(hub, Passwords(hub.settings.limits).hash(PASSWORD))
        for (route, method, rule), credential in itertools.product(lines(hub), credentials("index:read")):
            action = route.needs.action
            if action not in SETTABLE and setting != "anyone":
                continue  # the same in every hub
            path = route.path.format_map(
                NAMES | {"session_id": "999999", "token_id": "999999", "job_id": "999999", "number": "999999"}
            )
            status = hub.client.request(method, hub.base + path, headers=presented(credential, action)).status_code
            expected = "yes" if rule is None else outcome(rule, action, credentials(action)[credential])
            if status not in MEANS[expected] and (rule is not None or status in {401, 403}):
                wrong[method, route.path, credential] = (status, expected)

    assert wrong == {}


def test_a_route_whose_right_nobody_has_declared_ends_the_start(running: RunningHub) -> None:
    hub = running
    undeclared = Route(("GET",), "/x", hub.built.doors[0].routes[0].endpoint, Needs("index:paint", "project"))

    with pytest.raises(ValueError, match="/x needs index:paint, and no door says who has it"):
        Router({"index": [undeclared]}, Gate(hub.built.hub.accounts, Proxies()))
    with pytest.raises(ValueError, match="nobody to ask"):
        Router({"index": [undeclared]})
