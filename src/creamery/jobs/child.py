"""The larger part of a job, done by a child process at low priority, so that it holds nobody up.

A child is the hub once more, without ears and without jobs of its own: it opens the same data, does its part, and waits
a few seconds for the next job, for to begin costs it one. What it counts is counted here. It ends when it is told to,
and with the process that began it, however that ends.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import struct
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


IDLE_SECONDS = 5.0
"""How long a child waits for the next job."""
LOOK_SECONDS = 0.1

_LENGTH = struct.Struct(">I")


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
        self._idle: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._is_ending = False

    def run(self, job: Job) -> None:
        """Have a child do its part of a job.

        Raises:
            ChildFailed: it did not.
            Postpone: none begins any more, for the hub is ending.
        """
        said = None
        while said is None:
            child, is_fresh = self._taken()
            said = self._asked(child, job, is_fresh=is_fresh)
        told: dict[str, Any] = json.loads(said)
        self._telemetry.add(told["counted"])
        self._children.labels(job.kind, "done" if told["error"] is None else "failed").inc()
        if told["error"] is not None:
            raise ChildFailed(told["error"])

    def stop(self) -> None:
        """Tell all to stop soon, begin no more, and wait for those that have nothing to do."""
        with self._lock:
            self._is_ending = True
            idle, self._idle = self._idle, []
            for child in (*self._running, *idle):
                child.send_signal(signal.SIGTERM)
        for child in idle:
            _end(child)

    def _asked(self, child: subprocess.Popen[bytes], job: Job, *, is_fresh: bool) -> bytes | None:
        """What a child says in the end; None: it had waited long enough, and ended before it heard of the job."""
        assert child.stdin is not None  # noqa: S101 - both are pipes
        assert child.stdout is not None  # noqa: S101
        said = b""
        try:
            if is_fresh:
                child.stdin.write(_frame(self._given))
            child.stdin.write(_frame(job))
            child.stdin.flush()  # and stays open: that it closes tells the child that nobody waits any more
            said = child.stdout.readline()
        except BrokenPipeError:
            pass  # it has ended, and how is seen below
        finally:
            if not said.endswith(b"\n"):
                _end(child)
            with self._lock:
                self._running.discard(child)
                if child.returncode is None and not self._is_ending:
                    self._idle.append(child)
        if said.endswith(b"\n"):
            if child.returncode is None and self._is_ending:
                _end(child)
            return said
        if child.returncode == 0 and not is_fresh:
            return None
        error = f"a child process ended with {child.returncode} and did not say why"
        return json.dumps({"error": error, "counted": []}).encode()

    def _taken(self) -> tuple[subprocess.Popen[bytes], bool]:
        """A child, and whether it has just begun."""
        with self._lock:
            if self._is_ending:
                raise Postpone(0)
            while self._idle:
                child = self._idle.pop()
                if child.poll() is None:
                    self._running.add(child)
                    return child, False
                _end(child)
            child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own
            self._running.add(child)
            return child, True


def _frame(value: object) -> bytes:
    body = pickle.dumps(value)
    return _LENGTH.pack(len(body)) + body


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close what leads there, and wait for it."""
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # what was not written is not wanted any more
    child.wait()


class Told:
    """In a child: what comes from the process that began it.

    A thread of its own reads it, and notices when that process has gone: then nobody waits for what is done here.
    """

    def __init__(self) -> None:
        self.given: Any = _read()
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._is_busy = False
        self._has_parent = True
        threading.Thread(target=self._listen, daemon=True).start()

    def next(self, is_wanted: MoreWanted) -> Job | None:
        """The next job; None: there is none for a while, or none is wanted."""
        self._is_busy = False
        waited = 0.0
        while is_wanted() and self._has_parent and waited < IDLE_SECONDS:
            try:
                job = self._jobs.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                waited += LOOK_SECONDS
                continue
            self._is_busy = True
            return job
        return None

    def _listen(self) -> None:
        while (job := _read()) is not None:
            self._jobs.put(job)
        self._has_parent = False
        if self._is_busy:
            os._exit(1)  # whatever was not committed is done again


def _read() -> Any:
    """One value of standard input; not by `sys.stdin`, which a thread must not hold at an end. None: it has ended."""
    length = _read_exactly(_LENGTH.size)
    body = None if length is None else _read_exactly(_LENGTH.unpack(length)[0])
    return None if body is None else pickle.loads(body)  # noqa: S301 - from whoever began this process


def _read_exactly(count: int) -> bytes | None:
    found = b""
    while len(found) < count:
        piece = os.read(0, count - len(found))
        if not piece:
            return None
        found += piece
    return found


def answer(error: str | None, counted: Sequence[Any]) -> None:
    """In a child: what became of its part."""
    sys.stdout.buffer.write(json.dumps({"error": error, "counted": counted}).encode() + b"\n")
    sys.stdout.buffer.flush()
