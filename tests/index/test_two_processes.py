"""Two hubs over one database and one data directory, as two processes are: one fetches, the other takes its bytes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from creamery.blobs import Part
from creamery.index import download
from creamery.index.download import Downloads
from creamery.index.project import KeptFile, StoredFile
from tests.doubles.distributions import Distribution
from tests.doubles.misbehaviour import drip, hang, wrong_bytes
from tests.doubles.running import RunningHub, hub_over
from tests.doubles.upstream import Upstream

SIZE = 400_000


@pytest.fixture
def made(upstream: Upstream) -> Distribution:
    """A file that takes its time: 0.4 s."""
    made = upstream.add("big", "1.0", size=SIZE)
    upstream.misbehave(upstream.path_of(made.filename), drip(1_000_000))
    return made


@pytest.fixture
def hubs(upstream: Upstream, made: Distribution, tmp_path: Path) -> Iterator[list[RunningHub]]:
    """Both know the page, and neither waits long for a silent upstream."""
    limits = {"upstream_silent_seconds": 0.4}
    with hub_over(upstream, tmp_path, **limits) as first, hub_over(upstream, tmp_path, **limits) as second:
        assert first.files("big") == second.files("big") == [made.filename]
        upstream.forget()
        yield [first, second]


def _both(hubs: list[RunningHub], made: Distribution, **headers: str) -> list[httpx2.Response]:
    with ThreadPoolExecutor(2) as clients:
        return list(clients.map(lambda hub: hub.get(f"/i/big/{made.filename}", **headers), hubs))


def _outcomes(hubs: list[RunningHub], outcome: str) -> float:
    return sum(hub.metric("index_flights_total", outcome=outcome) for hub in hubs)


def test_both_serve_a_file_that_one_of_them_fetches(
    hubs: list[RunningHub], upstream: Upstream, made: Distribution, tmp_path: Path
) -> None:
    answers = _both(hubs, made)

    assert [answer.content for answer in answers] == [made.content] * 2
    assert upstream.count(upstream.path_of(made.filename)) == 1
    hubs[0].wait_until(lambda: (_outcomes(hubs, "kept"), _outcomes(hubs, "shared")) == (1, 1))
    hubs[0].wait_until(lambda: list((tmp_path / "incoming").iterdir()) == [])  # dropped a moment later


def test_the_first_bytes_come_from_the_other_before_it_has_the_last(
    hubs: list[RunningHub], upstream: Upstream, made: Distribution
) -> None:
    upstream.misbehave(upstream.path_of(made.filename), drip(200_000))  # two seconds
    address = f"/i/big/{made.filename}"

    with (
        hubs[0].client.stream("GET", hubs[0].base + address) as fetched,
        hubs[1].client.stream("GET", hubs[1].base + address) as lent,
    ):
        next(fetched.iter_raw())
        next(lent.iter_raw())

        assert not any(hub.is_here(made.filename) for hub in hubs)
    assert upstream.count(upstream.path_of(made.filename)) == 1


def test_what_the_other_has_just_stored_is_not_fetched_again(
    hubs: list[RunningHub], upstream: Upstream, made: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = hubs
    asked, stored = threading.Event(), threading.Event()
    follow = Downloads.follow

    async def follow_late(self: Downloads, file: KeptFile) -> Part | StoredFile:
        monkeypatch.setattr(Downloads, "follow", follow)
        asked.set()
        await asyncio.to_thread(stored.wait, 10)
        return await follow(self, file)  # with the row as it was before the other had stored the file

    monkeypatch.setattr(Downloads, "follow", follow_late)
    with ThreadPoolExecutor(1) as client:
        answer = client.submit(second.get, f"/i/big/{made.filename}")
        assert asked.wait(10)
        first.download("big", made.filename)
        stored.set()

        assert answer.result().content == made.content
    assert upstream.count(upstream.path_of(made.filename)) == 1


def test_when_the_one_that_fetches_ends_the_other_goes_on_from_there(
    upstream: Upstream, made: Distribution, tmp_path: Path
) -> None:
    path, address = upstream.path_of(made.filename), f"/i/big/{made.filename}"
    upstream.misbehave(path, hang(0.5), times=1)
    with ThreadPoolExecutor(1) as client, hub_over(upstream, tmp_path) as second:
        with hub_over(upstream, tmp_path) as first:
            first.page("big")
            with contextlib.suppress(TimeoutError):
                first.raw(address.encode(), seconds=0.1)  # a flight outlives its client, but not its hub
            answer = client.submit(second.get, address)
            second.wait_until(lambda: len(list((tmp_path / "incoming").iterdir())) == 3)  # a claim and two parts

        assert answer.result().content == made.content
        second.wait_until(lambda: second.is_here(made.filename))
    assert [seen.headers.get("range") is None for seen in upstream.requests(path)] == [True, False]


def test_while_one_resumes_the_other_waits_for_it(
    hubs: list[RunningHub], upstream: Upstream, made: Distribution
) -> None:
    path = upstream.path_of(made.filename)
    upstream.misbehave(path, hang(0.5), times=1)

    answers = _both(hubs, made)

    assert [answer.content for answer in answers] == [made.content] * 2
    assert [seen.headers.get("range") is None for seen in upstream.requests(path)] == [True, False]


def test_one_that_does_nothing_is_not_waited_for(
    upstream: Upstream, made: Distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that is stopped, or whose machine hangs."""
    monkeypatch.setattr(download, "BEAT_SECONDS", 60)
    monkeypatch.setattr(download, "CLAIM_SILENT_SECONDS", 0.1)
    path, address = upstream.path_of(made.filename), f"/i/big/{made.filename}"
    upstream.misbehave(path, hang(0.5), times=1)
    with hub_over(upstream, tmp_path) as first, hub_over(upstream, tmp_path) as second:
        first.page("big")
        with contextlib.suppress(TimeoutError):
            first.raw(address.encode(), seconds=0.2)

        assert second.download("big", made.filename) == made.content
        assert [seen.headers.get("range") is None for seen in upstream.requests(path)] == [True, False]
        upstream.cut()


def test_without_room_for_a_second_copy_the_other_waits_until_it_is_stored(
    hubs: list[RunningHub], upstream: Upstream, made: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs[1].built.hub.blobs, "free_bytes", lambda: SIZE - 1)
    address = f"/i/big/{made.filename}"
    with ThreadPoolExecutor(1) as client:
        fetched = client.submit(hubs[0].get, address)
        hubs[0].wait_until(lambda: upstream.count(upstream.path_of(made.filename)) == 1)
        lent = hubs[1].get(address)

        assert fetched.result().content == made.content
    assert lent.content == made.content
    assert upstream.count(upstream.path_of(made.filename)) == 1


def test_wrong_bytes_complete_at_neither(hubs: list[RunningHub], upstream: Upstream, made: Distribution) -> None:
    upstream.misbehave(upstream.path_of(made.filename), wrong_bytes())

    with pytest.raises(httpx2.RemoteProtocolError):
        _both(hubs, made)

    assert not any(hub.is_here(made.filename) for hub in hubs)
