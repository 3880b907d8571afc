"""Upstreams of built wheels: other hubs, old servers, loops, and those that are dead, slow or lie."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from creamery.accounts import Scope
from tests.doubles.building import build_of, key_of, put_entry
from tests.doubles.distributions import sdist, wheel
from tests.doubles.loopback import Exchange, Loopback
from tests.doubles.pushing import push
from tests.doubles.running import JSON, RunningHub
from tests.doubles.served import ServedFolder
from tests.doubles.uploading import token_of
from tests.doubles.upstream import Upstream

SOURCE = sdist("acme", "1.0")
MADE = wheel("acme", "1.0")
TUNED = wheel("acme", "1.0", size=10)
BUILD = build_of(SOURCE.sha256)
FLAGS = build_of(SOURCE.sha256, environment={"CFLAGS": "-O3"})
PIP = 'pip/26.3 {"installer":{"name":"pip","version":"26.3"}}'


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[RunningHub]:
    with RunningHub(tmp_path / "parent", index={"upstreams": []}) as hub:
        alice = token_of(hub, "alice", [Scope("wheels:push")])
        put_entry(hub, MADE, alice, BUILD, log="built there\n")
        put_entry(hub, TUNED, alice, FLAGS)
        yield hub


def child_of(url: str, tmp_path: Path, **settings: Any) -> RunningHub:
    wheels = {"upstreams": [url]}
    return RunningHub(tmp_path / "child", **{"index": {"upstreams": []}, "wheels": wheels, **settings})


def test_what_a_hub_above_has_is_found_by_its_key_and_comes_with_its_record(parent: RunningHub, tmp_path: Path) -> None:
    with child_of(f"{parent.base}/w/", tmp_path) as hub:
        keys = [key_of(BUILD), key_of(FLAGS), "7" * 64]
        found = hub.client.post(f"{hub.base}/w/v1/lookup", json={"keys": keys}).json()["keys"]
        entry = hub.get(f"/w/v1/entries/{keys[0]}").json()
        hub.get(f"/w/v1/entries/{keys[1]}")

        assert [found[key]["state"] for key in keys] == ["hit", "hit", "miss"]
        assert hub.client.get(found[keys[0]]["url"]).json()["sha256"] == MADE.sha256
        assert (entry["ring"], entry["sha256"], entry["record"]["build"]) == ("upstream", MADE.sha256, _plain(BUILD))
        assert hub.client.get(entry["log"]).text == "built there\n"
        parent.client.close()
        assert hub.client.get(entry["url"]).content == MADE.content
        items = hub.get("/api/v1/wheels").json()["items"]
        assert [each["pushed_by"].split(":")[0] for each in items] == ["upstream 127.0.0.1"] * 2


def test_its_page_lists_the_next_time_what_everybody_would_have_built(parent: RunningHub, tmp_path: Path) -> None:
    with Upstream() as index:
        index.add_file("acme", "1.0", SOURCE)
        with child_of(f"{parent.base}/w/", tmp_path, index={"upstreams": [index.url]}) as hub:

            def listed() -> list[str]:
                page = hub.get("/w/i/acme/", accept=JSON, user_agent=PIP).json()
                return [file["hashes"]["sha256"] for file in page["files"] if file["filename"] == MADE.filename]

            assert listed() == []
            hub.wait_until(lambda: listed() == [MADE.sha256])
            assert len(hub.get("/api/v1/wheels").json()["items"]) == 2  # the tuned one is here, and on no page


def test_what_stands_above_a_hub_above_is_found_by_key_at_once_and_by_name_the_next_time(
    parent: RunningHub, tmp_path: Path
) -> None:
    with child_of(f"{parent.base}/w/", tmp_path) as middle:
        wheels = {"upstreams": [f"{middle.base}/w/"]}
        with RunningHub(tmp_path / "grandchild", index={"upstreams": []}, wheels=wheels) as hub:
            assert hub.get(f"/w/v1/entries/{key_of(FLAGS)}").json()["sha256"] == TUNED.sha256

            def is_known() -> bool:
                hub.get("/w/api/acme")
                return hub.get(f"/w/v1/entries/{key_of(BUILD)}").status_code == 200

            hub.wait_until(is_known)
            middle.wait_until(lambda: len(middle.get("/api/v1/wheels").json()["items"]) == 2)


def test_a_lease_is_not_given_for_what_is_above(parent: RunningHub, tmp_path: Path) -> None:
    with child_of(f"{parent.base}/w/", tmp_path) as hub:
        alice = token_of(hub, "alice", [Scope("wheels:push")])

        answer = hub.client.post(f"{hub.base}/w/v1/lease/{key_of(BUILD)}", auth=alice)

        assert (answer.status_code, answer.json()["state"], answer.json()["sha256"]) == (200, "hit", MADE.sha256)


def test_an_old_servers_wheels_are_listed_and_brought(tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    newer = wheel("acme", "1!0.9+local.1")  # its address has %21, and perhaps %2B
    for each in (MADE, newer):
        (folder / each.filename).write_bytes(each.content)
    with ServedFolder(tmp_path, "-H", "127.0.0.1", "-p", "0", folder) as old, child_of(old.base, tmp_path) as hub:
        listed = hub.get("/w/api/acme").json()
        best = hub.get("/w/s/acme")

        assert [each["version"] for each in listed] == ["1!0.9+local.1", "1.0"]
        assert listed[1]["urls"][0] == {"url": f"{hub.base}/w/p/{MADE.filename}", "sha256": MADE.sha256}
        assert best.content == newer.content
        assert hub.get(f"/w/p/{MADE.filename}").content == MADE.content
        assert hub.get("/w/p/acme-9.0-py3-none-any.whl").status_code == 404
        assert hub.metric("wheels_upstream_total", result="brought") == 2


def test_what_strangers_have_above_comes_to_nobody_here(tmp_path: Path) -> None:
    with RunningHub(tmp_path / "parent", index={"upstreams": []}, wheels={"push": "anyone"}) as parent:
        push(parent, MADE, token_of(parent, "alice", [Scope("wheels:push")]))
        push(parent, TUNED, None)
        put_entry(parent, TUNED, None, BUILD)

        with child_of(f"{parent.base}/w/", tmp_path) as hub:
            assert hub.get(f"/w/p/{MADE.filename}").content == MADE.content
            assert hub.get(f"/w/v1/entries/{key_of(BUILD)}").status_code == 404
        assert parent.get(f"/w/p/{TUNED.filename}").content == TUNED.content


def test_what_was_built_here_goes_first(parent: RunningHub, tmp_path: Path) -> None:
    own = wheel("acme", "1.0", size=77)
    with child_of(f"{parent.base}/w/", tmp_path) as hub:
        hub.get(f"/w/v1/entries/{key_of(BUILD)}")
        assert put_entry(hub, own, token_of(hub, "alice", [Scope("wheels:push")]), BUILD).status_code == 201

        assert hub.get(f"/w/v1/entries/{key_of(BUILD)}").json()["sha256"] == own.sha256


def test_hubs_that_ask_each_other_end_at_the_first_that_is_asked_twice(tmp_path: Path) -> None:
    port = free_port()
    with child_of(f"http://127.0.0.1:{port}/w/", tmp_path) as one:
        two = RunningHub(tmp_path / "two", index={"upstreams": []}, wheels={"upstreams": [f"{one.base}/w/"]})
        two.port = port
        with two:
            began = time.monotonic()

            assert one.get("/w/p/acme-1.0-py3-none-any.whl").status_code == 404
            assert two.get("/w/api/acme").status_code == 404
            assert one.client.post(f"{one.base}/w/v1/lookup", json={"keys": ["7" * 64]}).json()["keys"] == {
                "7" * 64: {"state": "miss"}
            }
            assert time.monotonic() - began < 10
            assert (
                one.metric("wheels_upstream_total", result="loop") + two.metric("wheels_upstream_total", result="loop")
                >= 1
            )


@pytest.mark.parametrize("kind", ["refuses", "is silent"])
def test_a_dead_one_is_waited_for_once(kind: str, tmp_path: Path) -> None:
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        if kind == "is silent":
            dead.listen(100)
        with child_of(f"http://127.0.0.1:{dead.getsockname()[1]}/w/", tmp_path) as hub:
            alice = token_of(hub, "alice", [Scope("wheels:push")])
            push(hub, MADE, alice)
            first = timed(hub, "/w/api/acme")

            later = [timed(hub, f"/w/p/nothing{number}-1.0-py3-none-any.whl") for number in range(5)]

            assert first < 3
            assert max(later) < 0.4
            assert hub.get(f"/w/p/{MADE.filename}").content == MADE.content


def test_one_that_lets_this_hub_read_nothing_is_told_of(tmp_path: Path) -> None:
    """A wrong password in `wheels.upstreams` looked like an upstream that has nothing."""
    closed = {"wheels": {"read": "users"}, "index": {"upstreams": []}}
    with RunningHub(tmp_path / "closed", **closed) as hub, child_of(f"{hub.base}/w/", tmp_path) as child:
        assert child.get("/w/api/acme").status_code == 404
        assert child.metric("wheels_upstream_total", result="refused") == 1


def test_nobody_waits_while_a_dead_one_is_looked_for(tmp_path: Path) -> None:
    """Whoever asked during a look, each half minute for a second, waited as if it were the first time."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/w/"
        with child_of(url, tmp_path, limits={"breaker_seconds": 0.1}) as hub:
            timed(hub, "/w/api/acme")
            time.sleep(0.2)

            assert max(timed(hub, f"/w/api/acme{number}") for number in range(5)) < 0.4
            hub.wait_until(lambda: hub.metric("wheels_upstream_total", result="down") >= 2)


def test_one_that_comes_back_is_asked_again(tmp_path: Path) -> None:
    port = free_port()
    with child_of(f"http://127.0.0.1:{port}/w/", tmp_path, limits={"breaker_seconds": 0.2}) as hub:
        assert hub.get("/w/api/acme").status_code == 404
        back = RunningHub(tmp_path / "back", index={"upstreams": []})
        back.port = port
        with back:
            push(back, MADE, token_of(back, "alice", [Scope("wheels:push")]))

            hub.wait_until(lambda: hub.get(f"/w/p/{MADE.filename}").status_code == 200)


def test_one_that_lies_brings_nothing(tmp_path: Path) -> None:
    other = wheel("acme", "2.0")

    async def answer(exchange: Exchange) -> None:
        path, reply = exchange.request.path, exchange.reply
        reply.status = 200 if path.startswith(("/api/acme", "/p/")) else 404
        if path.startswith("/api/acme"):
            urls: list[Any] = [{"url": f"http://elsewhere.example/p/{MADE.filename}", "sha256": MADE.sha256}]
            urls += [{"url": "no address", "sha256": 1}, {"sha256": "x"}, 1, {"url": "http://x/p/../../etc/passwd"}]
            urls += [{"url": f"http://x/p/..%2F{MADE.filename}", "sha256": MADE.sha256}]
            urls += [{"url": f"http://[x/{MADE.filename}", "sha256": 7}]
            urls += [{"url": f"http://x/p/{other.filename}", "sha256": hashlib.sha256(b"no zip").hexdigest()}]
            reply.body = json.dumps([{"urls": None}, {"name": "acme", "version": "1.0", "urls": urls}, 1]).encode()
        elif path.startswith("/p/"):
            reply.body = b"no zip" if "2.0" in path else b"other bytes"
        await exchange.send()

    with Loopback(answer) as lying, child_of(f"http://127.0.0.1:{lying.ports[0]}/", tmp_path) as hub:
        assert hub.get(f"/w/p/{MADE.filename}").status_code == 404
        assert hub.get(f"/w/p/{other.filename}").status_code == 404
        assert hub.get("/api/v1/wheels").json()["items"] == []
        assert not list((hub.settings.data / "incoming").iterdir())


def timed(hub: RunningHub, path: str) -> float:
    began = time.monotonic()
    hub.get(path)
    return time.monotonic() - began


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _plain(build: dict[str, Any]) -> dict[str, Any]:
    return {"environment": {}, "requirements": {}, "settings": {}, **build}


def test_a_loop_says_nothing_of_what_an_upstream_is(tmp_path: Path) -> None:
    """Whoever met a loop first took the hub above for an old server from then on, which knows no keys."""
    port = free_port()
    with child_of(f"http://127.0.0.1:{port}/w/", tmp_path) as one:
        two = RunningHub(tmp_path / "two", index={"upstreams": []}, wheels={"upstreams": [f"{one.base}/w/"]})
        two.port = port
        with two:
            assert one.get(f"/w/v1/entries/{key_of(BUILD)}").status_code == 404
            put_entry(one, MADE, token_of(one, "alice", [Scope("wheels:push")]), BUILD)

            assert two.get(f"/w/v1/entries/{key_of(BUILD)}").status_code == 200
