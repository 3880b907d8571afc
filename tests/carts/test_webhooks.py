"""Whoever wants to hear when a cart has ended hears it, signed; and no cart makes the hub ask where it must not."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from creamery.carts.webhooks import signature
from tests.doubles.carting import carting_hub, entry, post, wait_for
from tests.doubles.loopback import Exchange, Loopback, Reply, Seen
from tests.doubles.running import RunningHub

SECRET = "0123456789abcdef" * 2


class Listener:
    """A server that notices are sent to."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.statuses: list[int] = []
        self.server = Loopback(self._answer)

    async def _answer(self, exchange: Exchange) -> None:
        self.seen.append(exchange.request)
        exchange.reply = Reply(self.statuses.pop(0) if self.statuses else 204)
        await exchange.send()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.ports[0]}"


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    with listener.server:
        yield listener


def noticing(tmp_path: Path, folder: Path, *hosts: str, **more: Any) -> RunningHub:
    carts = {"webhook_secret": SECRET, "webhook_hosts": list(hosts), **more}
    return carting_hub(tmp_path / "data", folder, carts=carts)


@pytest.mark.parametrize(("item", "state"), [("small.txt", "ready"), ("nowhere", "error")])
def test_the_end_of_a_cart_is_told_once_and_signed(
    tmp_path: Path, folder: Path, listener: Listener, item: str, state: str
) -> None:
    with noticing(tmp_path, folder, listener.host) as hub:
        uid = post(hub, [entry(item)], webhook=f"http://{listener.host}/hook?key=1")
        wait_for(hub, uid)
        hub.wait_until(lambda: hub.metric("carts_webhooks_total", outcome="taken") == 1)

    (seen,) = listener.seen
    told = dict(part.split("=") for part in seen.headers["x-creamery-signature"].split(","))
    expected = hmac.new(SECRET.encode(), f"{told['t']}.".encode() + seen.body, hashlib.sha256).hexdigest()
    assert (seen.method, seen.target) == ("POST", "/hook?key=1")
    assert told["v1"] == expected == signature(SECRET, int(told["t"]), seen.body)
    assert json.loads(seen.body)["uid"] == uid
    assert json.loads(seen.body)["state"] == state


def test_an_empty_cart_ends_too(tmp_path: Path, folder: Path, listener: Listener) -> None:
    with noticing(tmp_path, folder, listener.host) as hub:
        post(hub, [], webhook=f"http://{listener.host}/")
        hub.wait_until(lambda: len(listener.seen) == 1)


def test_a_cart_for_which_there_is_no_room_ends_too(tmp_path: Path, folder: Path, listener: Listener) -> None:
    with noticing(tmp_path, folder, listener.host, quota_bytes=10) as hub:
        post(hub, [entry("large.bin")], webhook=f"http://{listener.host}/")
        hub.wait_until(lambda: len(listener.seen) == 1)

    assert json.loads(listener.seen[0].body)["state"] == "error"


def test_what_fails_is_tried_again(tmp_path: Path, folder: Path, listener: Listener) -> None:
    listener.statuses = [503]
    with noticing(tmp_path, folder, listener.host) as hub:
        post(hub, [], webhook=f"http://{listener.host}/")
        hub.wait_until(lambda: len(listener.seen) == 2, seconds=30)


def test_what_is_refused_is_not(tmp_path: Path, folder: Path, listener: Listener) -> None:
    listener.statuses = [410]
    with noticing(tmp_path, folder, listener.host) as hub:
        post(hub, [], webhook=f"http://{listener.host}/")
        hub.wait_until(lambda: hub.metric("carts_webhooks_total", outcome="refused") == 1)

    assert len(listener.seen) == 1


def test_an_address_inside_is_not_asked(tmp_path: Path, folder: Path, listener: Listener) -> None:
    with noticing(tmp_path, folder) as hub:
        post(hub, [], webhook=f"http://{listener.host}/")
        hub.wait_until(lambda: hub.metric("carts_webhooks_total", outcome="refused") == 1)

    assert listener.seen == []


@pytest.mark.parametrize("address", ["ftp://x/", "x", "http://", 7, "http://" + "x" * 2_000])
def test_what_is_no_address_is_refused(tmp_path: Path, folder: Path, address: object) -> None:
    with noticing(tmp_path, folder) as hub:
        body = json.dumps({"fileids": [], "webhook": address}).encode()
        answer = hub.client.post(f"{hub.base}/{uuid.uuid4()}", content=body)

    assert answer.status_code == 400
    assert "webhook" in answer.json()["message"]


def test_without_a_secret_there_are_no_notices(hub: RunningHub) -> None:
    body = b'{"fileids": [], "webhook": "http://x.example/"}'
    answer = hub.client.post(f"{hub.base}/{uuid.uuid4()}", content=body)

    assert answer.status_code == 400
    assert "carts.webhook_secret" in answer.json()["message"]
