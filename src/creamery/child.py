"""A child process of the hub, which does the larger part of one job (`jobs/child.py`) and ends."""

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
    """Do it."""
    os.nice(NICENESS)
    memory.spare()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal's whole group: whoever began this says when to stop
    told_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told_to_stop.set())
    (settings, list_doors), job = child.told()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin_log(settings.log)
    faults.arm(settings.faults)
    faults.listening()
    hub = build(settings, list_doors)
    error = None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_do(hub, settings, job, told_to_stop))
        except Exception as reason:  # noqa: BLE001 - told to the process that has the job
            log.warning("jobs.child_failed", kind=job.kind, id=job.id, exc_info=reason)
            error = f"{type(reason).__name__}: {reason}"
    child.answer(error, hub.hub.telemetry.counted())


async def _do(hub: BuiltHub, settings: Settings, job: Job, told_to_stop: threading.Event) -> None:
    await hub.open()
    memory.settle()
    try:
        await asyncio.to_thread(hub.large[job.kind].part, job, lambda: not told_to_stop.is_set())
    finally:
        await hub.stop(settings.limits.drain_seconds)


def _end_with_parent() -> None:
    """Whatever was not committed is done again."""
    os.read(0, 1)  # nothing more comes; not by `sys.stdin`, which a thread must not hold when the interpreter ends
    os._exit(1)


if __name__ == "__main__":
    main()
