"""What a session's cookie may change, at every door: the hub's own pages alone."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from creamery.accounts import Accounts, Presented, Principal, Thing
from creamery.http import Gate, Problem, Proxies
from creamery.http.exchange import KEY, Exchange, Surroundings

SIGNED_IN = Principal("user", "alice", 1, session_id=7)
TOKEN = Principal("token", "alice", 1, token_id=3)


class Known:
    """Accounts to whom everybody is somebody, and whose form token is `right`."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def authenticate(self, _: Presented) -> Principal:
        return self._principal

    def may(self, *_: object) -> bool:
        return True

    def is_form_token(self, _: Principal, text: str) -> bool:
        return text == "right"


def admitted(principal: Principal, method: str, **headers: str) -> int:
    """200, or the status of the refusal."""
    proxies = Proxies((), "https://hub.example")
    lines = [(b"cookie", b"__Host-creamery-session=x"), *((n.encode(), v.encode()) for n, v in headers.items())]
    scope: dict[str, Any] = {"type": "http", "method": method, "raw_path": b"/dav/files/a", "headers": lines}
    named = {name.replace(b"_", b"-"): value for name, value in lines}
    surroundings = Surroundings(cast("Any", None), cast("Any", None), proxies)
    scope[KEY] = Exchange("1", named, cast("Any", None), None, surroundings, has_body=True)
    try:
        asyncio.run(Gate(cast("Accounts", Known(principal)), proxies).admit(scope, "hive", "hive:write", Thing("file")))
    except Problem as problem:
        return problem.status
    return 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "MKCOL", "PROPPATCH", "MOVE"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"origin": "https://hub.example"}, 200),
        ({"x_csrf_token": "right"}, 200),
        ({"x_csrf_token": "wrong"}, 403),
        ({}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site", "x_csrf_token": "right"}, 403),
        ({"origin": "https://evil.example", "x_csrf_token": "right"}, 403),
    ],
    ids=str,
)
def test_a_cookie_changes_something_only_from_a_page_of_the_hubs(
    method: str, headers: dict[str, str], status: int
) -> None:
    assert admitted(SIGNED_IN, method, **headers) == status


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_changes_nothing_may_be_asked_from_anywhere(method: str) -> None:
    assert admitted(SIGNED_IN, method, sec_fetch_site="cross-site") == 200


def test_a_token_needs_no_page() -> None:
    assert admitted(TOKEN, "POST", authorization="Bearer x") == 200
