"""A committer, and writes that it takes together: what forms one batch is no accident of timing here."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from sqlalchemy import Connection

from creamery.clock import SystemClock
from creamery.database import Committer, Database, Generations
from creamery.limits import Limits
from creamery.telemetry import Telemetry

Work = Callable[[Connection], Any]


@contextlib.contextmanager
def started(database: Database, **limits: Any) -> Iterator[tuple[Committer, Telemetry]]:
    telemetry = Telemetry()
    committer = Committer(database, Generations(database), Limits(**limits), SystemClock(), telemetry)
    committer.start()
    yield committer, telemetry
    committer.close()


@contextlib.contextmanager
def held(committer: Committer) -> Iterator[None]:
    """The committer is busy with a write; what is submitted meanwhile gathers."""
    begun, free = threading.Event(), threading.Event()

    def work(_: Connection) -> None:
        begun.set()
        free.wait(10)

    future = committer.submit(work)
    begun.wait(10)
    try:
        yield
    finally:
        free.set()
        future.result(10)


def together(committer: Committer, *works: Work, gathers: bool = False) -> list[Future[Any]]:
    """Submit works so that they form one batch, and wait for all."""
    return batch(committer, *[(work, gathers) for work in works])


def batch(committer: Committer, *works: tuple[Work, bool]) -> list[Future[Any]]:
    """The same, of works that gather and others."""
    with held(committer):
        futures = [committer.submit(work, gathers=gathers) for work, gathers in works]
    for future in futures:
        future.exception(10)
    return futures


def value(telemetry: Telemetry, name: str) -> float:
    return telemetry.registry.get_sample_value(f"creamery_{name}_total") or 0
