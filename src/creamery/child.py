"""A child process of the hub, which does the larger part of jobs (`jobs/child.py`), one after the other."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import uvloop

from creamery import faults, memory
from creamery.http import begin_log
from creamery.hub import BuiltHub, build
from creamery.jobs import Job, child
from creamery.settings import Settings
from creamery.telemetry import log

NICENESS = 10


def main() -> None:
    """Do what comes, until nothing does."""
    os.nice(NICENESS)
    memory.spare()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal's whole group: whoever began this says when to stop
    told_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told_to_stop.set())
    told = child.Told()
    settings, list_doors = told.given
    begin_log(settings.log)
    faults.arm(settings.faults)
    faults.listening()
    hub = build(settings, list_doors)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(hub, settings, told, told_to_stop))


async def _serve(hub: BuiltHub, settings: Settings, told: child.Told, told_to_stop: threading.Event) -> None:
    def is_wanted() -> bool:
        return not told_to_stop.is_set()

    job = await asyncio.to_thread(told.next, is_wanted)
    if job is None:
        return
    counted: dict[str, float] = {}
    try:
        await hub.open()
        memory.settle()
    except Exception as reason:  # noqa: BLE001 - told to the process that has the job
        child.answer(_failed(job, reason), [])
        return
    try:
        while job is not None:
            error = None
            try:
                await asyncio.to_thread(hub.hub.generations.look)  # what others have changed since the last one
                await asyncio.to_thread(hub.large[job.kind].part, job, is_wanted)
            except Exception as reason:  # noqa: BLE001 - likewise
                error = _failed(job, reason)
            child.answer(error, _news(hub, counted))
            job = await asyncio.to_thread(told.next, is_wanted)
    finally:
        await hub.stop(settings.limits.drain_seconds)


def _failed(job: Job, reason: Exception) -> str:
    log.warning("jobs.child_failed", kind=job.kind, id=job.id, exc_info=reason)
    return f"{type(reason).__name__}: {reason}"


def _news(hub: BuiltHub, before: dict[str, float]) -> list[tuple[str, dict[str, str], float]]:
    """What was counted since it was told the last time."""
    news = []
    for name, labels, value in hub.hub.telemetry.counted():
        key = f"{name} {sorted(labels.items())}"
        if value != before.get(key, 0.0):
            news.append((name, labels, value - before.get(key, 0.0)))
            before[key] = value
    return news


if __name__ == "__main__":
    main()
