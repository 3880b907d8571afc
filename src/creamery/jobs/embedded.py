"""Jobs in this process: some threads that run them and one that keeps house.

Workers claim a job, run it, record the result; where there is none they wait until somebody announces one. The keeper
renews the leases of what runs and, every second, looks for what nobody announces here: jobs of other processes and of
later, leases that ran out, schedules. 0.3 ms from commit to start (notes: stack 4).
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from creamery.clock import SECOND, Clock, Micros
from creamery.database import Committer, Database, DatabaseUnavailable, DiskFull, WritesBusy
from creamery.faults import reach
from creamery.jobs import lease, schedules
from creamery.jobs.job import Handler, Job, Postpone, Schedule
from creamery.jobs.tables import State, is_due, thin
from creamery.limits import Limits
from creamery.telemetry import Telemetry, log

T = TypeVar("T")

TIDY = Schedule("jobs.tidy", every=3_600, kind="jobs.tidy")
TIDY_ROWS = 500
OVER: tuple[State, ...] = ("done", "failed", "canceled")

_AWAY = (DatabaseUnavailable, DiskFull, WritesBusy)


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What the keeper sees at one look."""

    due: bool
    late: bool
    schedules: list[Schedule]


class EmbeddedEngine:
    """A `JobEngine` of threads."""

    def __init__(  # noqa: PLR0913 - what an engine stands on, put together in one place
        self,
        database: Database,
        committer: Committer,
        handlers: Mapping[str, Handler],
        schedules: Sequence[Schedule],
        limits: Limits,
        clock: Clock,
        telemetry: Telemetry,
        *,
        slow: int = 0,
    ) -> None:
        """`slow`: so many jobs at once may wait long for others' machines; they keep no thread from the rest."""
        self._database = database
        self._committer = committer
        self._handlers = {TIDY.kind: self._tidy, **handlers}
        self._schedules = (TIDY, *schedules)
        self._kinds = sorted(self._handlers)
        self._limits = limits
        self._clock = clock
        self._lease = Micros(int(limits.job_lease_seconds * SECOND))
        self._owner = uuid.uuid4().hex
        self._running: dict[int, Job] = {}
        self._changed = threading.Condition()
        self._news = 1
        self._is_blind = False
        self._closing = threading.Event()
        self._ended = threading.Event()
        self._results = telemetry.counter("jobs", "Jobs that ended or come again.", ["kind", "result"])
        self._seconds = telemetry.histogram("job_seconds", "How long a job's handler took.", ["kind"])
        self._workers = [
            threading.Thread(target=self._work, name=f"job-{number}", daemon=True)
            for number in range(limits.job_threads + slow)
        ]
        self._keeper = threading.Thread(target=self._keep, name="job-keeper", daemon=True)

    def start(self) -> None:
        """Begin to run jobs."""
        self._committer.on_commit(self._hear)
        for thread in (*self._workers, self._keeper):
            thread.start()

    def close(self, deadline_seconds: float) -> None:
        """See `JobEngine`."""
        self._closing.set()
        self._wake()
        deadline = self._clock.monotonic() + deadline_seconds
        for worker in self._workers:
            if worker.is_alive():
                worker.join(max(0.0, deadline - self._clock.monotonic()))
        self._ended.set()
        if self._keeper.is_alive():
            self._keeper.join(self._limits.waiting_seconds)
        if left := self._ids():
            log.warning("jobs.left", jobs=left)
            self._write_or_say("jobs.release_failed", lambda c: lease.release(c, self._owner, left, self._clock.now()))

    def _hear(self, topics: frozenset[str]) -> None:
        if "jobs" in topics:
            self._wake()

    def _wake(self) -> None:
        with self._changed:
            self._news += 1
            self._changed.notify_all()

    # Workers

    def _work(self) -> None:
        heard = 0
        while not self._closing.is_set():
            heard = self._news_after(heard)  # before the claim: for what is announced from here on, it looks again
            while not self._closing.is_set() and (mine := self._claim()) is not None:
                self._run(mine)
                self._forget([mine])

    def _news_after(self, heard: int) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._news != heard)
            return self._news

    def _claim(self) -> Job | None:
        """Take a job. It counts as running before it is committed: `_recover`, in the committer too, must know it."""
        taken: list[Job] = []

        def take(connection: Connection) -> Job | None:
            self._forget(taken)  # the committer may run a write again
            now = self._clock.now()
            mine = lease.claim(connection, self._owner, self._kinds, now, Micros(now + self._lease))
            if mine is not None:
                taken.append(mine)
                with self._changed:
                    self._running[mine.id] = mine
            return mine

        mine = self._write_or_say("jobs.claim_failed", take)
        if mine is None:
            self._forget(taken)
        else:
            reach("jobs.claimed")
        return mine

    def _forget(self, jobs: list[Job]) -> None:
        with self._changed:
            for mine in jobs:
                self._running.pop(mine.id, None)

    def _run(self, mine: Job) -> None:
        begun = self._clock.monotonic()
        try:
            self._handlers[mine.kind](mine)
        except Postpone as later:
            result, record = "postponed", self._postponed(mine, later)
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises is its job's result
            result, record = self._failed(mine, error)
        else:
            result, record = "done", self._done(mine)
        seconds = self._clock.monotonic() - begun
        reach("jobs.done_not_recorded")
        if not self._record(record):
            result = "lost"
        self._results.labels(mine.kind, result).inc()
        self._seconds.labels(mine.kind).observe(seconds)
        log.info("job", kind=mine.kind, id=mine.id, attempt=mine.attempt, result=result, seconds=round(seconds, 3))

    def _done(self, mine: Job) -> Callable[[Connection], bool]:
        return lambda connection: lease.finish(connection, self._owner, mine, self._clock.now())

    def _postponed(self, mine: Job, later: Postpone) -> Callable[[Connection], bool]:
        def record(connection: Connection) -> bool:
            now = self._clock.now()
            return lease.postpone(connection, self._owner, mine, now, Micros(now + int(later.seconds * SECOND)))

        return record

    def _failed(self, mine: Job, error: BaseException) -> tuple[str, Callable[[Connection], bool]]:
        text = f"{type(error).__name__}: {error}"
        comes_again = mine.attempt < self._limits.job_attempts
        trace = None if comes_again else error  # once, not at every attempt
        log.warning("job.raised", kind=mine.kind, id=mine.id, attempt=mine.attempt, error=text, exc_info=trace)

        def record(connection: Connection) -> bool:
            now = self._clock.now()
            pause = lease.pause_after(mine.attempt, self._limits.job_retry_seconds)
            return lease.fail(connection, self._owner, mine, now, text, Micros(now + pause) if comes_again else None)

        return ("retried" if comes_again else "failed"), record

    def _record(self, record: Callable[[Connection], bool]) -> bool:
        """Write a result down; while the database is away, again and again for as long as the lease could last."""
        give_up = self._clock.monotonic() + self._limits.job_lease_seconds
        while True:
            try:
                return self._committer.write(record)
            except _AWAY as error:
                log.warning("jobs.record_failed", error=str(error))
                if self._clock.monotonic() > give_up or self._closing.wait(self._limits.job_poll_seconds):
                    return False  # the lease runs out, and the job runs again
            except Exception as error:  # noqa: BLE001 - a defect of ours must not end the thread
                log.error("jobs.record_failed", exc_info=error)
                return False

    # Keeper

    def _keep(self) -> None:
        renewed = self._clock.monotonic()
        while not self._ended.wait(self._limits.job_poll_seconds):
            if self._clock.monotonic() - renewed > self._limits.job_lease_seconds / 3:
                self._renew()
                renewed = self._clock.monotonic()
            if not self._closing.is_set():
                self._look_around()

    def _renew(self) -> None:
        if ids := self._ids():
            until = Micros(self._clock.now() + self._lease)
            self._write_or_say("jobs.renew_failed", lambda c: lease.renew(c, self._owner, ids, until))

    def _ids(self) -> list[int]:
        with self._changed:
            return list(self._running)

    def _look_around(self) -> None:
        try:
            outlook = self._database.read(self._outlook)
        except Exception as error:  # noqa: BLE001 - nothing may end the keeper
            if not self._is_blind:  # said once, not every second
                known = isinstance(error, DatabaseUnavailable)
                log.warning("jobs.look_failed", error=str(error), exc_info=None if known else error)
            self._is_blind = True
            return
        self._is_blind = False
        if outlook.late:
            self._write_or_say("jobs.recover_failed", self._recover)
        for one in outlook.schedules:
            self._write_or_say("jobs.schedule_failed", self._advance(one))
        if outlook.due or outlook.late:
            self._wake()

    def _outlook(self, connection: Connection) -> _Outlook:
        now = self._clock.now()
        return _Outlook(
            due=is_due(connection, self._kinds, now),
            late=lease.is_late(connection, self._ids(), now, self._lease),
            schedules=schedules.due(connection, self._schedules, now),
        )

    def _advance(self, one: Schedule) -> Callable[[Connection], bool]:
        return lambda connection: schedules.advance(connection, one, self._clock.now())

    def _recover(self, connection: Connection) -> None:
        recovered = lease.recover(connection, self._ids(), self._clock.now(), self._lease, self._limits.job_attempts)
        log.info("jobs.recovered", jobs=recovered)

    def _write_or_say(self, event: str, work: Callable[[Connection], T]) -> T | None:
        """Write; where that fails, say so and go on: the next look tries again, and no thread may end."""
        try:
            return self._committer.write(work)
        except _AWAY as error:
            log.warning(event, error=str(error))
        except Exception as error:  # noqa: BLE001 - a defect of ours is told with its traceback
            log.error(event, exc_info=error)
        return None

    def _tidy(self, _: Job) -> None:
        """Thin the rows of what is over."""
        before = Micros(self._clock.now() - int(self._limits.jobs_kept_seconds * SECOND))
        for state in OVER:
            while self._committer.write(self._thinned(state, before)):
                pass  # in steps, so that other writes have their turn

    def _thinned(self, state: State, before: Micros) -> Callable[[Connection], int]:
        return lambda connection: thin(
            connection, state, keep=self._limits.jobs_kept, finished_before=before, at_most=TIDY_ROWS
        )
