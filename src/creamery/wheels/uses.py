"""How often built wheels are served: counted in memory, and written down every few seconds."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

from creamery.clock import SECOND, Micros
from creamery.database import DatabaseUnavailable, DiskFull, WritesBusy
from creamery.door import Hub
from creamery.telemetry import log
from creamery.wheels import tables
from creamery.wheels.place import BuiltFile
from creamery.wheels.tables import Entry

DAY = 86_400 * SECOND


class Uses:
    """Of this process. Coroutines and `note` belong to the event loop."""

    def __init__(self, hub: Hub) -> None:
        self._clock = hub.clock
        self._committer = hub.committer
        self._limits = hub.settings.limits
        self._noted: Counter[int] = Counter()
        self._task: asyncio.Task[None] | None = None
        self._served = hub.telemetry.counter("wheels_served", "Built wheels that were sent.")
        self._saved = hub.telemetry.counter("wheels_saved_seconds", "Seconds of building that those wheels have saved.")

    def note(self, file: BuiltFile) -> None:
        """It is served once more."""
        self._served.inc()
        self._saved.inc(file.millis / 1_000)
        self._noted[file.id] += 1

    async def hand(self, entries: list[Entry]) -> None:
        """Before somebody gets it who may write it into a lock: from now on it stays for a long while.

        Once a day and wheel one write.
        """
        until = self._clock.now() + round(self._limits.wheel_handed_seconds * SECOND)
        due = [entry.id for entry in entries if entry.kept_until < until - DAY]
        if due:
            await self._committer.commit(partial(tables.keep_until, ids=due, until=Micros(until)))

    def start(self) -> None:
        """Begin to write down."""
        self._task = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Write down what is left."""
        if self._task is not None:
            self._task.cancel()
        await self.flush()

    async def flush(self) -> None:
        """Write down what was noted; should that fail, it is noted still."""
        noted, self._noted = self._noted, Counter()
        if not noted:
            return
        try:
            await self._committer.commit(partial(tables.count_hits, hits=noted, now=self._clock.now()))
        except (DatabaseUnavailable, DiskFull, WritesBusy) as error:
            self._noted.update(noted)
            log.warning("wheels.uses_not_written", reason=str(error))

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._limits.uses_seconds)
            await self.flush()
