"""Requests at a fixed rate, whatever else a server does: which share of them it answers promptly."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import CONNECTIONS, Bench, Target
from benchmarks.processes import CannotMeasure, find_program

PROMPT_MICROS = 50_000


@dataclass(frozen=True, slots=True)
class Offered:
    """What became of some requests.

    Attributes:
        requests: how many should have been answered.
        answered: how many were.
        prompt: those of them that were answered within 50 ms.
    """

    requests: int
    answered: int
    prompt: int

    @property
    def share(self) -> float:
        """Of all that should have been answered, those that were so promptly."""
        return self.prompt / self.requests

    def __add__(self, other: Offered) -> Offered:
        return Offered(self.requests + other.requests, self.answered + other.answered, self.prompt + other.prompt)


def half_of_highest(bench: Bench, target: Target) -> int:
    """Half of the requests a second that a server answers when it does nothing else."""
    return int(statistics.median(bench.load(target).per_second for _ in range(3)) / 2)


def offer(target: Target, rate: int, seconds: int) -> Offered:
    """Ask so many times a second for something that has not changed (status 304).

    Raises:
        CannotMeasure: nothing was answered.
    """
    with tempfile.NamedTemporaryFile() as lines:
        each = rate // CONNECTIONS
        command = [find_program("h2load"), "--h1", f"-c{CONNECTIONS}", "-t1", f"-D{seconds}", f"--rps={each}"]
        command += [f"-H{name}: {value}" for name, value in target.headers.items()]
        command += [f"--log-file={lines.name}", target.server.base + target.path]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        answers = [line.split("\t") for line in Path(lines.name).read_text(encoding="ascii").splitlines()]
    if run.returncode or not answers:
        raise CannotMeasure(f"h2load:\n{run.stdout}{run.stderr}")
    prompt = sum(status == "304" and int(micros) <= PROMPT_MICROS for _, status, micros in answers)
    return Offered(each * CONNECTIONS * seconds, len(answers), prompt)
