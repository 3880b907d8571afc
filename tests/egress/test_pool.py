"""Connections between two requests."""

from __future__ import annotations

import asyncio

import pytest

from creamery.egress import Origin
from tests.doubles.upstream import Upstream
from tests.egress.conftest import Out

pytestmark = pytest.mark.anyio


async def test_no_clock_runs_for_a_connection_that_rests(upstream: Upstream, out: Out) -> None:
    """A body that had piled up left the clock of silence running: the next request on its connection was too slow."""
    made = upstream.add("heavy", "1.0", size=300_000)
    origin = Origin.parse(upstream.url)

    content = b""
    async with out(upstream_silent_seconds=0.1) as egress:
        for _ in range(2):
            async with egress.request("GET", upstream.url_of(made.filename), origin=origin) as answer:
                await asyncio.sleep(0.05)  # it is all here, and more than the buffer takes, before anybody reads
                content = b"".join([chunk async for chunk in answer.chunks()])
            await asyncio.sleep(0.2)

    assert content == made.content
    assert upstream.connections == 1
