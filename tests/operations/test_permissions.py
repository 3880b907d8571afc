"""The table of permissions, cell by cell, asked of running hubs; and that no route is without its right."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

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
)
from creamery.clock import Micros
from creamery.http import PUBLIC, Gate, Needs, Proxies, Route, Router
from creamery.hub import doors_of
from scripts.permissions import GROUP, SETTINGS, credentials, outcome
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream

PASSWORD = "correct horse"
PASSCODE = "open sesame"
BY = By(Micros(1_700_000_000_000_000))
MEANS = {"yes": {200, 301, 404}, "401": {401}, "403": {403}}


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


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
def presented(hubs: Mapping[str, RunningHub]) -> Mapping[str, Mapping[str, str | None]]:
    """By hub: what is sent for each kind of credential that the table names."""
    hashed = Passwords(next(iter(hubs.values())).settings.limits).hash(PASSWORD)
    return {text: _people(hub, hashed) for text, hub in hubs.items()}


def _people(hub: RunningHub, hashed: str) -> Mapping[str, str | None]:
    write = hub.built.hub.committer.write

    def token(user: str, scope: str) -> tuple[str, int]:
        text, made = write(lambda c: create_token(c, user, "a test's", [Scope(*scope.split("|"))], None, BY))
        return f"Bearer {text}", made.id

    for name in ("alice", "bob", "eve", "root"):
        write(partial(add_user, name=name, password=hashed, by=BY, is_admin=name == "root"))
    write(lambda c: add_members(c, add_group(c, GROUP, BY).name, ["bob"], BY))
    revoked, number = token("alice", "index:read")
    write(lambda c: revoke_token(c, number, BY))
    disabled, _ = token("eve", "index:read")
    write(lambda c: set_disabled(c, "eve", BY, disabled=True))
    return {
        "none": None,
        "wrong password": basic("alice", "wrong password"),
        "expired or revoked token": revoked,
        "token of a disabled user": disabled,
        "password": basic("alice", PASSWORD),
        "password of a member": basic("bob", PASSWORD),
        "password of an administrator": basic("root", PASSWORD),
        "token with the right": token("alice", "index:read")[0],
        "member's token with the right": token("bob", "index:read")[0],
        "token with another right": token("bob", "wheels:push")[0],
        "administrator's token with the right": token("root", "index:read")[0],
        "administrator's token `admin`": token("root", "admin")[0],
        "user's token `admin`": token("alice", "admin")[0],
        "password file of the door": basic("dave", PASSWORD),
        "passcode of the door": basic("havarti", PASSCODE),
    }


def routes(hub: RunningHub) -> list[Route]:
    return [route for door in doors_of(hub.built.hub) for route in door.routes]


@pytest.mark.parametrize("credential", credentials("index:read"))
@pytest.mark.parametrize("setting", SETTINGS)
def test_each_route_answers_each_credential_as_the_table_says(
    hubs: Mapping[str, RunningHub], presented: Mapping[str, Mapping[str, str | None]], setting: str, credential: str
) -> None:
    hub, authorization = hubs[setting], presented[setting][credential]
    headers = {} if authorization is None else {"authorization": authorization}
    answers: dict[str, Any] = {}
    for route in routes(hub):
        path = route.path.format(project="demo", file="demo-1.0-py3-none-any.whl")
        status = hub.get(path, **headers).status_code
        if route.needs == PUBLIC:
            if status in {401, 403}:
                answers[route.path] = (status, "yes")
            continue
        expected = outcome(Rule.parse(setting), route.needs.action, credentials(route.needs.action)[credential])
        if status not in MEANS[expected]:
            answers[route.path] = (status, expected)

    assert answers == {}


def test_a_route_whose_right_nobody_has_declared_ends_the_start(hubs: Mapping[str, RunningHub]) -> None:
    hub = hubs["anyone"]
    undeclared = Route(("GET",), "/x", hub.built.doors[0].routes[0].endpoint, Needs("index:paint", "project"))

    with pytest.raises(ValueError, match="/x needs index:paint, and no door says who has it"):
        Router({"index": [undeclared]}, Gate(hub.built.hub.accounts, Proxies()))
    with pytest.raises(ValueError, match="nobody to ask"):
        Router({"index": [undeclared]})
