"""What the most expensive uploads cost that are refused."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from operator import itemgetter

from benchmarks.bench import Bench
from benchmarks.goals import Figure
from tests.index.archives.bombs import BOMBS, refusals

GOALS = ("refusal-time",)

ROUNDS = 3
TOLD = 5


def measure(bench: Bench) -> Iterator[Figure]:
    """Of all of them, those that take longest."""
    path = bench.folder / "bomb"
    figures: list[tuple[float, Figure]] = []
    with refusals() as refuse:
        for name, (make, filename, _) in BOMBS.items():
            path.write_bytes(make())
            rounds = tuple(refuse(path, filename)[0] for _ in range(ROUNDS))
            seconds = statistics.median(rounds)
            figures.append((seconds, Figure("refusal-time", name, seconds, rounds=rounds)))
    path.unlink()
    yield from (figure for _, figure in sorted(figures, key=itemgetter(0), reverse=True)[:TOLD])
