"""When an upstream counts as down, and what one sick address takes along: nothing."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path

import pytest

from creamery.index import breaker as breaker_room
from creamery.index.breaker import BLAMED_SECONDS, FIRST_PAUSE, REFUSALS, Breaker
from creamery.limits import Limits
from tests.doubles.hand_clock import HandClock
from tests.doubles.loopback import Answerer, Exchange
from tests.doubles.running import JSON, RunningHub, hub_over
from tests.doubles.upstream import Upstream, hang, redirect_to, status


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def breaker(clock: HandClock) -> Breaker:
    return Breaker("host", Limits(breaker_seconds=4, upstream_stale_seconds=1, upstream_silent_seconds=5), clock)


def test_one_silence_counts_and_is_news_once(breaker: Breaker) -> None:
    assert [breaker.unreachable("a", "is away"), breaker.unreachable("b", "is away")] == [True, False]
    assert breaker.outage is not None and breaker.outage.reason == "is away"  # noqa: PT018 - the second needs the first


def test_refusals_count_by_address(breaker: Breaker) -> None:
    same = [breaker.refused("a", "no answer") for _ in range(2 * REFUSALS)]
    others = [breaker.refused(str(number), "no answer") for number in range(REFUSALS - 1)]

    assert (any(same), others) == (False, [False] * (REFUSALS - 2) + [True])


def test_an_answer_ends_a_row_of_refusals(breaker: Breaker) -> None:
    for number in range(REFUSALS - 1):
        breaker.refused(str(number), "no answer")
    breaker.answered("good", 0.1)

    assert not breaker.refused("last", "no answer")


def test_looks_grow_apart_up_to_the_limit(breaker: Breaker) -> None:
    breaker.unreachable("a", "is away")
    pauses = []
    for _ in range(6):
        pauses.append(breaker.pause)
        breaker.looked_in_vain()

    assert pauses == [0, FIRST_PAUSE, 1, 2, 4, 4]


@pytest.mark.anyio
async def test_a_look_comes_sooner_where_somebody_asks(breaker: Breaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker_room, "WANTED_PAUSE", 0.01)
    breaker.unreachable("a", "is away")
    for _ in range(5):
        breaker.looked_in_vain()

    waiting = asyncio.create_task(breaker.pass_pause())
    unasked, _ = await asyncio.wait({waiting}, timeout=0.05)
    breaker.wanted.set()
    await asyncio.wait_for(waiting, 5)

    assert not unasked


def test_who_is_blamed_alone_takes_nothing_down_for_a_while(breaker: Breaker, clock: HandClock) -> None:
    breaker.blame("sick")

    assert not breaker.unreachable("sick", "was silent")
    assert breaker.unreachable("sick", "has no connection", is_certain=True)
    breaker.answered("good", 0.1)
    clock.advance(BLAMED_SECONDS + 1)
    assert breaker.unreachable("sick", "was silent")


def test_an_answer_takes_the_blame_away(breaker: Breaker) -> None:
    breaker.blame("sick")
    breaker.answered("sick", 0.1)

    assert breaker.unreachable("sick", "was silent")


def test_patience_follows_slow_answers_within_its_limits(breaker: Breaker) -> None:
    patiences = []
    for seconds in (0.1, 0.6, 10.0, 0.1):
        breaker.answered("a", seconds)
        patiences.append(breaker.patience)

    assert patiences == [1, pytest.approx(1.8), 5, 1]


SICK = [status(500), hang(), redirect_to("http://127.0.0.2:1/secret")]


@pytest.mark.parametrize("sickness", SICK, ids=["500", "hang", "redirect inside"])
def test_one_sick_project_takes_no_other_down(hub: RunningHub, upstream: Upstream, sickness: object) -> None:
    hub.page("demo")
    upstream.misbehave("/simple/sick/", sickness)  # type: ignore[arg-type]
    upstream.add("sick", "1.0")
    upstream.add("fresh", "1.0")

    def ask() -> None:
        with contextlib.suppress(OSError):  # the hub ends before the one that hangs has been given up
            hub.raw(b"/simple/sick/")

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    for _ in range(20):
        assert hub.get("/simple/demo/", accept=JSON).status_code == 200
    upstream.add("demo", "2.0")

    hub.wait_until(lambda: hub.get("/simple/fresh/", accept=JSON).status_code == 200)
    hub.wait_until(lambda: "demo-2.0-py3-none-any.whl" in hub.files("demo"), seconds=3)


def test_an_upstream_that_knows_no_head_comes_back(hub: RunningHub, upstream: Upstream) -> None:
    hub.page("demo")
    upstream.stop()
    assert "fwd=stale" in hub.get("/simple/demo/", accept=JSON).headers["cache-status"]

    async def no_head(exchange: Exchange) -> None:
        await (status(501)(exchange) if exchange.request.method == "HEAD" else exchange.send())

    upstream.misbehave("/simple/*", no_head)
    upstream.start()

    hub.wait_until(lambda: "fwd=stale" not in hub.get("/simple/demo/", accept=JSON).headers.get("cache-status", ""))


def test_an_upstream_that_is_gone_when_a_transfer_goes_on_counts_as_down(upstream: Upstream, tmp_path: Path) -> None:
    made = upstream.add("big", "1.0", size=300_000)
    upstream.misbehave(upstream.path_of(made.filename), hang(0.5))

    with hub_over(upstream, tmp_path, upstream_attempts=2) as hub:
        hub.page("big")
        with contextlib.suppress(TimeoutError):
            hub.raw(f"/i/big/{made.filename}".encode(), seconds=0.3)
        upstream.stop()

        def counts_as_down() -> bool:
            checks = {check["name"]: check["ok"] for check in hub.get("/readyz").json()["checks"]}
            return checks["index.upstreams"] is False

        hub.wait_until(counts_as_down)


@pytest.mark.parametrize("sickness", [hang(), hang(0.5)], ids=["hangs", "hangs in the middle"])
def test_news_are_seen_soon_after_an_upstream_hung(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sickness: Answerer
) -> None:
    """The question that hangs, and the look, would have hung on for as long as an upstream may be silent."""
    monkeypatch.setattr("creamery.index.upstream.LOOK_SECONDS", 0.3)
    monkeypatch.setattr("creamery.index.freshness.RENEW_SECONDS", 0.5)
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
        hub.page("demo")
        upstream.add("demo", "6.0")
        upstream.misbehave("*", sickness)
        assert "fwd=stale" in hub.get("/simple/demo/").headers["cache-status"]
        time.sleep(0.5)  # a look hangs now

        upstream.behave()
        upstream.add("demo", "7.0")

        hub.wait_until(lambda: any("7.0" in name for name in hub.files("demo")), 6)
