"""The tests' upstream in a process of its own that can be asked what it saw: one command a line, one number back.

count PATH-PREFIX          requests so far
conditional PATH-PREFIX    those that came with a condition
forget                     count from here on
change PROJECT             list one file more
"""

from __future__ import annotations

import json
import sys
from itertools import count

from tests.doubles.upstream import Upstream

LATENCY_SECONDS = 0.020
BYTES_PER_SECOND = 20_000_000

PAGES = {"numpy": 4_400, "boto3": 4_312}
"""Projects by how many files the real ones have."""

UNBUILT = "2.0"
"""Their version that has an sdist alone."""

FILES = {"small": 20_000, "middle": 200_000, "large": 10_000_000, "crowd": 50_000_000}
"""Projects with one wheel of so many bytes."""

COLD = tuple(f"1.{number}" for number in range(9))
COLD_BYTES = 20_000_000
"""The versions of `cold`: each can be fetched for the first time only once."""


def main() -> None:
    """Serve until standard input ends."""
    upstream = Upstream(latency=LATENCY_SECONDS, rate=BYTES_PER_SECOND)
    for project, files in PAGES.items():
        upstream.add_many(project, files)
        upstream.add(project, UNBUILT, "sdist")
    for project, size in FILES.items():
        upstream.add(project, "1.0", size=size)
    for version in COLD:
        upstream.add("cold", version, size=COLD_BYTES)
    with upstream:
        print(upstream.url, flush=True)
        for line in sys.stdin:
            command, _, prefix = line.strip().partition(" ")
            print(json.dumps(_answer(upstream, command, prefix)), flush=True)


def _answer(upstream: Upstream, command: str, prefix: str) -> int:
    if command == "count":
        return upstream.count(prefix)
    if command == "conditional":
        return sum(seen.path.startswith(prefix) for seen in upstream.conditional)
    if command == "change":
        upstream.add(prefix, f"9999.{next(_CHANGES)}")
        return 0
    upstream.forget()
    return 0


_CHANGES = count()


if __name__ == "__main__":
    main()
