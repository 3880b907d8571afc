"""Seeing what other processes have committed, once for all requests that were read before the look."""

from __future__ import annotations

import asyncio

from creamery.database.engine import Database
from creamery.database.generation import Generations
from creamery.threads import Pools


class Settling:
    """Asks the generations whether anybody has changed anything. Used on the event loop only."""

    def __init__(self, database: Database, generations: Generations, pools: Pools) -> None:
        self._database = database
        self._generations = generations
        self._pools = pools
        self._looking = asyncio.Lock()
        self._has_looked = False

    async def settle(self) -> None:
        """See what other processes have committed; called before every answer.

        One look (9 us on SQLite) holds for all requests that were read before it: those whose tasks are already
        waiting for their turn on the loop. Whoever asks later finds `_has_looked` taken back.
        """
        if self.is_settled():
            return
        if self._database.is_sqlite:
            async with self._looking:
                if self._generations.moved():
                    await self._pools.database.run(self._generations.look)
        else:
            await self._pools.database.run(self._generations.look)

    def is_settled(self) -> bool:
        """Has nobody committed anything that this process has not seen? Where that is soon told: else `settle`.

        Not while somebody looks: what is found then is put before the loop in the order in which it is to be heard.
        """
        if not self._has_looked and not self._looking.locked() and not self._generations.moved():
            self._has_looked = True
            asyncio.get_running_loop().call_soon(self._look_again)
        return self._has_looked

    def _look_again(self) -> None:
        self._has_looked = False
