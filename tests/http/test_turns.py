"""Work that is begun without a task, and goes on as one where it has to wait."""

from __future__ import annotations

import asyncio

import pytest

from creamery.http.turns import Turns

pytestmark = pytest.mark.anyio


async def _one_turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_work_that_need_not_wait_has_no_task() -> None:
    heard: list[object] = []
    done: list[str] = []
    tasks: set[asyncio.Task[None]] = set()
    turns, loop = Turns(), asyncio.get_running_loop()

    async def ready(name: str) -> None:
        done.append(name)

    for name in ("first", "second"):
        turns.add(ready(name), loop, tasks, heard.append)
    at_once = list(done)
    await _one_turn()

    assert at_once == []
    assert done == ["first", "second"]
    assert tasks == set()
    assert heard == []


async def test_work_that_waits_goes_on_as_a_task_from_where_it_stands() -> None:
    heard: list[object] = []
    done: list[object] = []
    tasks: set[asyncio.Task[None]] = set()
    turns, loop = Turns(), asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()

    async def waiting() -> None:
        done.append(await first)
        try:
            await second
        except ValueError as error:
            done.append(str(error))
        done.append(asyncio.current_task() in tasks)

    turns.add(waiting(), loop, tasks, heard.append)
    await _one_turn()
    [task] = tasks
    first.set_result("came")
    second.set_exception(ValueError("came not"))
    await task
    await _one_turn()

    assert heard == [task]
    assert done == ["came", "came not", True]
    assert tasks == set()


async def test_a_cancellation_reaches_the_work() -> None:
    heard: list[object] = []
    done: list[str] = []
    tasks: set[asyncio.Task[None]] = set()
    turns = Turns()

    async def waiting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            done.append("ended")

    turns.add(waiting(), asyncio.get_running_loop(), tasks, heard.append)
    await _one_turn()
    [task] = tasks
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert done == ["ended"]


async def test_work_that_fails_at_once_keeps_no_neighbour_from_beginning() -> None:
    heard: list[object] = []
    done: list[str] = []
    told: list[object] = []
    turns, loop = Turns(), asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    failure = RuntimeError("a defect")

    async def fails() -> None:
        raise failure

    async def ready() -> None:
        done.append("done")

    turns.add(fails(), loop, set(), heard.append)
    turns.add(ready(), loop, set(), heard.append)
    await _one_turn()

    assert told == [failure]
    assert done == ["done"]
