"""What no database can keep, no number can be and no name is: refused by 4xx, on all three databases.

Schemathesis seldom comes upon these; they have cost a 500 each, or a 503 that blamed the database.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest

from creamery.accounts import Scope, add_user, create_token
from creamery.contract import ProjectName
from creamery.http.problems import PROBLEM_JSON
from creamery.index.ownership import claim
from tests.doubles.running import RunningHub
from tests.operations.conftest import BY

NOTHING = {
    "nul": "%00",
    "nul in a word": "a%00b",
    "half a character": "%ED%A0%80",
    "no UTF-8": "%FF",
    "20,000 letters": "x" * 20_000,
    "right to left": "%E2%80%AE",
}
NO_NUMBER = {
    "beyond 64 bits": str(2**63),
    "below 64 bits": str(-(2**63) - 1),
    "5,000 digits": "1" * 5_000,
    "no number": "NaN",
}
PLACES = {
    "filename": "nothing-1.0-py3-none-any.whl",
    "version": "1.0",
    "name": "root",
    "user": "root",
    "job_id": "1",
    "token_id": "1",
    "session_id": "1",
}
PLACES |= {"space": "1", "node": "1", "revision": "1"}
PLACES |= {"project": "demo", "pattern": "nothing-*", "what": "9.9", "number": "1"}

NUL, HALF = "\\u0000", "\\ud800"
BODIES = [
    ("POST", path, body.replace("?", wrong))
    for wrong in (NUL, HALF)
    for path, body in (
        ("/first", '{"name": "?", "password": "correct horse", "link": "?"}'),
        ("/registrations", '{"name": "?", "password": "correct horse"}'),
        ("/sessions", '{"name": "?", "password": "correct horse"}'),
        ("/sessions", '{"name": "root", "password": "????????"}'),
        ("/users", '{"name": "?"}'),
        ("/groups", '{"name": "?"}'),
        ("/tokens", '{"name": "?", "scopes": ["admin"]}'),
        ("/tokens", '{"name": "a", "scopes": ["?"]}'),
        ("/tokens", '{"name": "a", "scopes": ["index:read:?"]}'),
        ("/tokens", '{"name": "a", "scopes": ["admin"], "?": 1}'),
        ("/index/projects/demo/yank", '{"what": "?", "reason": ""}'),
        ("/index/projects/demo/delete", '{"what": "1", "reason": "?"}'),
        ("/index/assign", '{"names": ["?"], "to": "https://index.example/"}'),
        ("/index/assign", '{"from": "?", "to": "https://index.example/"}'),
        ("/index/assign", '{"from": "https://index.example/", "to": "?"}'),
    )
]
BODIES += [
    ("PUT", "/index/projects/demo/status", f'{{"status": "active", "reason": "{NUL}"}}'),
    ("PUT", "/me/password", f'{{"current": "{HALF}", "new": "{HALF}"}}'),
    ("PATCH", "/users/alice", f'{{"password": "{HALF * 9}"}}'),
    ("POST", "/tokens", '{"name": "a", "scopes": ["admin"], "expires": 1e300}'),
    ("POST", "/tokens", '{"name": "a", "scopes": ["admin"], "expires": "9999-12-31T23:59:59-23:59"}'),
    ("POST", "/tokens", '{"name": "a", "scopes": ["admin"], "expires": "0001-01-01T00:00:00+23:59"}'),
    ("POST", "/groups", "[" * 100_000),
    ("POST", "/groups", '{"name": ' + "1" * 5_000 + "}"),
    ("POST", "/groups", '{"name": NaN}'),
    ("POST", "/groups", ""),
]


@pytest.fixture
def asks(tmp_path: Path, database_url: str) -> Iterator[tuple[httpx2.Client, RunningHub]]:
    """Asks as an administrator; strangers may register."""
    accounts = {"registrations_open": True}
    with RunningHub(tmp_path / "data", index={"upstreams": []}, accounts=accounts, database_url=database_url) as hub:
        write = hub.built.hub.committer.write
        for name in ("root", "alice"):
            write(partial(add_user, name=name, password=None, by=BY, is_admin=name == "root"))
        write(lambda c: claim(c, ProjectName("demo"), BY, holder=None, why="a test"))
        text, _ = write(lambda c: create_token(c, "root", "a test's", [Scope("admin")], None, BY))
        headers = {"authorization": f"Bearer {text}"}
        with httpx2.Client(base_url=hub.base, headers=headers, timeout=30, trust_env=False) as client:
            yield client, hub


def told(answer: httpx2.Response) -> bool:
    return 400 <= answer.status_code < 500 and answer.headers["content-type"] == PROBLEM_JSON


def test_in_every_place_of_every_path_and_query(asks: tuple[httpx2.Client, RunningHub]) -> None:
    client, hub = asks
    paths = hub.get("/api/v1/openapi.json").json()["paths"]
    wrong = {}

    for path, operations in paths.items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                name, is_query = parameter["name"], parameter["in"] == "query"
                is_number = parameter["schema"].get("type") == "integer"
                for what, value in (NOTHING | NO_NUMBER if is_number else NOTHING).items():
                    address = path.format_map(PLACES if is_query else {**PLACES, name: value})
                    answer = client.request(method, f"{address}?{name}={value}" if is_query else address)
                    if not told(answer):
                        wrong[method, path, name, what] = answer.status_code

    assert not wrong


def test_in_bodies(asks: tuple[httpx2.Client, RunningHub]) -> None:
    client, _ = asks
    headers = {"content-type": "application/json"}

    wrong = []
    for method, path, body in BODIES:
        answer = client.request(method, f"/api/v1{path}", content=body.encode(), headers=headers)
        if not told(answer):
            wrong.append((path, body[:80], answer.status_code))

    assert wrong == []
    assert client.get("/api/v1/tokens").status_code == 200


@pytest.mark.parametrize("pair", [b"a\0b:correct horse", b"\xff:x", b"root:\0", b"K:x"])
def test_in_credentials(asks: tuple[httpx2.Client, RunningHub], pair: bytes) -> None:
    client, _ = asks

    answer = client.get("/api/v1/me", headers={"authorization": f"Basic {base64.b64encode(pair).decode()}"})

    assert (answer.status_code, told(answer)) == (401, True)
