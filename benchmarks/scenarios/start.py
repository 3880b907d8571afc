"""What the hub takes in memory before anybody asks for anything, and after the first page and file."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.goals import Figure
from benchmarks.scenarios.asking import fetch_wheel, get_page

GOALS = ("idle-memory",)

SETTLING_SECONDS = 2.0


def measure(bench: Bench) -> Iterator[Figure]:
    with bench.hub("start", max_age=0) as hub:
        time.sleep(SETTLING_SECONDS)
        yield Figure("idle-memory", "after the start", hub.resident_mib())

        get_page(hub, "numpy", "json", "gzip")
        fetch_wheel(hub, "small")
        time.sleep(SETTLING_SECONDS)
        yield Figure(None, "memory after a large page and a file, MiB", hub.resident_mib())
