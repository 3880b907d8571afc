"""The one writer of a process: it takes every write that waits and commits them together.

No timer: while one batch is synced to disk, the next one gathers. A write is a function of a connection; it runs in
a savepoint of its own, so that one refusal harms no neighbour, and must have no effect outside the database, because
after an unforeseen error every write of the batch runs again alone (design: hive-tree notes 4.2).
"""

from __future__ import annotations

import asyncio
import queue
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from creamery.clock import Clock
from creamery.database.engine import Database
from creamery.database.generation import Generations, Topic
from creamery.faults import reach
from creamery.limits import Limits
from creamery.telemetry import Telemetry, log

T = TypeVar("T")

BATCH_WRITES = 256
RETRIES = 3

_RETRY_CODES = frozenset({"40001", "40P01", 1213, 1205})  # serialisation, deadlock; MariaDB: deadlock, lock wait


class WritesBusy(Exception):
    """Too many writes wait already: ask again in a moment (503)."""


class DiskFull(Exception):
    """The database has no room to write: free some space (507). Reading goes on."""


@dataclass(slots=True)
class _Write(Generic[T]):
    work: Callable[[Connection], T]
    result: Future[T]


class Committer:
    """Runs writes. `write` may be called from any thread; `commit` from the event loop."""

    def __init__(
        self, database: Database, generations: Generations, limits: Limits, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._database = database
        self._limits = limits
        self._clock = clock
        self._waiting: queue.Queue[_Write[Any] | None] = queue.Queue(limits.waiting_writes)
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self._generations = generations
        self._closed = threading.Event()
        self._batches = telemetry.counter("commits", "Transactions of the committer.")
        self._writes = telemetry.counter("writes", "Writes that the committer ran.")
        self._retries = telemetry.counter("commit_retries", "Transactions begun anew after a deadlock.")
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    def start(self) -> None:
        """Begin to take writes."""
        self._thread.start()

    def close(self) -> None:
        """Run what waits, then end."""
        self._closed.set()
        self._waiting.put(None)
        self._thread.join()

    def on_commit(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Call `listener`, in the committer's thread, after each commit, with what its writes announced."""
        self._listeners.append(listener)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction; on return it is durable. For threads.

        Raises:
            WritesBusy: the queue stayed full.
            DiskFull: no room; nothing was written.
            DatabaseUnavailable: the database does not answer.
            Exception: whatever `work` raised; nothing of it was written.
        """
        return self.submit(work).result()

    async def commit(self, work: Callable[[Connection], T]) -> T:
        """`write`, for the event loop."""
        if self._waiting.full():  # then waiting for a place must not hold the loop
            loop = asyncio.get_running_loop()
            return await asyncio.wrap_future(await loop.run_in_executor(None, self.submit, work))
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Put `work` in the queue.

        Raises:
            WritesBusy: the queue stayed full for `limits.waiting_seconds`, or the hub is ending.
        """
        result: Future[T] = Future()
        if self._closed.is_set():
            raise WritesBusy("the hub is ending; ask again when it is back")
        try:
            self._waiting.put(_Write(work, result), timeout=self._limits.waiting_seconds)
        except queue.Full:
            raise WritesBusy(f"{self._limits.waiting_writes} writes wait already; ask again in a moment") from None
        return result

    def _run(self) -> None:
        while True:
            batch = self._take()
            if batch:
                self._commit(batch)
            elif self._closed.is_set():
                return

    def _take(self) -> list[_Write[Any]]:
        """One write, waiting for it, and all that wait behind it."""
        batch: list[_Write[Any]] = []
        write = self._waiting.get()
        while True:
            if write is not None and write.result.set_running_or_notify_cancel():
                batch.append(write)
            if len(batch) >= BATCH_WRITES:
                return batch
            try:
                write = self._waiting.get_nowait()
            except queue.Empty:
                return batch

    def _commit(self, batch: list[_Write[Any]]) -> None:
        try:
            outcomes, announced = self._transaction(batch)
        except BaseException as error:  # noqa: BLE001 - the batch's writers must all hear of it
            if len(batch) > 1:
                log.warning("database.batch_failed", writes=len(batch), error=repr(error))
                for write in batch:
                    self._commit([write])
                return
            batch[0].result.set_exception(self._explain(error))
            return
        self._batches.inc()
        self._writes.inc(len(batch))
        for listener in self._listeners:
            listener(announced)
        for write, (value, error) in zip(batch, outcomes, strict=True):
            if error is not None:
                write.result.set_exception(error)
            else:
                write.result.set_result(value)

    def _transaction(self, batch: list[_Write[Any]]) -> tuple[list[tuple[Any, Exception | None]], frozenset[str]]:
        for attempt in range(RETRIES + 1):
            try:
                return self._try_transaction(batch)
            except DBAPIError as error:
                if attempt == RETRIES or not _is_worth_a_retry(error):
                    raise
                self._retries.inc()
                self._clock.sleep(random.uniform(0.005, 0.05) * (attempt + 1))  # noqa: S311 - jitter
        raise AssertionError("unreachable")

    def _try_transaction(self, batch: list[_Write[Any]]) -> tuple[list[tuple[Any, Exception | None]], frozenset[str]]:
        outcomes: list[tuple[Any, Exception | None]] = []
        with self._database.write.connect() as connection:
            connection.info["announced"] = set()
            connection.info["bumped"] = []
            with connection.begin():
                bumped: list[tuple[Topic, int]] = connection.info["bumped"]
                for write in batch:
                    before = len(bumped)
                    savepoint = connection.begin_nested()
                    try:
                        value = write.work(connection)
                        savepoint.commit()
                        outcomes.append((value, None))
                    except DBAPIError:
                        raise
                    except Exception as refusal:  # noqa: BLE001 - handed to the one who asked
                        savepoint.rollback()
                        del bumped[before:]
                        outcomes.append((None, refusal))
                reach("database.before_commit")
            reach("database.after_commit")
            for topic, number in bumped:
                self._generations.own(topic, number)
            return outcomes, frozenset(connection.info["announced"])

    def _explain(self, error: BaseException) -> BaseException:
        if isinstance(error, DBAPIError):
            if "full" in str(error.orig).lower() or "No space" in str(error.orig):
                return DiskFull(f"the database {self._database.url} has no room to write: {error.orig}")
            return self._database.unavailable(error)
        if isinstance(error, OSError):
            return DiskFull(str(error)) if error.errno == 28 else error
        return error


def announce(connection: Connection, topic: str) -> None:
    """Tell the committer's listeners, once the transaction is committed, that `topic` has news."""
    connection.info.setdefault("announced", set()).add(topic)


def _is_worth_a_retry(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlstate", None)
    number = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return code in _RETRY_CODES or number in _RETRY_CODES
