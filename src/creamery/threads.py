"""Three bounded pools of threads: database, disk, CPU. One shared pool would let writers starve readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from creamery.limits import Limits

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """Some threads for one kind of work."""

    def __init__(self, name: str, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `work` in one of the pool's threads and wait for its result on the event loop."""
        loop = asyncio.get_running_loop()
        if kwargs:
            return await loop.run_in_executor(self._executor, lambda: work(*args, **kwargs))
        return await loop.run_in_executor(self._executor, work, *args)

    def close(self) -> None:
        """Wait for what runs; drop what has not begun."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class Pools:
    """The hub's pools."""

    def __init__(self, limits: Limits) -> None:
        self.database = Pool("database", limits.database_threads)
        self.disk = Pool("disk", limits.disk_threads)
        self.cpu = Pool("cpu", limits.cpu_threads)

    def close(self) -> None:
        """End all three."""
        for pool in (self.database, self.disk, self.cpu):
            pool.close()
