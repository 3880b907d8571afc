"""What every scenario is given, and how two servers are compared: in turns, so that a busy machine is busy for both."""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.filling import fill
from benchmarks.goals import Figure
from benchmarks.processes import (
    SERVER_CORE,
    CannotMeasure,
    Server,
    Upstream,
    find_program,
    running_hub,
    running_nginx,
)

CONNECTIONS = 8

_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_TROUBLE = re.compile(r"Non-2xx or 3xx responses|Socket errors: connect [0-9]+, read [1-9]|write [1-9]|timeout [1-9]")


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked of a server again and again."""

    server: Server
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Load:
    """How a server bore its load."""

    per_second: float
    cpu_micros: float

    def __str__(self) -> str:
        return f"{self.per_second:,.0f}/s, {self.cpu_micros:,.0f} us CPU"


@dataclass(frozen=True, slots=True)
class Bench:
    """A run.

    Attributes:
        folder: for what the servers keep; gone after the run.
        rounds: how often two servers are compared.
        seconds: of load for each of them in a round.
    """

    folder: Path
    upstream: Upstream
    rounds: int
    seconds: int

    def hub(self, name: str, *, max_age: float, **variables: str) -> contextlib.AbstractContextManager[Server]:
        """A hub with nothing in it; settings by their names in the environment."""
        return running_hub(self.folder / f"hub-{name}", self.upstream, max_age=max_age, **variables)

    @contextlib.contextmanager
    def full_hub(self, name: str, *, max_age: float) -> Iterator[Server]:
        """A hub that knows very much."""
        with self.hub(name, max_age=max_age) as server:
            fill(self.folder / f"hub-{name}" / "data" / "creamery.sqlite3")
            yield server

    @contextlib.contextmanager
    def nginx(self, name: str, core: int = SERVER_CORE) -> Iterator[tuple[Server, Path]]:
        """nginx and the folder whose files it serves."""
        folder = self.folder / f"nginx-{name}"
        with running_nginx(folder, core) as server:
            yield server, folder / "files"

    def compare(self, goal: str, case: str, ours: Target, peer: Target) -> Figure:
        """Our requests a second as a share of the peer's: the median of all rounds."""
        our_loads, peer_loads = [], []
        for number in range(self.rounds):
            # Who goes first changes, so that a load that comes or goes meanwhile does not favour one of them.
            if number % 2:
                peer_loads.append(self.load(peer))
                our_loads.append(self.load(ours))
            else:
                our_loads.append(self.load(ours))
                peer_loads.append(self.load(peer))
        ratios = tuple(mine.per_second / its.per_second for mine, its in zip(our_loads, peer_loads, strict=True))
        shown = [str(_median(loads)) for loads in (our_loads, peer_loads)]
        return Figure(goal, case, statistics.median(ratios), shown[0], shown[1], ratios)

    def load(self, target: Target) -> Load:
        """Ask for the same thing as fast as it comes, on several connections.

        Raises:
            CannotMeasure: some answers were errors.
        """
        headers = [f"-H{name}: {value}" for name, value in target.headers.items()]
        command = [find_program("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{self.seconds}s", *headers]
        before = target.server.cpu_seconds()
        run = subprocess.run([*command, target.server.base + target.path], capture_output=True, text=True, check=False)
        cpu = target.server.cpu_seconds() - before
        rate = _RATE.search(run.stdout)
        if rate is None or _TROUBLE.search(run.stdout):
            raise CannotMeasure(f"wrk on {target.path}:\n{run.stdout}{run.stderr}")
        return Load(float(rate[1]), cpu / (float(rate[1]) * self.seconds) * 1e6)


def _median(loads: list[Load]) -> Load:
    return Load(
        statistics.median(load.per_second for load in loads), statistics.median(load.cpu_micros for load in loads)
    )
