"""Settling: nobody is answered out of memory while a change of another process is on its way there."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from creamery.clock import SystemClock
from creamery.database import Committer, Database, Generations, Settling, bump
from creamery.limits import Limits
from creamery.telemetry import Telemetry
from creamery.threads import Pools
from tests.databases import create_tables


def test_what_is_asked_while_somebody_looks_waits_for_what_is_found(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/database.sqlite3"
    create_tables(url)
    ours, theirs = (Database(url, Limits(), Telemetry()) for _ in range(2))
    generations, pools = Generations(ours), Pools(Limits())
    settling = Settling(ours, generations, pools)
    committer = Committer(theirs, Generations(theirs), Limits(), SystemClock(), Telemetry())
    looks, goes_on = threading.Event(), threading.Event()
    known = ["old"]

    async def ask() -> list[str]:
        await settling.settle()
        return list(known)

    async def ask_twice() -> list[list[str]]:
        loop = asyncio.get_running_loop()

        def hear() -> None:
            loop.call_soon_threadsafe(known.clear)
            looks.set()
            assert goes_on.wait(10)

        generations.on_change("index", hear)
        await settling.settle()
        committer.write(lambda connection: bump(connection, "index"))
        first = asyncio.create_task(ask())
        await asyncio.to_thread(looks.wait, 10)
        is_settled = settling.is_settled()
        second = asyncio.create_task(ask())
        await asyncio.sleep(0)
        goes_on.set()
        assert not is_settled
        return [await first, await second]

    committer.start()
    try:
        assert asyncio.run(ask_twice()) == [[], []]
    finally:
        committer.close()
        pools.close()
        generations.close()
        ours.close()
        theirs.close()
