"""A large project's page after a change upstream: what it costs, and whether others wait for it."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator

from benchmarks.bench import Bench
from benchmarks.clients import Client
from benchmarks.goals import Figure
from benchmarks.processes import Server
from benchmarks.scenarios.asking import fetch_wheel, get_page

GOALS = ("change-cpu", "change-delay")

CHANGES = 12
CASE = "numpy json gzip, one file more"


def measure(bench: Bench) -> Iterator[Figure]:
    with bench.full_hub("changes", max_age=0) as hub:
        path, _ = fetch_wheel(hub, "small")

        def change() -> None:
            bench.upstream.change("numpy")
            get_page(hub, "numpy", "json", "gzip")

        change()
        before = hub.cpu_seconds()
        for _ in range(CHANGES):
            change()
        yield Figure("change-cpu", CASE, (hub.cpu_seconds() - before) / CHANGES * 1_000)
        alone = statistics.median(_slowest_beside(hub, path, lambda: time.sleep(0.3)) for _ in range(CHANGES))
        beside = [_slowest_beside(hub, path, change) for _ in range(CHANGES)]
    shown = f"{statistics.median(beside):.1f} ms, at worst {max(beside):.1f}"
    yield Figure("change-delay", CASE, statistics.median(beside) - alone, shown, f"{alone:.1f} ms")


def _slowest_beside(hub: Server, path: str, act: Callable[[], None]) -> float:
    """Milliseconds of the slowest answer to somebody who asks for a file again and again meanwhile."""
    over, seconds = threading.Event(), []

    def ask() -> None:
        with Client(hub.base) as client:
            while not over.is_set():
                seconds.append(client.get(path).seconds)
                time.sleep(0.001)

    asking = threading.Thread(target=ask)
    asking.start()
    act()
    over.set()
    asking.join()
    return max(seconds) * 1_000
