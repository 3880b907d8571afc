# ruff: noqa: F811 - fixtures of the neighbours
"""A request that was let in and dawdles: what was revoked meanwhile is not written after the revoker's answer."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import httpx2
import pytest

from creamery.accounts import (
    Passwords,
    Presented,
    RightEnded,
    Scope,
    add_group,
    add_members,
    add_user,
    confirm,
    create_token,
    end_sessions,
    find_user,
    remove_user,
    revoke_token,
    set_admin,
    set_disabled,
    set_password,
)
from creamery.clock import SECOND, Micros
from creamery.limits import Limits
from tests.doubles.running import RunningHub
from tests.operations.conftest import BY, PASSWORD, Browser, hub, running  # noqa: F401 - fixtures

Revoke = Callable[[RunningHub, str, int], None]
HASHED = Passwords(Limits()).hash(PASSWORD)


@pytest.fixture(scope="session")
def hashed() -> str:
    return HASHED


def write(hub: RunningHub, work: Any) -> Any:
    return hub.built.hub.committer.write(work)


@contextmanager
def dawdling(hub: RunningHub, headers: dict[str, str], path: str, body: bytes) -> Iterator[Callable[[], int]]:
    """A POST that has been let in by its headers; what is yielded sends its body and returns the status."""
    host, _, port = hub.base.removeprefix("http://").partition(":")
    said = {"Host": "hub", "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    accounts, asked = hub.built.hub.accounts, threading.Event()
    may = accounts.may

    def noticed(*given: Any) -> bool:
        asked.set()
        return may(*given)

    with socket.create_connection((host, int(port)), timeout=10) as connection:
        with mock.patch.object(accounts, "may", noticed):
            connection.sendall(f"POST /api/v1{path} HTTP/1.1\r\n{lines}\r\n".encode() + body[:1])
            assert asked.wait(10)

        def finish() -> int:
            connection.sendall(body[1:])
            return int(connection.recv(65_536).split()[1])

        yield finish


def credentials(hub: RunningHub, kind: str) -> tuple[dict[str, str], int]:
    """Of mallory's, who is an administrator; and the token's or session's number."""
    write(hub, lambda c: add_user(c, "mallory", HASHED, BY, is_admin=True))
    if kind == "session":
        browser = Browser(hub)
        opened = browser.sign_in("mallory").json()
        browser.client.close()
        return {"Cookie": f"creamery-session={browser.session}", "X-CSRF-Token": opened["csrf_token"]}, opened["id"]
    if kind == "password":
        pair = base64.b64encode(f"mallory:{PASSWORD}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}, 0
    text, token = write(hub, lambda c: create_token(c, "mallory", "t", [Scope("admin")], None, BY))
    return {"Authorization": f"Bearer {text}"}, token.id


REVOCATIONS: dict[str, Revoke] = {
    "removed": lambda hub, name, _: write(hub, lambda c: remove_user(c, name, BY)),
    "disabled": lambda hub, name, _: write(hub, lambda c: set_disabled(c, name, BY, disabled=True)),
    "administrator no more": lambda hub, name, _: write(hub, lambda c: set_admin(c, name, BY, is_admin=False)),
    "another password": lambda hub, name, _: write(hub, lambda c: set_password(c, name, HASHED, BY)),
    "another group": lambda hub, name, _: write(
        hub, lambda c: add_members(c, add_group(c, f"g{name}", BY).name, [name], BY)
    ),
}


@pytest.mark.parametrize("kind", ["session", "token", "password"])
@pytest.mark.parametrize("revocation", REVOCATIONS)
def test_nothing_is_written_for_whom_it_was_revoked_meanwhile(
    hub: RunningHub,
    kind: str,
    revocation: str,
) -> None:
    headers, number = credentials(hub, kind)
    body = json.dumps({"name": "evil", "is_admin": True}).encode()

    with dawdling(hub, headers, "/users", body) as finish:
        REVOCATIONS[revocation](hub, "mallory", number)
        assert finish() == 401

    assert hub.ask(lambda c: find_user(c, "evil")) is None


@pytest.mark.parametrize("kind", ["session", "token"])
def test_nothing_is_written_with_what_was_taken_back_meanwhile(
    hub: RunningHub,
    kind: str,
) -> None:
    headers, number = credentials(hub, kind)
    body = json.dumps({"name": "wide", "scopes": ["admin"], "expires": None}).encode()

    with dawdling(hub, headers, "/tokens", body) as finish:
        if kind == "token":
            write(hub, lambda c: revoke_token(c, number, BY))
        else:
            mallory = hub.ask(lambda c: find_user(c, "mallory"))
            write(hub, lambda c: end_sessions(c, mallory, BY))
        assert finish() == 401


def test_nothing_is_written_with_a_token_that_has_ended_meanwhile(hub: RunningHub) -> None:
    now = hub.built.hub.clock.now()
    write(hub, lambda c: add_user(c, "mallory", HASHED, BY, is_admin=True))
    ends = Micros(now + 3_600 * SECOND)
    text, _ = write(hub, lambda c: create_token(c, "mallory", "t", [Scope("admin")], ends, BY))
    principal = asyncio.run_coroutine_threadsafe(
        hub.built.hub.accounts.authenticate(Presented(f"Bearer {text}")), hub._loop or asyncio.new_event_loop()
    ).result(10)

    write(hub, lambda c: confirm(c, principal, Micros(ends - 1)))
    with pytest.raises(RightEnded):
        write(hub, lambda c: confirm(c, principal, ends))


def test_what_is_not_revoked_goes_through_however_slowly(hub: RunningHub) -> None:
    headers, _ = credentials(hub, "token")

    with dawdling(hub, headers, "/users", json.dumps({"name": "carol"}).encode()) as finish:
        assert finish() == 201


def test_a_password_that_is_changed_overrides_no_disabling(
    hub: RunningHub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The new one waits to be hashed while an administrator keeps its user out."""
    browser = Browser(hub)
    browser.sign_in("alice")
    passwords = hub.built.hub.accounts.passwords
    hash_it = passwords.hash

    def meanwhile(password: str) -> str:
        write(hub, lambda c: set_disabled(c, "alice", BY, disabled=True))
        return hash_it(password)

    monkeypatch.setattr(passwords, "hash", meanwhile)
    before = hub.ask(lambda c: find_user(c, "alice")).password

    answer = browser.ask("PUT", "/me/password", current=PASSWORD, new="battery staple")

    assert answer.status_code == 401
    assert hub.ask(lambda c: find_user(c, "alice")).password == before
    browser.client.close()


def test_a_stranger_stops_nobody_with_a_huge_body(hub: RunningHub) -> None:
    huge = b"{" + b",".join(b'"%d":{}' % number for number in range(700_000)) + b"}"
    largest = huge[: hub.settings.limits.json_bytes - 1].rpartition(b",")[0] + b"}"
    post = partial(httpx2.post, f"{hub.base}/api/v1/sessions", trust_env=False, timeout=30)
    headers = {"content-type": "application/json"}

    assert post(content=huge, headers=headers).status_code == 413
    answer = post(content=largest, headers=headers)
    assert answer.status_code == 422
    assert len(answer.content) < 5_000


@pytest.mark.parametrize("host", ["x:99999", "[::::]", "[..]:1", "x:65536"])
def test_a_host_that_is_none_is_a_bad_request(hub: RunningHub, host: str) -> None:
    headers = {"host": host, "origin": "http://x", "sec-fetch-site": "cross-site"}

    assert httpx2.post(f"{hub.base}/api/v1/sessions", headers=headers, trust_env=False).status_code == 400


def test_a_slash_in_a_name_leads_to_no_other_route(hub: RunningHub) -> None:
    headers, _ = credentials(hub, "token")

    assert hub.client.get(f"{hub.base}/api/v1/users/alice%2Fsessions", headers=headers).status_code == 404


def test_a_browser_with_two_sessions_has_none(hub: RunningHub) -> None:
    one, other = Browser(hub), Browser(hub)
    one.sign_in("alice")
    other.sign_in("bob")
    mine, theirs = (f"creamery-session={browser.session}" for browser in (one, other))

    for cookie in (f"{mine}; {theirs}", f"{theirs}; {mine}"):
        assert hub.get("/api/v1/me", cookie=cookie).status_code == 401
    assert hub.get("/api/v1/me", cookie=f"{mine}; {mine}").status_code == 200
    assert hub.get("/api/v1/me", cookie=f"other=a,creamery-session=evil; {mine}").status_code == 200
    one.client.close()
    other.client.close()
