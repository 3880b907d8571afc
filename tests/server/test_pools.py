"""Each pool has as many threads as its limit says."""

from __future__ import annotations

import asyncio
import threading

import pytest

from creamery.limits import Limits
from creamery.threads import Pools

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("name", "threads"), [("database", 2), ("disk", 3), ("cpu", 4)])
async def test_a_pool_works_on_so_many_things_at_once(name: str, threads: int) -> None:
    pools = Pools(Limits(database_threads=2, disk_threads=3, cpu_threads=4))
    pool, begun, let_go = getattr(pools, name), threading.Semaphore(0), threading.Event()

    def work() -> None:
        begun.release()
        let_go.wait(10)

    tasks = [asyncio.create_task(pool.run(work)) for _ in range(threads + 1)]
    at_once = 0
    while await asyncio.to_thread(begun.acquire, timeout=0.2):
        at_once += 1
    let_go.set()
    await asyncio.gather(*tasks)
    pools.close()

    assert at_once == threads
