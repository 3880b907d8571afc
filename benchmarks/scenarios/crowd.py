"""Two hundred clients that want the same large file, which is not here, at once."""

from __future__ import annotations

import asyncio
import hashlib
import statistics
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.clients import CrowdMember, fetch, request_bytes
from benchmarks.goals import Figure
from benchmarks.scenarios.asking import paths_of_wheels

GOALS = ("crowd-requests", "crowd-wrong", "crowd-memory")

CLIENTS = 200


def measure(bench: Bench) -> Iterator[Figure]:
    with bench.full_hub("crowd", max_age=0) as hub:
        ((filename, path),) = paths_of_wheels(hub, "crowd").items()
        before = hub.resident_mib()
        hub.forget_highest()
        bench.upstream.forget()
        members = asyncio.run(_crowd(hub.base, path))

        grown = hub.highest_mib() - before
        asked = bench.upstream.count("/") - bench.upstream.count("/simple/")
        right = hashlib.sha256(fetch(hub.base, path).body).hexdigest()
        wrong = sum(member.status != 200 or member.digest != right for member in members)
        case = f"{CLIENTS} clients, {filename}"
        yield Figure("crowd-requests", case, asked)
        yield Figure("crowd-wrong", case, wrong)
        yield Figure("crowd-memory", case, grown, f"{before:.0f} MiB before, now {hub.resident_mib():.0f}")
        seconds = [member.seconds for member in members]
        yield Figure(None, f"{case}: s until half, all had it", statistics.median(seconds), f"{max(seconds):.1f} s")


async def _crowd(base: str, path: str) -> list[CrowdMember]:
    members = [await CrowdMember.connected(base) for _ in range(CLIENTS)]
    request = request_bytes(path, {"Accept-Encoding": "identity"})
    await asyncio.gather(*(member.ask(request) for member in members))
    for member in members:
        member.close()
    return members
