"""Requests of one turn of the event loop, begun together, and without a task for those that need no waiting.

An answer that is ready takes one step. A task for it, with its handle, its context and its way through the loop, costs
as much as the answer itself; what does have to wait goes on as a task from where it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

Work = Coroutine[Any, Any, None]
Task = asyncio.Task[None]


class Turns:
    """Begins what was read in one turn in the next. Work must not look at its task before it waits for something."""

    def __init__(self) -> None:
        self._read: list[tuple[Work, Callable[[Task], None]]] = []

    def add(self, work: Work, loop: asyncio.AbstractEventLoop, tasks: set[Task], waits: Callable[[Task], None]) -> None:
        """Begin it soon. Should it have to wait, `waits` hears of its task, which is in `tasks` as long as it lasts."""
        if not self._read:
            loop.call_soon(self._begin, loop, tasks)
        self._read.append((work, waits))

    def _begin(self, loop: asyncio.AbstractEventLoop, tasks: set[Task]) -> None:
        read, self._read = self._read, []
        for work, waits in read:
            try:
                waits_for = work.send(None)
            except StopIteration:
                continue
            except Exception as error:  # noqa: BLE001 - its neighbours are begun all the same
                loop.call_exception_handler({"message": "a request failed", "exception": error})
                continue
            task = loop.create_task(_go_on(work, waits_for))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            waits(task)


async def _go_on(work: Work, waits_for: Any) -> None:
    await _Rest(work, waits_for)


class _Rest:
    """What is left of work that waits for a future."""

    def __init__(self, work: Work, waits_for: Any) -> None:
        self._work = work
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    came = yield waits_for
                except BaseException as error:  # noqa: BLE001 - a cancellation, too, is for the work to hear of
                    waits_for = self._work.throw(error)
                else:
                    waits_for = self._work.send(came)
        except StopIteration:
            return
