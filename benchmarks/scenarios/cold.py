"""Files that are not here, asked for at the hub and, in turns, at the upstream itself."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from urllib.parse import urlsplit

from benchmarks.bench import Bench
from benchmarks.clients import Answer, fetch
from benchmarks.goals import Figure
from benchmarks.processes import CannotMeasure
from benchmarks.scenarios.asking import JSON, paths_of_wheels

GOALS = ("cold-total", "cold-first-byte")


def measure(bench: Bench) -> Iterator[Figure]:
    with bench.full_hub("cold", max_age=0) as hub:
        through = paths_of_wheels(hub, "cold")
        direct = _addresses(bench)
        totals, first_bytes = [], []
        ours, peers = [], []
        for filename, path in list(through.items())[: bench.rounds]:
            parts = urlsplit(direct[filename])
            peers.append(fetch(f"{parts.scheme}://{parts.netloc}", parts.path))
            ours.append(fetch(hub.base, path))
            if ours[-1].status != 200 or ours[-1].body != peers[-1].body:
                raise CannotMeasure(f"{path} does not come as upstream has it")
            totals.append(ours[-1].seconds / peers[-1].seconds)
            first_bytes.append((ours[-1].first_byte - peers[-1].first_byte) * 1e3)
        case = f"{len(ours[0].body):,} bytes"
        shown = _shown(ours), _shown(peers)
        yield Figure("cold-total", case, statistics.median(totals), *shown, rounds=tuple(totals))
        yield Figure("cold-first-byte", case, statistics.median(first_bytes), *shown, rounds=tuple(first_bytes))


def _addresses(bench: Bench) -> dict[str, str]:
    answer = fetch(bench.upstream.url.removesuffix("/simple/"), "/simple/cold/", {"Accept": JSON})
    return {file["filename"]: file["url"] for file in json.loads(answer.body)["files"]}


def _shown(answers: list[Answer]) -> str:
    first = statistics.median(answer.first_byte for answer in answers)
    return f"{first * 1e3:.1f} ms, {statistics.median(answer.seconds for answer in answers):.3f} s"
