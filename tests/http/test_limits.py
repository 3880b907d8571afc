"""How many ranges are answered, and who is told when to ask again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from uvicorn.server import ServerState

from creamery.clock import SystemClock
from creamery.database import WritesBusy
from creamery.http import PUBLIC, Route, Wire
from creamery.limits import Limits
from tests.doubles.toy import CONTENT, routes
from tests.doubles.wired import Wired


async def busy(_: Request) -> Response:
    raise WritesBusy("as many writes wait as may")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    """Few ranges; and a way to a database that is busy."""
    toys = routes(tmp_path_factory.mktemp("narrow"))
    with Wired([*toys, Route(("GET",), "/busy", busy, PUBLIC)], ranges_asked=6, ranges_answered=3) as wired:
        yield wired


@pytest.mark.parametrize(("ranges", "status"), [(6, 206), (7, 200)])
def test_more_ranges_than_may_be_asked_for_are_ignored(narrow: Wired, ranges: int, status: int) -> None:
    """ranges_asked: counted before those that overlap are put together."""
    assert narrow.get("/blob/whole", range="bytes=" + ",".join(["0-0"] * ranges)).status == status


@pytest.mark.parametrize(("ranges", "status"), [(3, 206), (4, 200)])
def test_more_ranges_than_are_answered_bring_the_whole_file(narrow: Wired, ranges: int, status: int) -> None:
    """ranges_answered: counted after that."""
    answer = narrow.get("/blob/whole", range="bytes=" + ",".join(f"{2 * at}-{2 * at}" for at in range(ranges)))

    assert answer.status == status
    assert (answer.body == CONTENT) == (status == 200)


def test_who_meets_a_busy_database_is_told_when_to_ask_again(narrow: Wired) -> None:
    answer = narrow.get("/busy")

    assert (answer.status, answer.headers.get("retry-after")) == (503, "1")


@pytest.mark.anyio
async def test_a_connection_is_watched_from_its_first_moment() -> None:
    """A server makes a protocol, and only in a later turn of the loop puts it among its connections."""
    loop, state = asyncio.get_running_loop(), ServerState()
    wire = Wire(Limits(), SystemClock())
    wire.protocol(uvicorn.Config(busy, ws="none", log_config=None), state, {}, loop)

    wire._tick(loop, state)
    between = wire._ticking
    wire._tick(loop, state)

    assert (between, wire._ticking) == (True, False)
