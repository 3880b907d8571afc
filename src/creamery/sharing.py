"""Work that several wait for, and what its failure remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Exception)


class Sharing(Generic[T]):
    """Work by key, done once for all who ask at the same time. It goes on when they leave. Event loop only."""

    def __init__(self) -> None:
        self._tasks: dict[object, asyncio.Task[T]] = {}

    async def once(self, key: object, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` brings, begun now unless it is under way.

        Raises:
            Exception: what `work` raised, to each who waits.
        """
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.get_running_loop().create_task(work())
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
            task.add_done_callback(hear)
        try:
            return await asyncio.shield(task)
        finally:
            del task  # the error that it may have ended with knows this frame


def hear(task: asyncio.Task[Any]) -> None:
    """A task ended that perhaps nobody waits for any more: its failure is no news, and keeps no frames."""
    if not task.cancelled():
        forget_frames(task.exception())


def forget_frames(error: BaseException | None) -> None:
    """Take the tracebacks off an exception that is kept, and off those that led to it.

    Whoever keeps an exception, as a task does, keeps what its frames held: a body of 100 MB, an open part file. Where
    such a frame knows the keeper, it is a circle that only the garbage collector ends, some time later.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def another(error: E) -> E:
    """The same error as a new object, to be raised where one is kept: what is raised remembers who raised it."""
    kind = type(error)
    made = kind.__new__(kind, *error.args)
    made.__dict__.update(error.__dict__)
    return made
