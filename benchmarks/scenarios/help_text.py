"""How long `creamery --help` takes."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.goals import Figure

GOALS = ("help-time",)

TIMES = 10


def measure(_: Bench) -> Iterator[Figure]:
    command = [str(Path(sys.executable).with_name("creamery")), "--help"]
    times = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _number in range(TIMES):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begun)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / TIMES
    yield Figure("help-time", f"median of {TIMES}", statistics.median(times), f"{cpu:.3f} s CPU", rounds=tuple(times))
