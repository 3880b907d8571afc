"""Whose a cart is, who may have one at all, and how many."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from sqlalchemy import Connection

from creamery.accounts import By, Scope, add_user, create_token, find_user
from creamery.carts import owner_of_user, set_quota
from creamery.carts.room import Room
from creamery.clock import Micros
from tests.doubles.carting import carting_hub, entry, head, post, ready, wait_for
from tests.doubles.running import RunningHub

BY = By(Micros(1_700_000_000_000_000))
Ask = Callable[..., httpx2.Response]
ENTRIES = [entry("small.txt")]


@pytest.fixture
def closed(tmp_path: Path, folder: Path) -> Iterator[RunningHub]:
    """A hub where strangers have no carts; alice and bob may, root administers."""
    with carting_hub(tmp_path / "data", folder, carts={"anonymous": "off"}) as hub:
        for name in ("alice", "bob", "root"):
            hub.built.hub.committer.write(partial(add_user, name=name, password=None, by=BY, is_admin=name == "root"))
        yield hub


def asker(hub: RunningHub) -> Ask:
    """Asks as somebody, with a token of such a scope; without one as nobody."""

    def call(user: str, method: str, path: str, *, scope: str = "admin", body: object = None) -> httpx2.Response:
        headers = {}
        if user:
            made = hub.built.hub.committer.write(lambda c: create_token(c, user, "a test's", [Scope(scope)], None, BY))
            headers = {"Authorization": f"Bearer {made[0]}"}
        content = None if body is None else json.dumps(body).encode()
        return hub.client.request(method, f"{hub.base}{path}", content=content, headers=headers)

    return call


def made(ask: Ask, hub: RunningHub, user: str) -> str:
    uid = str(uuid.uuid4())
    assert ask(user, "POST", f"/{uid}", body={"fileids": ENTRIES}).status_code == 201
    hub.wait_until(lambda: ask(user, "HEAD", f"/{uid}").status_code == 204)
    return uid


def test_where_strangers_have_no_carts_they_are_asked_who_they_are(closed: RunningHub) -> None:
    ask = asker(closed)
    answer = ask("", "POST", f"/{uuid.uuid4()}", body={"fileids": []})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert answer.json()["status"] == "401 Unauthorized"


def test_the_lines_that_download_a_cart_say_who_asks(closed: RunningHub) -> None:
    """They were answered with 404: nobody had told them whose the cart is."""
    ask = asker(closed)
    told = ask("alice", "GET", f"/carts/{made(ask, closed, 'alice')}/status").json()

    assert all('"Authorization: Bearer $CREAMERY_TOKEN"' in command for command in told["commands"].values())


def test_a_cart_is_its_owners_alone(closed: RunningHub) -> None:
    ask = asker(closed)
    uid = made(ask, closed, "alice")

    for method, path in [
        ("HEAD", f"/{uid}"),
        ("GET", f"/{uid}"),
        ("GET", f"/carts/{uid}/status"),
        ("GET", f"/carts/{uid}/events"),
        ("GET", f"/carts/{uid}/index.json"),
        ("GET", f"/carts/{uid}/bundle.zip"),
        ("GET", f"/carts/{uid}/files/small.txt"),
        ("POST", f"/carts/{uid}/fix"),
        ("DELETE", f"/{uid}"),
    ]:
        there, nowhere = ask("bob", method, path), ask("bob", method, path.replace(uid, str(uuid.UUID(int=4))))
        assert there.status_code == nowhere.status_code == 404, (method, path)
        assert there.text.replace(uid, "") == nowhere.text.replace(str(uuid.UUID(int=4)), "")
    assert ask("alice", "GET", f"/carts/{uid}/files/small.txt").content == b"milk\n"
    assert ask("root", "GET", f"/carts/{uid}/files/small.txt").content == b"milk\n"


def test_a_name_that_somebody_has_is_taken(closed: RunningHub) -> None:
    ask = asker(closed)
    uid = made(ask, closed, "alice")

    assert ask("bob", "POST", f"/{uid}", body={"fileids": []}).status_code == 409
    assert ask("alice", "HEAD", f"/{uid}").status_code == 204


def test_everybody_lists_their_own(closed: RunningHub) -> None:
    ask = asker(closed)
    mine, theirs = made(ask, closed, "alice"), made(ask, closed, "bob")

    def listed(user: str) -> set[str]:
        return {cart["uid"] for cart in ask(user, "GET", "/carts").json()["carts"]}

    assert (listed("alice"), listed("bob"), listed("root")) == ({mine}, {theirs}, {mine, theirs})


def test_a_token_reaches_as_far_as_its_scopes(closed: RunningHub) -> None:
    ask = asker(closed)

    assert ask("alice", "GET", "/carts", scope="carts:use").status_code == 200
    assert ask("alice", "GET", "/carts", scope="index:read").status_code == 403


def test_alone_on_loopback_strangers_have_carts(hub: RunningHub) -> None:
    uid = ready(hub, ENTRIES)

    assert [cart["uid"] for cart in hub.get("/carts").json()["carts"]] == [uid]


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Proto", "Via"])
def test_a_proxy_once_seen_strangers_have_none(hub: RunningHub, name: str) -> None:
    uid = ready(hub, ENTRIES)
    through = hub.client.get(f"{hub.base}/carts/{uid}/status", headers={name: "10.0.0.1"})

    assert through.status_code == 401
    assert hub.get(f"/carts/{uid}/status").status_code == 401
    assert hub.client.post(f"{hub.base}/{uuid.uuid4()}", content=b'{"fileids": []}').status_code == 401


def test_behind_trusted_proxies_strangers_have_none(tmp_path: Path, folder: Path) -> None:
    with carting_hub(tmp_path / "data", folder, trusted_proxies=["10.0.0.0/8"]) as hub:
        assert hub.get("/carts").status_code == 401


def test_set_on_purpose_strangers_have_carts_anywhere(tmp_path: Path, folder: Path) -> None:
    with carting_hub(tmp_path / "data", folder, carts={"anonymous": "on"}, trusted_proxies=["10.0.0.0/8"]) as hub:
        uid, through = str(uuid.uuid4()), {"X-Forwarded-For": "10.0.0.1"}

        assert hub.client.post(f"{hub.base}/{uid}", content=b'{"fileids": []}', headers=through).status_code == 201
        assert hub.client.get(f"{hub.base}/carts/{uid}/status", headers=through).status_code == 200
        assert hub.client.get(f"{hub.base}/carts", headers=through).status_code == 401  # the name is the key


def test_so_many_carts_and_no_more(tmp_path: Path, folder: Path) -> None:
    with carting_hub(tmp_path / "data", folder, carts={"quota_carts": 2}) as hub:
        first = post(hub, [])
        post(hub, [])
        beyond = hub.client.post(f"{hub.base}/{uuid.uuid4()}", content=b'{"fileids": []}')
        hub.client.delete(f"{hub.base}/{first}")
        post(hub, [])

    assert beyond.status_code == 429
    assert "carts.quota_carts" in beyond.json()["message"]


def test_so_many_bytes_and_no_more(tmp_path: Path, folder: Path) -> None:
    with carting_hub(tmp_path / "data", folder, carts={"quota_bytes": 300_000}) as hub:
        ready(hub, [entry("large.bin")])
        beyond = hub.client.post(f"{hub.base}/{uuid.uuid4()}", content=b'{"fileids": []}')

    assert beyond.status_code == 507
    assert "carts.quota_bytes" in beyond.json()["message"]


def test_a_cart_that_turns_out_larger_than_may_be_says_so(tmp_path: Path, folder: Path) -> None:
    with carting_hub(tmp_path / "data", folder, carts={"quota_bytes": 299_999}) as hub:
        uid = post(hub, [entry("large.bin")])
        answer = wait_for(hub, uid)

    assert answer.status_code == 500
    assert "carts.quota_bytes" in answer.headers["x-pacifica-message"]


def test_somebody_may_have_another_quota(closed: RunningHub) -> None:
    ask = asker(closed)

    def set_to(name: str, **changes: int | None) -> None:
        def write(connection: Connection) -> None:
            user = find_user(connection, name)
            assert user is not None
            set_quota(connection, owner_of_user(user.id), cast("Any", changes), name, BY)

        closed.built.hub.committer.write(write)

    def status(name: str) -> tuple[int, str]:
        answer = ask(name, "POST", f"/{uuid.uuid4()}", body={"fileids": []})
        return answer.status_code, answer.json()["message"]

    made(ask, closed, "alice")
    set_to("alice", carts=1)
    few, others = status("alice"), status("bob")
    set_to("alice", carts=3, bytes=1)
    full = status("alice")
    set_to("alice", bytes=None)
    again = status("alice")

    assert few[0] == 429
    assert few[1].startswith("1 carts are there already, and 1 may be (creamery user quota); delete one")
    assert others[0] == again[0] == 201
    assert full[0] == 507
    assert "1 may be (creamery user quota)" in full[1]


def test_two_who_ask_at_once_do_not_both_get_the_last_place(tmp_path: Path, folder: Path) -> None:
    """The body of the first is read when the second has its cart."""
    with carting_hub(tmp_path / "data", folder, carts={"quota_carts": 1}) as hub:
        built = hub.built.hub
        slow, uid = threading.Event(), str(uuid.uuid4())
        inner = built.committer.write

        def held(work: Callable[[Connection], Any], bodies: Sequence[Any] = ()) -> Any:
            if getattr(work, "__qualname__", "").startswith("Carts.create") and not slow.is_set():
                slow.set()
                post(hub, [])
            return inner(work, bodies)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(built.committer, "write", held)
            late = hub.client.post(f"{hub.base}/{uid}", content=b'{"fileids": []}')
        seen = head(hub, uid).status_code

    assert slow.is_set()
    assert late.status_code == 429
    assert seen == 404


def test_two_that_are_planned_at_once_do_not_both_get_the_last_bytes(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is planned when the other has asked how much is left, and before it has taken it."""
    inner, both = Room.make, threading.Barrier(2)

    def make(room: Room, cart_id: int, size: int) -> None:
        both.wait(10)
        inner(room, cart_id, size)

    monkeypatch.setattr(Room, "make", make)
    with carting_hub(tmp_path / "data", folder, carts={"quota_bytes": 500_000}) as hub:
        uids = [post(hub, [entry("large.bin")]) for _ in range(2)]
        answers = {wait_for(hub, uid).status_code: wait_for(hub, uid) for uid in uids}

    assert answers.keys() == {204, 500}
    said = "its 300000 bytes and the 300000 of its owner's other carts are more than the 500000"
    assert answers[500].headers["x-pacifica-message"].startswith(said)


def test_a_cart_that_is_tried_once_more_counts_once(tmp_path: Path, folder: Path) -> None:
    with carting_hub(tmp_path / "data", folder, carts={"quota_bytes": 300_007}) as hub:
        uid = post(hub, [entry("large.bin"), entry("late.txt")])
        assert wait_for(hub, uid).status_code == 500
        (folder / "late.txt").write_bytes(b"at last")
        hub.client.post(f"{hub.base}/carts/{uid}/fix")

        assert wait_for(hub, uid).status_code == 204


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_another_sites_page_makes_no_carts(hub: RunningHub, headers: dict[str, str]) -> None:
    body = b'{"fileids": []}'
    answer = hub.client.post(f"{hub.base}/{uuid.uuid4()}", content=body, headers=headers)

    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000"])
def test_a_name_that_leads_here_is_not_enough(hub: RunningHub, host: str) -> None:
    uid = ready(hub, ENTRIES)

    assert hub.client.get(f"{hub.base}/carts/{uid}/status", headers={"Host": host}).status_code == 401


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "[::1]"])
def test_every_name_of_loopback_is(hub: RunningHub, host: str) -> None:
    uid = ready(hub, ENTRIES)

    assert hub.client.get(f"{hub.base}/carts/{uid}/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/favicon.ico", "/nothing", "/00000000-0000-4000-8000-00000000000"])
def test_what_is_no_uuid_at_the_root_asks_nobody_for_a_password(hub: RunningHub, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "DELETE"):
        answer = hub.client.request(method, hub.base + path, headers={"Sec-Fetch-Site": "none"})

        assert answer.status_code == 404
        assert "www-authenticate" not in answer.headers
