"""Whose files somebody's cart has, nobody is told: not in a status, not in a header, not in a message."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from creamery.accounts import By, Scope, add_user, create_token, find_user
from creamery.clock import Micros
from tests.carts.conftest import FILES
from tests.doubles.carting import carting_hub, entry
from tests.doubles.running import RunningHub

BY = By(Micros(1_700_000_000_000_000))
UID = str(uuid.UUID(int=7, version=4))
GOOD = [entry(name, content=content, kind="md5") for name, content in FILES.items()]
BAD = [*GOOD, entry("small.txt", "wrong", b"something else", "sha512"), entry("nowhere")]
ASKED = (
    ("HEAD", f"/{UID}"),
    ("GET", f"/{UID}?filename=x.tar"),
    ("HEAD", f"/{UID}?filename=x.tar"),
    ("GET", "/carts"),
    *(
        (method, f"/carts/{UID}{path}")
        for method in ("GET", "HEAD")
        for path in ("/bundle.tar?filename=x.tar", "/bundle.zip?root=x", "/status", "/events", "/index.json?root=x")
    ),
    *(("GET", f"/carts/{UID}/files{path}") for path in ("", *(f"/{name}" for name in FILES), "/nowhere")),
    ("POST", f"/carts/{UID}/fix"),
    ("GET", f"/carts/{UID}/files"),
    ("DELETE", f"/{UID}"),
    ("HEAD", f"/{UID}"),
)
MOMENTS = re.compile(
    r'(?<="id":)[0-9]+|(?<="created":)[0-9.e]+|(?<="changed":)[0-9.e]+|(?<="used":)[0-9.e]+'
    r"|data_[0-9_]{19}|127\.0\.0\.1:[0-9]+"
)
"""What differs between any two carts: their numbers, their times, the hub's port."""


def caller(hub: RunningHub, user: str) -> Any:
    """Asks as somebody who is made for it."""

    def make(connection: Any) -> str:
        if find_user(connection, user) is None:
            add_user(connection, user, None, BY)
        return create_token(connection, user, "a test's", [Scope("carts:use")], None, BY)[0]

    headers = {"Authorization": f"Bearer {hub.built.hub.committer.write(make)}"}
    return lambda method, path, **more: hub.client.request(method, hub.base + path, headers=headers, **more)


def stage(hub: RunningHub, user: str, uid: str, entries: list[dict[str, Any]], status: int) -> Any:
    """A cart of somebody's, which has ended."""
    call = caller(hub, user)
    assert call("POST", f"/{uid}", json={"fileids": entries}).status_code == 201
    hub.wait_until(lambda: call("HEAD", f"/{uid}").status_code == status)
    return call


def told(hub: RunningHub, entries: list[dict[str, Any]], status: int) -> list[Any]:
    """Everything that bob hears of his cart, once it has ended."""
    call = stage(hub, "bob", UID, entries, status)
    heard = []
    for method, path in ASKED:
        if path.endswith("/files") and method == "GET":
            hub.wait_until(lambda: call("HEAD", f"/{UID}").status_code == status)  # it was staged anew
        answer = call(method, path)
        left_out = {"date", "x-request-id"}
        if answer.headers.get("content-type") == "application/json":
            left_out.add("content-length")  # of a body whose times have more digits or fewer
        headers = {name: value for name, value in answer.headers.items() if name not in left_out}
        text = MOMENTS.sub("*", answer.content.decode("latin-1"))
        heard.append((method, path, answer.status_code, MOMENTS.sub("*", str(headers)), text))
    return heard


@pytest.mark.parametrize(("entries", "status"), [(GOOD, 204), (BAD, 500)], ids=["ready", "failed"])
def test_a_cart_of_what_others_have_is_as_any_other(
    tmp_path: Path, folder: Path, entries: list[dict[str, Any]], status: int
) -> None:
    with carting_hub(tmp_path / "first", folder, carts={"anonymous": "off"}) as hub:
        alone = told(hub, entries, status)
    with carting_hub(tmp_path / "second", folder, carts={"anonymous": "off"}) as hub:
        alice = stage(hub, "alice", str(uuid.uuid4()), entries, status)
        everything = sum(map(len, FILES.values()))
        hub.wait_until(lambda: hub.metric("carts_staged_bytes_total") == everything)  # counted a moment after they end
        after_alice = told(hub, entries, status)
        assert hub.metric("carts_staged_bytes_total") == everything  # or it would not be what this is about
        assert [cart["state"] for cart in alice("GET", "/carts").json()["carts"]] == [
            "ready" if status == 204 else "error"
        ]
    assert after_alice == alone
    assert {each[2] for each in alone} >= ({200, 204, 404} if status == 204 else {200, 404, 500})
