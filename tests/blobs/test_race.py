"""Sweep against a writer who needs the same blob, stopped at each other's every step.

The two are two processes that share a data directory and a database: each has its own committer and connections. One
is stopped at one of its points, the other runs until it is stopped at one of its own, or cannot go on, or has ended;
then the first goes on. Whatever the order: what the writer was told is kept, stays kept.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from creamery import faults
from creamery.contract import Digest, digest_of
from tests.doubles.cellar import Cellar
from tests.doubles.hand_clock import HandClock

SWEEP_POINTS = ["sweep.marked", "sweep.deleting", "sweep.gone", "sweep.unlinked", "database.before_commit"]
EVERY_WRITER_POINT = [
    "blobs.created",
    "blobs.before_file_sync",
    "blobs.after_file_sync",
    "blobs.before_link",
    "blobs.after_link",
    "blobs.before_dir_sync",
    "blobs.after_dir_sync",
    "database.before_commit",
    "database.after_commit",
]
EVERY_ORDER = [(first, last) for first in (True, False) for last in (True, False)]
"""Does the sweep begin, does it end first?"""
IN_CI = os.environ.get("CREAMERY_TEST_INSTALLED") == "1"
FOUND_THE_MOST = ["blobs.before_link", "blobs.after_link", "blobs.after_dir_sync"]
ORDERS = EVERY_ORDER if IN_CI else EVERY_ORDER[1:3]
"""What runs outside CI is what has found the most; the kinds of database differ around a commit only."""
PATIENCE = 0.03
"""Seconds after which somebody who has not come to its point is taken to wait for the other."""


class Actor:
    """A thread that does one thing and stops at one point on its way."""

    def __init__(self, cellar: Cellar, act: Callable[[], object], point: str) -> None:
        self.point = point
        self.stopped = threading.Event()
        self._go_on = threading.Event()
        self._error: BaseException | None = None
        self._act = act
        self._thread = threading.Thread(target=self._run)
        self._committer = cellar.committer._thread

    def owns(self, thread: threading.Thread) -> bool:
        return thread in {self._thread, self._committer}

    def run_to_its_point(self) -> None:
        self._thread.start()
        self.stopped.wait(PATIENCE)

    def pass_point(self, point: str) -> None:
        if point == self.point and not self._go_on.is_set():
            self.stopped.set()
            assert self._go_on.wait(10)

    def go_on(self, *, to_the_end: bool) -> None:
        self._go_on.set()
        self._thread.join(30 if to_the_end else PATIENCE)
        if to_the_end:
            assert not self._thread.is_alive()
            if self._error is not None:
                raise self._error

    def _run(self) -> None:
        try:
            self._act()
        except BaseException as error:  # noqa: BLE001 - raised where the test waits
            self._error = error


class Stage:
    """Two processes over one data directory, and the way into each fault point."""

    def __init__(self, sweeping: Cellar, writing: Cellar) -> None:
        self.sweeping = sweeping
        self.writer_points = FOUND_THE_MOST
        if IN_CI:
            of_a_commit = [*FOUND_THE_MOST, "database.before_commit", "database.after_commit"]
            self.writer_points = EVERY_WRITER_POINT if sweeping.database.is_sqlite else of_a_commit
        self.writing = writing
        self.actors: list[Actor] = []

    def strike(self, point: str, action: str) -> None:
        for actor in self.actors:
            if actor.owns(threading.current_thread()):
                actor.pass_point(point)


@pytest.fixture
def stage(
    open_cellar: Callable[..., Cellar], any_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    stage = Stage(open_cellar(any_database_url, sweep_share=1.0), open_cellar(any_database_url))
    monkeypatch.setattr(faults, "_strike", stage.strike)
    faults.arm(",".join(f"{point}@0=sleep:0" for point in {*SWEEP_POINTS, *EVERY_WRITER_POINT}))
    yield stage
    stage.actors.clear()


def a_blob_before(stage: Stage, clock: HandClock, point: str, body: bytes) -> Digest:
    """Garbage that the next sweep marks; or that it deletes, when that is where `point` lies."""
    digest = stage.writing.put(body, "a")
    stage.writing.take_away("a")
    clock.advance(90_000)
    if point in {"sweep.gone", "sweep.unlinked"}:
        stage.sweeping.blobs.sweep()
        clock.advance(90_000)
    return digest


@pytest.mark.parametrize("sweep_point", SWEEP_POINTS)
def test_a_writer_keeps_what_a_sweep_wanted(stage: Stage, clock: HandClock, sweep_point: str) -> None:
    for number, writer_point in enumerate(stage.writer_points):
        for sweep_first, sweep_ends_first in ORDERS:
            case = f"{writer_point} sweep_first={sweep_first} sweep_ends_first={sweep_ends_first}"
            body = f"{number} {case}".encode()
            digest = a_blob_before(stage, clock, sweep_point, body)
            sweep = Actor(stage.sweeping, stage.sweeping.blobs.sweep, sweep_point)
            write = Actor(stage.writing, partial(stage.writing.put, body, case[:60]), writer_point)
            stage.actors = [sweep, write]

            for actor in (sweep, write) if sweep_first else (write, sweep):
                actor.run_to_its_point()
            first, second = (sweep, write) if sweep_ends_first else (write, sweep)
            first.go_on(to_the_end=False)
            second.go_on(to_the_end=False)
            first.go_on(to_the_end=True)
            second.go_on(to_the_end=True)
            stage.actors = []

            assert stage.writing.states()[digest] == "ok", case
            assert stage.writing.blobs.read(digest, 1000) == body, case
    stage.sweeping.sweep_all()
    assert stage.writing.stored() == {digest for digest, _ in stage.writing.names().values()}
    assert set(stage.writing.states().values()) == {"ok"}


def test_a_writer_and_the_sweep_of_a_file_without_a_row(stage: Stage, clock: HandClock) -> None:
    for number, writer_point in enumerate(stage.writer_points):
        for sweep_point in ("sweep.gone", "sweep.unlinked"):
            body = f"{number} {sweep_point}".encode()
            stage.writing.scatter([body], rows=False)
            clock.advance(90_000)
            sweep = Actor(stage.sweeping, lambda: stage.sweeping.blobs.sweep(slices=16), sweep_point)
            write = Actor(stage.writing, partial(stage.writing.put, body, body.decode()), writer_point)
            stage.actors = [sweep, write]

            sweep.run_to_its_point()
            write.run_to_its_point()
            sweep.go_on(to_the_end=False)
            write.go_on(to_the_end=True)
            sweep.go_on(to_the_end=True)
            stage.actors = []

            assert stage.writing.states()[digest_of(body)] == "ok"
            assert stage.writing.blobs.read(digest_of(body), 1000) == body


@pytest.mark.parametrize("kept", [True, False] if IN_CI else [True])
def test_a_writer_keeps_what_an_eviction_wanted(stage: Stage, clock: HandClock, kept: bool) -> None:
    stage.sweeping.blobs._sweeper._cache = stage.sweeping.blobs._cache.model_copy(update={"max_bytes": 0})
    for number, writer_point in enumerate(stage.writer_points):
        for sweep_point in ("database.before_commit", "sweep.gone", "sweep.unlinked"):
            body = f"{number} {sweep_point}".encode()
            digest = stage.writing.put(body, "cached", kept=False)
            clock.advance(100)
            if sweep_point != "database.before_commit":
                stage.sweeping.blobs.evict()
                clock.advance(100)
            evict = Actor(stage.sweeping, stage.sweeping.blobs.evict, sweep_point)
            write = Actor(stage.writing, partial(stage.writing.put, body, "again", kept=kept), writer_point)
            stage.actors = [evict, write]

            evict.run_to_its_point()
            write.run_to_its_point()
            evict.go_on(to_the_end=False)
            write.go_on(to_the_end=True)
            evict.go_on(to_the_end=True)
            stage.actors = []

            reference, here = stage.writing.names()["again"]
            assert reference == digest
            if kept:
                assert here
            if here:  # a cached one may have been evicted anew; then its reference says so
                assert stage.writing.blobs.read(digest, 1000) == body
                clock.advance(100)
                stage.sweeping.blobs._sweeper.delete_due(stage.sweeping.blobs.holders)
                assert stage.writing.blobs.read(digest, 1000) == body
            stage.writing.take_away("again")
            stage.writing.take_away("cached")


def test_many_writers_and_sweeps_of_the_same_few_blobs(
    open_cellar: Callable[..., Cellar], any_database_url: str
) -> None:
    cellars = [open_cellar(any_database_url, sweep_share=1.0, sweep_grace_seconds=0.001) for _ in range(2)]
    bodies = [b"%d" % number for number in range(4)]
    errors: list[BaseException] = []
    ending = threading.Event()

    def write(name: str, cellar: Cellar) -> None:
        try:
            for turn in range(20):
                body = bodies[turn % len(bodies)]
                cellar.put(body, name)
                assert cellar.blobs.read(digest_of(body), 10) == body
                cellar.take_away(name)
        except BaseException as error:  # noqa: BLE001 - raised where the test waits
            errors.append(error)

    def sweep(cellar: Cellar) -> None:
        try:
            while not ending.is_set():
                cellar.blobs.sweep(slices=16)
        except BaseException as error:  # noqa: BLE001 - raised where the test waits
            errors.append(error)

    writers = [threading.Thread(target=write, args=(f"w{n}", cellars[n % 2])) for n in range(3)]
    sweepers = [threading.Thread(target=sweep, args=(cellar,)) for cellar in cellars]
    for thread in (*writers, *sweepers):
        thread.start()
    for thread in writers:
        thread.join()
    ending.set()
    for thread in sweepers:
        thread.join()

    assert errors == []
    cellars[0].sweep_all()
    assert cellars[1].stored() == set()
    assert cellars[1].states() == {}
