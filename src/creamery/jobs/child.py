"""The larger part of a job, done by a child process at low priority, so that it holds nobody up.

A child is the hub once more, without ears and without jobs of its own: it opens the same data, does its part, and ends.
What it counts is counted here. It ends when it is told to, and with the process that began it, however that ends.
"""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from creamery.jobs.job import Job, Postpone
from creamery.telemetry import Telemetry

MoreWanted = Callable[[], bool]
"""False once a child has been told to stop."""


class ChildFailed(Exception):
    """A child has not done its part; the text says why."""


@dataclass(frozen=True, slots=True)
class Large:
    """When a child does the larger part of a job, and what that is.

    Attributes:
        is_so: is this one large? Asked in the process that has the job, before its handler.
        part: done in the child, as long as it answers True; the handler does what is left, and is none the wiser.
    """

    is_so: Callable[[Job], bool]
    part: Callable[[Job, MoreWanted], None]


class Children:
    """Runs children of one module, which has to `answer`. For any thread."""

    def __init__(self, module: str, given: object, telemetry: Telemetry) -> None:
        """As follows.

        Args:
            module: what a child runs.
            given: what it is to know, picklable.
            telemetry: counts what children do.
        """
        self._command = [sys.executable, "-m", module]
        self._given = given
        self._telemetry = telemetry
        self._children = telemetry.counter(
            "job_children", "Child processes that did part of a job.", ["kind", "result"]
        )
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._is_ending = False

    def run(self, job: Job) -> None:
        """Have a child do its part of a job.

        Raises:
            ChildFailed: it did not.
            Postpone: none begins any more, for the hub is ending.
        """
        with self._begun() as child:
            assert child.stdin is not None  # noqa: S101 - both are pipes
            assert child.stdout is not None  # noqa: S101
            try:
                child.stdin.write(pickle.dumps((self._given, job)))
                child.stdin.flush()  # and stays open: that it closes tells the child that nobody waits any more
                said = child.stdout.read()
            finally:
                child.wait()
                with self._lock:
                    self._running.discard(child)
        died = f"a child process ended with {child.returncode} and did not say why"
        told: dict[str, Any] = json.loads(said) if said and child.returncode == 0 else {"error": died, "counted": []}
        self._telemetry.add(told["counted"])
        self._children.labels(job.kind, "done" if told["error"] is None else "failed").inc()
        if told["error"] is not None:
            raise ChildFailed(told["error"])

    def stop(self) -> None:
        """Tell all to stop soon, and begin no more."""
        with self._lock:
            self._is_ending = True
            for child in self._running:
                child.send_signal(signal.SIGTERM)

    def _begun(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._is_ending:
                raise Postpone(0)
            child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own
            self._running.add(child)
            return child


def told() -> tuple[Any, Job]:
    """In a child: what it is to know, and the job."""
    given, job = pickle.load(sys.stdin.buffer)  # noqa: S301 - from whoever began this process
    return given, job


def answer(error: str | None, counted: Sequence[Any]) -> None:
    """In a child: what became of its part."""
    sys.stdout.buffer.write(json.dumps({"error": error, "counted": counted}).encode())
    sys.stdout.buffer.flush()
