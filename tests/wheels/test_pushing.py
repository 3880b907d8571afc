"""Pushing built wheels: what is taken, what is refused and why, who may."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from creamery.accounts import Scope, add_user, create_token, revoke_token
from creamery.journal import since
from tests.doubles.distributions import sdist, wheel
from tests.doubles.pushing import push
from tests.doubles.running import RunningHub
from tests.doubles.uploading import BY, Auth, token_of

PURE = wheel("Acme.Tool", "1.0")


@pytest.mark.parametrize("raw", [False, True], ids=["as Curdling", "raw"])
def test_what_was_pushed_is_found_and_has_the_same_bytes(hub: RunningHub, alice: Auth, *, raw: bool) -> None:
    answer = push(hub, PURE, alice, raw=raw)
    got = hub.get(f"/w/p/{PURE.filename}")

    assert (answer.status_code, answer.text) == (200, "ok")
    assert (got.status_code, got.content) == (200, PURE.content)
    assert got.headers["x-content-type-options"] == "nosniff"
    assert hub.get("/w/api/").json() == ["acme-tool"]
    assert hub.metric("wheels_pushed_total", outcome="new") == 1


def test_the_same_wheel_once_more_is_welcome_and_changes_nothing(hub: RunningHub, alice: Auth) -> None:
    push(hub, PURE, alice)
    entries = len(hub.ask(lambda connection: since(connection, 0, 100)))

    again = push(hub, PURE, token_of(hub, "bob", [Scope("wheels:push")]), raw=True)

    assert (again.status_code, again.text) == (200, "ok")
    assert hub.metric("wheels_pushed_total", outcome="same") == 1
    pushes = [e for e in hub.ask(lambda connection: since(connection, 0, 100)) if e.door == "wheels"]
    assert [(entry.action, entry.subject, entry.actor.split()[0]) for entry in pushes] == [
        ("pushed", PURE.filename, "alice")
    ]
    assert len(hub.ask(lambda connection: since(connection, 0, 100))) == entries + 2  # bob and his token


def test_other_bytes_never_take_a_name(hub: RunningHub, alice: Auth) -> None:
    other = wheel("Acme.Tool", "1.0", size=10)
    push(hub, PURE, alice)

    refused = push(hub, other, alice)

    assert refused.status_code == 409
    assert PURE.sha256 in refused.text
    assert other.sha256 in refused.text
    assert hub.get(f"/w/p/{PURE.filename}").content == PURE.content


@pytest.mark.parametrize(
    ("filename", "word"),
    [
        (sdist("acme", "1.0").filename, ".whl"),
        ("acme.whl", "neither a wheel"),
        ("acme-one-py3-none-any.whl", "neither a wheel"),
        ("acme-1.0-py3-none-any.whl.exe", "neither a wheel"),
        (".hidden-1.0-py3-none-any.whl", "no file name"),
    ],
)
def test_what_is_no_wheel_by_its_name_is_refused_unread(hub: RunningHub, alice: Auth, filename: str, word: str) -> None:
    refused = push(hub, PURE, alice, filename=filename)

    assert refused.status_code == 400
    assert word in refused.text
    assert hub.get("/w/api/").json() == []


@pytest.mark.parametrize(
    ("lie", "word"),
    [
        ({"filename": "other-1.0-py3-none-any.whl"}, "other"),
        ({"filename": "acme_tool-2.0-py3-none-any.whl"}, "2.0"),
        ({"filename": "acme_tool-1.0-py2-none-any.whl"}, "wheel tags"),
        ({"content": PURE.content[:-30]}, "zip"),
        ({"content": b""}, "zip"),
        ({"part": "content"}, "no part of the name"),
    ],
    ids=["project", "version", "tag", "truncated", "empty", "part"],
)
def test_a_wheel_that_is_not_what_its_name_says_is_refused(
    hub: RunningHub, alice: Auth, lie: dict[str, Any], word: str
) -> None:
    refused = push(hub, PURE, alice, **lie)

    assert refused.status_code == 400
    assert word in refused.text
    assert hub.get("/w/api/").json() == []
    assert not list((hub.settings.data / "incoming").glob("*.part"))


def test_who_may_not_push_is_told_before_a_byte_is_read(hub: RunningHub) -> None:
    readers = token_of(hub, "carol", [Scope("index:read")])

    assert push(hub, PURE, None).status_code == 401
    assert push(hub, PURE, readers).status_code == 403
    assert hub.get("/w/api/").json() == []


def test_a_right_that_ended_meanwhile_pushes_nothing(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    built = hub.built.hub
    _, made = built.committer.write(
        lambda connection: (
            add_user(connection, "dave", None, BY),
            create_token(connection, "dave", "a test's", [Scope("wheels:push")], None, BY),
        )
    )
    text, token = made
    run = built.pools.cpu.run

    async def revoked_meanwhile(*call: Any) -> Any:
        built.committer.write(lambda connection: revoke_token(connection, token.id, BY))
        return await run(*call)

    monkeypatch.setattr(built.pools.cpu, "run", revoked_meanwhile)

    assert push(hub, PURE, ("__token__", text)).status_code == 401
    assert hub.get("/w/api/").json() == []


def test_of_two_that_push_at_once_one_has_the_name(hub: RunningHub, alice: Auth) -> None:
    made = [wheel("acme", "1.0", size=1_000 + number) for number in range(6)]
    answers: list[int] = []

    def send(number: int) -> None:
        answers.append(push(hub, made[number], alice).status_code)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(made))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [200, *[409] * 5]
    assert hub.get(f"/w/p/{made[0].filename}").content in [each.content for each in made]


def test_only_users_read_where_the_hub_says_so(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, wheels={"read": "users"}) as hub:
        alice = token_of(hub, "alice", [Scope("wheels:push"), Scope("wheels:read")])
        push(hub, PURE, alice)

        assert [hub.get(f"/w/{path}").status_code for path in ("api/", f"p/{PURE.filename}", "s/acme-tool")] == [
            401
        ] * 3
        mine = hub.client.get(f"{hub.base}/w/p/{PURE.filename}", auth=alice)
        assert mine.content == PURE.content
        assert mine.headers["cache-control"] == "private, no-cache"


def test_a_wheel_that_was_evicted_is_gone_until_somebody_builds_it_again(tmp_path: Path) -> None:
    rebuilt = wheel("acme-tool", "1.0", size=70_000)
    with RunningHub(tmp_path, index={"upstreams": []}, cache={"max_bytes": 0}) as hub:
        alice = token_of(hub, "alice", [Scope("wheels:push")])
        push(hub, wheel("acme-tool", "1.0", size=80_000), alice)

        give_way(hub, [])

        assert hub.get(f"/w/p/{rebuilt.filename}").status_code == 404
        assert hub.get("/w/api/acme-tool").status_code == 404
        assert push(hub, rebuilt, alice).status_code == 200
        assert hub.get(f"/w/p/{rebuilt.filename}").content == rebuilt.content


def test_what_is_pinned_stays_when_everything_else_gives_way(tmp_path: Path) -> None:
    stays, goes = (wheel(name, "1.0", size=80_000) for name in ("stays", "goes"))
    with RunningHub(tmp_path, index={"upstreams": []}, cache={"max_bytes": 0}) as hub:
        root = token_of(hub, "root", [Scope("admin")], is_admin=True)
        push(hub, stays, token_of(hub, "alice", [Scope("wheels:push")]))
        pin = f"{hub.base}/api/v1/wheels/{stays.filename}/pin"
        assert hub.client.put(pin, auth=root).status_code == 204
        push(hub, goes, token_of(hub, "alice", [Scope("wheels:push")]))

        give_way(hub, ["stays"])

        assert hub.get(f"/w/p/{stays.filename}").content == stays.content
        assert hub.client.delete(pin, auth=root).status_code == 204
        give_way(hub, [])
        assert hub.client.put(pin, auth=root).status_code == 404


def give_way(hub: RunningHub, left: list[str]) -> None:
    """Let go of everything that can be had again, until only so much is left."""

    def has_given_way() -> bool:
        hub.built.hub.blobs.evict()
        names: list[str] = hub.get("/w/api/").json()
        return names == left

    hub.wait_until(has_given_way)
