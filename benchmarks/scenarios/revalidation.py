"""The revalidating default: what it costs upstream, and what it costs whoever waits for a page.

What asking upstream adds is the page's latency here less that at a hub which need not ask, in round trips: the time in
which the upstream itself answers the same conditional request.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.clients import Client, CrowdMember, request_bytes
from benchmarks.goals import Figure
from benchmarks.processes import CannotMeasure, Server
from benchmarks.scenarios.asking import get_page, page_headers

GOALS = ("revalidation-requests", "revalidation-wait")

PAGE = "/simple/numpy/"
HEADERS = page_headers("json", "gzip")
TIMES = 40
CLIENTS = 50
ROUNDS = 40


def measure(bench: Bench) -> Iterator[Figure]:
    with (
        bench.full_hub("asking", max_age=0) as asking,
        bench.full_hub("trusting", max_age=86_400) as trusting,
    ):
        etags = {hub.base: get_page(hub, "numpy", "json", "gzip").headers["etag"] for hub in (asking, trusting)}
        round_trip = _round_trip(bench)

        waits = [_latency(hub, HEADERS) for hub in (asking, trusting)]
        yield _wait("1 client, whole page", waits[0], waits[1], round_trip)

        known = request_bytes(PAGE, {**HEADERS, "If-None-Match": etags[asking.base]})
        bench.upstream.forget()
        waits = [asyncio.run(_crowd_latency(hub, known)) for hub in (asking, trusting)]
        asked = bench.upstream.conditional(PAGE)
        if asked != bench.upstream.count(PAGE):
            raise CannotMeasure("the hub asked upstream without a condition")
        yield Figure("revalidation-requests", f"{CLIENTS} clients", asked / ROUNDS, f"{asked} in {ROUNDS} rounds")
        yield _wait(f"{CLIENTS} clients, 304", waits[0], waits[1], round_trip)


def _wait(case: str, asking: float, trusting: float, round_trip: float) -> Figure:
    ours = f"{asking * 1e3:.1f} ms, without asking {trusting * 1e3:.1f} ms"
    return Figure("revalidation-wait", case, (asking - trusting) / round_trip, ours, f"{round_trip * 1e3:.1f} ms")


def _round_trip(bench: Bench) -> float:
    base = bench.upstream.url.removesuffix("/simple/")
    with Client(base) as client:
        known = {**HEADERS, "If-None-Match": client.get(PAGE, HEADERS).headers["etag"]}
        answers = [client.get(PAGE, known) for _ in range(TIMES)]
    if {answer.status for answer in answers} != {304}:
        raise CannotMeasure("the upstream does not answer 304")
    return statistics.median(answer.seconds for answer in answers)


def _latency(hub: Server, headers: dict[str, str]) -> float:
    with Client(hub.base) as client:
        return statistics.median(client.get(PAGE, headers).seconds for _ in range(TIMES))


async def _crowd_latency(hub: Server, request: bytes) -> float:
    """The median of all clients in all rounds; a round begins when the one before has ended for all."""
    members = [await CrowdMember.connected(hub.base) for _ in range(CLIENTS)]
    seconds = []
    for _ in range(ROUNDS):
        await asyncio.gather(*(member.ask(request) for member in members))
        seconds += [member.seconds for member in members]
    if {member.status for member in members} != {304}:
        raise CannotMeasure("the hub does not answer 304")
    for member in members:
        member.close()
    return statistics.median(seconds)
