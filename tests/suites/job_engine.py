"""What every `JobEngine` promises. A test class of an implementation inherits this and says how one is made."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Connection, select, text, update

from creamery.clock import SECOND, Micros
from creamery.database import Committer, Database, Generations
from creamery.jobs import Handler, Job, JobEngine, Postpone, Schedule, cancel, counts, enqueue, retry
from creamery.jobs.tables import job
from creamery.journal import By
from creamery.limits import Limits
from creamery.telemetry import Telemetry
from tests.doubles.clocks import JumpingClock
from tests.doubles.waiting import PATIENCE, eventually


@dataclass
class Runs:
    """A handler that remembers what it was given, and what of it runs."""

    jobs: list[Job] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    hold: threading.Event | None = None

    def __call__(self, mine: Job) -> None:
        with self.lock:
            self.jobs.append(mine)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        if self.hold is not None:
            self.hold.wait(PATIENCE)
        with self.lock:
            self.at_once -= 1


@dataclass
class Process:
    """What one process has."""

    database: Database
    committer: Committer
    engine: JobEngine
    clock: JumpingClock

    def enqueue(self, kind: str = "note", key: str | None = None, after: float = 0, **payload: Any) -> int | None:
        now = self.clock.now()
        run_at = Micros(now + int(after * SECOND))
        return self.committer.write(
            lambda connection: enqueue(connection, kind, payload, now=now, key=key, run_at=run_at)
        )

    def counts(self) -> dict[str, int]:
        return {state: number for state, number in self.database.read(counts).items() if number}

    def rows(self) -> list[Any]:
        return list(self.database.read(lambda connection: connection.execute(select(job).order_by(job.c.id)).all()))

    def change(self, number: int | None, **values: Any) -> None:
        self.committer.write(
            lambda connection: connection.execute(update(job).where(job.c.id == number).values(values))
        )


MakeProcess = Callable[..., Process]


class JobEngineSuite(ABC):
    """The promise, one test for each sentence of it."""

    @abstractmethod
    def make(
        self,
        database: Database,
        committer: Committer,
        handlers: Mapping[str, Handler],
        schedules: Sequence[Schedule],
        limits: Limits,
        clock: JumpingClock,
    ) -> JobEngine:
        """An engine that has not started."""

    @pytest.fixture
    def start(self, database_url: str) -> Iterator[MakeProcess]:
        """Start processes on one database, with handlers, schedules and limits of one's choice."""
        with ExitStack() as started:

            def start(handlers: Mapping[str, Handler], schedules: Sequence[Schedule] = (), **limits: Any) -> Process:
                return started.enter_context(self._process(database_url, handlers, schedules, limits))

            yield start

    @contextmanager
    def _process(
        self, url: str, handlers: Mapping[str, Handler], schedules: Sequence[Schedule], given: dict[str, Any]
    ) -> Iterator[Process]:
        limits = Limits(**{"job_poll_seconds": 0.02, "job_retry_seconds": 0, **given})
        clock = JumpingClock()
        database = Database(url, limits)
        committer = Committer(database, Generations(database), limits, clock, Telemetry())
        engine = self.make(database, committer, handlers, schedules, limits, clock)
        committer.start()
        engine.start()
        yield Process(database, committer, engine, clock)
        engine.close(PATIENCE)
        committer.close()
        database.close()

    def test_a_committed_job_runs_once_with_its_payload(self, start: MakeProcess) -> None:
        runs = Runs()
        process = start({"note": runs})

        number = process.enqueue(name="numpy", sizes=[1, 2])
        eventually(lambda: process.counts() == {"done": 1})

        assert runs.jobs == [Job(number or 0, "note", {"name": "numpy", "sizes": [1, 2]}, attempt=1)]

    def test_a_job_that_was_rolled_back_never_runs(self, start: MakeProcess) -> None:
        runs = Runs()
        process = start({"note": runs})

        def refused(connection: Any) -> None:
            enqueue(connection, "note", {}, now=process.clock.now())
            raise LookupError

        with pytest.raises(LookupError):
            process.committer.write(refused)
        process.enqueue(name="after")
        eventually(lambda: process.counts() == {"done": 1})

        assert [mine.payload for mine in runs.jobs] == [{"name": "after"}]

    def test_a_job_runs_not_before_its_time(self, start: MakeProcess) -> None:
        runs = Runs()
        process = start({"note": runs})

        begun = time.monotonic()
        process.enqueue(after=0.3)
        eventually(lambda: process.counts() == {"done": 1})

        assert time.monotonic() - begun >= 0.3

    def test_of_one_key_at_most_one_waits_and_one_that_came_while_it_ran_runs_after(self, start: MakeProcess) -> None:
        runs = Runs(hold=threading.Event())
        process = start({"note": runs}, job_threads=1)

        first = process.enqueue(key="same")
        eventually(lambda: runs.at_once == 1)
        numbers = [process.enqueue(key="same") for _ in range(3)]
        assert runs.hold is not None
        runs.hold.set()
        eventually(lambda: process.counts() == {"done": 2})

        assert [mine.id for mine in runs.jobs] == [first, numbers[0]]
        assert numbers[1:] == [None, None]

    def test_a_job_that_raises_comes_again_and_its_success_counts(self, start: MakeProcess) -> None:
        attempts: list[int] = []

        def failing_twice(mine: Job) -> None:
            attempts.append(mine.attempt)
            if mine.attempt < 3:
                raise ValueError("not yet")

        process = start({"note": failing_twice})

        process.enqueue(key="k")
        eventually(lambda: process.counts() == {"done": 1})

        assert attempts == [1, 2, 3]
        assert process.rows()[0].error is None

    def test_a_job_whose_attempts_are_used_up_has_failed_and_says_why(self, start: MakeProcess) -> None:
        def failing(_: Job) -> None:
            raise ValueError("it cannot be")

        process = start({"note": failing}, job_attempts=3)

        process.enqueue()
        eventually(lambda: process.counts() == {"failed": 1})

        assert process.rows()[0].error == "ValueError: it cannot be"
        assert process.rows()[0].attempts == 3

    def test_a_job_that_comes_again_while_another_of_its_key_waits_leaves_it_to_that_one(
        self, start: MakeProcess
    ) -> None:
        def failing(_: Job) -> None:
            process.enqueue(key="k", after=60)
            raise ValueError("the first")

        process = start({"note": failing})

        process.enqueue(key="k")
        eventually(lambda: process.counts() == {"new": 1, "failed": 1})

        assert "another job of the same key" in process.rows()[0].error

    def test_postponing_costs_no_attempt(self, start: MakeProcess) -> None:
        attempts: list[int] = []

        def postponing(mine: Job) -> None:
            attempts.append(mine.attempt)
            if len(attempts) < 4:
                raise Postpone(0.02)

        process = start({"note": postponing}, job_attempts=2)

        process.enqueue()
        eventually(lambda: process.counts() == {"done": 1})

        assert attempts == [1, 1, 1, 1]

    @pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, RecursionError])
    def test_whatever_a_handler_raises_the_engine_goes_on(self, start: MakeProcess, error: type[BaseException]) -> None:
        def raising(_: Job) -> None:
            raise error

        runs = Runs()
        process = start({"bad": raising, "note": runs}, job_threads=1, job_attempts=1)

        process.enqueue("bad")
        process.enqueue("note")
        eventually(lambda: process.counts() == {"failed": 1, "done": 1})

        assert len(runs.jobs) == 1

    def test_a_job_of_a_kind_without_handler_waits_for_a_process_that_has_one(self, start: MakeProcess) -> None:
        runs = Runs()
        old = start({"note": Runs()})
        old.enqueue("new kind")
        time.sleep(0.1)
        assert old.counts() == {"new": 1}

        start({"new kind": runs})
        eventually(lambda: old.counts() == {"done": 1})

        assert len(runs.jobs) == 1

    def test_a_failed_job_that_is_retried_runs_with_its_attempts_begun_anew(self, start: MakeProcess) -> None:
        attempts: list[int] = []

        def failing_twice(mine: Job) -> None:
            attempts.append(mine.attempt)
            if len(attempts) < 3:
                raise ValueError("not yet")

        process = start({"note": failing_twice}, job_attempts=2)
        number = process.enqueue()
        eventually(lambda: process.counts() == {"failed": 1})

        process.committer.write(lambda c: retry(c, number or 0, By(process.clock.now())))
        eventually(lambda: process.counts() == {"done": 1})

        assert attempts == [1, 2, 1]

    def test_a_cancelled_job_never_runs_and_one_that_is_retried_elsewhere_is_found(self, start: MakeProcess) -> None:
        runs = Runs()
        process, asked = start({"note": runs}), start({})
        by = By(asked.clock.now())

        def enqueue_and_cancel(connection: Connection) -> int:
            number = enqueue(connection, "note", {}, now=by.now)
            assert number is not None
            cancel(connection, number, by)
            return number

        number = asked.committer.write(enqueue_and_cancel)
        time.sleep(0.4)
        while_cancelled = (len(runs.jobs), process.counts())
        asked.committer.write(lambda c: retry(c, number, By(asked.clock.now())))
        eventually(lambda: process.counts() == {"done": 1})

        assert while_cancelled == (0, {"canceled": 1})
        assert [mine.attempt for mine in runs.jobs] == [1]

    def test_several_processes_share_the_jobs_and_each_runs_once(self, start: MakeProcess) -> None:
        runs = Runs()
        processes = [start({"note": runs}) for _ in range(3)]

        numbers = [processes[turn % 3].enqueue() for turn in range(45)]
        eventually(lambda: processes[0].counts() == {"done": 45})

        assert sorted(mine.id for mine in runs.jobs) == sorted(number or 0 for number in numbers)
        assert {mine.attempt for mine in runs.jobs} == {1}

    def test_a_job_whose_process_fell_silent_runs_again(self, start: MakeProcess) -> None:
        runs = Runs()
        process = start({"note": runs})
        number = process.enqueue(key="k", after=60)

        process.change(
            number, state="running", waiting_key=None, attempts=1, lease_owner="gone", lease_until=process.clock.now()
        )
        eventually(lambda: process.counts() == {"done": 1})

        assert runs.jobs[0].attempt == 2

    def test_a_job_that_brings_its_process_down_each_time_fails_for_good(self, start: MakeProcess) -> None:
        runs = Runs()
        process = start({"note": runs}, job_attempts=3)
        number = process.enqueue(after=60)

        process.change(number, state="running", attempts=3, lease_owner="gone", lease_until=process.clock.now())
        eventually(lambda: process.counts() == {"failed": 1})

        assert runs.jobs == []
        assert "attempt 3" in process.rows()[0].error

    def test_a_long_job_is_nobody_elses_while_its_process_lives(self, start: MakeProcess) -> None:
        runs = Runs(hold=threading.Event())
        processes = [start({"note": runs}, job_lease_seconds=0.6) for _ in range(2)]

        processes[0].enqueue()
        eventually(lambda: runs.at_once == 1)
        time.sleep(1.2)
        assert runs.hold is not None
        runs.hold.set()
        eventually(lambda: processes[0].counts() == {"done": 1})

        assert runs.most_at_once == 1
        assert len(runs.jobs) == 1

    def test_closing_waits_for_what_runs_and_begins_nothing(self, start: MakeProcess) -> None:
        runs = Runs(hold=threading.Event())
        process = start({"note": runs}, job_threads=1)
        process.enqueue()
        eventually(lambda: runs.at_once == 1)
        process.enqueue()

        assert runs.hold is not None
        threading.Timer(0.1, runs.hold.set).start()
        process.engine.close(PATIENCE)

        assert process.counts() == {"done": 1, "new": 1}

    def test_what_runs_at_the_deadline_is_left_to_others_at_once_and_costs_no_attempt(self, start: MakeProcess) -> None:
        stuck, runs = Runs(hold=threading.Event()), Runs()
        ending = start({"note": stuck})
        ending.enqueue()
        eventually(lambda: stuck.at_once == 1)

        begun = time.monotonic()
        ending.engine.close(0.1)
        took = time.monotonic() - begun
        start({"note": runs})
        eventually(lambda: ending.counts() == {"done": 1})
        assert stuck.hold is not None
        stuck.hold.set()

        assert took < 2
        assert [mine.attempt for mine in runs.jobs] == [1]

    def test_of_several_processes_one_enqueues_what_a_schedule_wants(self, start: MakeProcess) -> None:
        runs = Runs()
        every = [Schedule("sweep", every=0.5, kind="note", payload={"from": "schedule"})]
        processes = [start({"note": runs}, every) for _ in range(3)]

        begun = time.monotonic()
        eventually(lambda: len(runs.jobs) >= 2)
        for process in processes:
            process.engine.close(PATIENCE)

        assert len(runs.jobs) <= (time.monotonic() - begun) / 0.5 + 1
        assert runs.jobs[0].payload == {"from": "schedule"}

    def test_a_schedule_whose_job_still_runs_or_waits_enqueues_no_further_one(self, start: MakeProcess) -> None:
        runs = Runs(hold=threading.Event())
        process = start({"note": runs}, [Schedule("sweep", every=0.05, kind="note")], job_threads=2)

        eventually(lambda: runs.at_once == 1)
        time.sleep(0.4)
        states = process.counts()
        assert runs.hold is not None
        runs.hold.set()

        assert states == {"running": 1}
        assert runs.most_at_once == 1

    def test_a_clock_that_jumps_back_delays_neither_jobs_nor_schedules(self, start: MakeProcess) -> None:
        runs, swept = Runs(), Runs()
        process = start({"note": runs, "sweep": swept}, [Schedule("sweep", every=3_600, kind="sweep")])
        eventually(
            lambda: process.database.read(lambda c: c.execute(text("SELECT count(*) FROM schedule")).scalar_one() == 2)
        )
        process.clock.jump(86_400)
        process.enqueue(after=0.05)

        process.clock.jump(-86_400 * 2)
        eventually(lambda: len(runs.jobs) == 1 and len(swept.jobs) >= 1)

        assert len(runs.jobs) == 1

    def test_a_clock_that_jumps_forward_runs_nothing_twice_in_its_process(self, start: MakeProcess) -> None:
        runs = Runs(hold=threading.Event())
        process = start({"note": runs}, job_threads=2)
        process.enqueue()
        eventually(lambda: runs.at_once == 1)

        process.clock.jump(86_400)
        time.sleep(0.2)
        assert runs.hold is not None
        runs.hold.set()
        eventually(lambda: process.counts().get("done", 0) >= 1)

        assert len(runs.jobs) == 1

    def test_rows_of_finished_jobs_are_thinned(self, start: MakeProcess) -> None:
        process = start({"note": Runs()}, jobs_kept=5)
        for _ in range(12):
            process.enqueue()
        eventually(lambda: process.counts() == {"done": 12})

        process.enqueue("jobs.tidy")
        eventually(lambda: process.counts() == {"done": 6})  # five, and the one that did it

        assert [row.id for row in process.rows()] == sorted(row.id for row in process.rows())[-6:]

    @pytest.mark.parametrize("state", ["failed", "canceled"])
    def test_rows_of_jobs_that_ended_otherwise_are_thinned_apart(self, start: MakeProcess, state: str) -> None:
        process = start({"note": Runs()}, jobs_kept=2)
        numbers = [process.enqueue(after=60) for _ in range(4)]
        for number in numbers:
            process.change(number, state=state, waiting_key=None, finished=process.clock.now())

        process.enqueue("jobs.tidy")
        eventually(lambda: process.counts() == {state: 2, "done": 1})

        assert [row.id for row in process.rows()][:2] == numbers[2:]

    def test_rows_of_finished_jobs_go_at_their_age(self, start: MakeProcess) -> None:
        process = start({"note": Runs()}, jobs_kept_seconds=100)
        young, old = (process.enqueue() for _ in range(2))
        eventually(lambda: process.counts() == {"done": 2})
        now = process.clock.now()
        process.change(young, finished=now - 90 * SECOND)
        process.change(old, finished=now - 101 * SECOND)

        process.enqueue("jobs.tidy")
        eventually(lambda: process.counts() == {"done": 2})  # the young one, and the one that did it

        assert old not in {row.id for row in process.rows()}
        assert young in {row.id for row in process.rows()}
