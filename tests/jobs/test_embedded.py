"""Threads in this process keep the promise of job engines, on every database."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from creamery import faults
from creamery.database import Committer, Database
from creamery.jobs import EmbeddedEngine, Handler, JobEngine, Schedule, retry
from creamery.journal import By
from creamery.limits import Limits
from creamery.telemetry import Telemetry
from tests.doubles.clocks import JumpingClock
from tests.doubles.waiting import eventually
from tests.suites.job_engine import JobEngineSuite, MakeProcess, Runs


class TestEmbeddedEngine(JobEngineSuite):
    """The suite, and what is particular to threads."""

    def make(
        self,
        database: Database,
        committer: Committer,
        handlers: Mapping[str, Handler],
        schedules: Sequence[Schedule],
        limits: Limits,
        clock: JumpingClock,
    ) -> JobEngine:
        return EmbeddedEngine(database, committer, handlers, schedules, limits, clock, Telemetry())

    def test_a_job_enqueued_here_begins_without_waiting_for_the_next_look(self, start: MakeProcess) -> None:
        runs = Runs()
        process = start({"note": runs}, job_poll_seconds=30)

        process.enqueue()

        eventually(lambda: len(runs.jobs) == 1, seconds=5)

    def test_a_job_retried_here_begins_without_waiting_for_the_next_look(self, start: MakeProcess) -> None:
        runs = Runs()
        process = start({"note": runs}, job_poll_seconds=30)
        number = process.enqueue(after=60)
        process.change(number, state="failed", waiting_key=None, attempts=5)

        process.committer.write(lambda c: retry(c, number or 0, By(process.clock.now())))

        eventually(lambda: len(runs.jobs) == 1, seconds=5)

    def test_as_many_jobs_run_at_once_as_there_are_threads(self, start: MakeProcess) -> None:
        runs = Runs(hold=threading.Event())
        process = start({"note": runs}, job_threads=3, job_poll_seconds=30)
        for _ in range(5):
            process.enqueue()

        eventually(lambda: runs.at_once == 3)
        assert runs.hold is not None
        runs.hold.set()
        eventually(lambda: len(runs.jobs) == 5)

        assert runs.most_at_once == 3

    def test_closing_twice_is_no_harm(self, start: MakeProcess) -> None:
        process = start({})

        process.engine.close(1)
        process.engine.close(1)

    def test_an_engine_that_was_never_started_closes(self, database: Database, committer: Committer) -> None:
        self.make(database, committer, {}, [], Limits(), JumpingClock()).close(1)

    @pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
    def test_while_the_database_cannot_be_written_jobs_wait_and_then_run(self, start: MakeProcess) -> None:
        runs = Runs()
        process = start({"note": runs}, lock_seconds=0.05)
        other = Database(f"sqlite:///{process.database.path}", Limits())
        process.enqueue(after=0.5)

        with other.write.begin():
            time.sleep(0.9)
            while_held = len(runs.jobs)
        eventually(lambda: process.counts() == {"done": 1})
        other.close()

        assert while_held == 0

    def test_a_result_that_cannot_be_written_down_at_first_is_written_later(self, start: MakeProcess) -> None:
        def breaking(_: Any) -> None:
            faults.arm("database.before_commit@1=ENOSPC")

        process = start({"note": breaking})

        process.enqueue()
        try:
            eventually(lambda: process.counts() == {"done": 1})
        finally:
            faults.disarm()

        assert process.rows()[0].attempts == 1
