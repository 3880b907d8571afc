"""A way out for each test, and an upstream to go to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from creamery.egress import Egress, Lookup
from creamery.limits import Limits
from creamery.sections import Egress as EgressSettings
from creamery.telemetry import Telemetry
from tests.doubles.upstream import Upstream

Out = Callable[..., AbstractAsyncContextManager[Egress]]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture
def out() -> Out:
    """Makes an Egress: its proxies and limits by name, `hosts` for names that lead to addresses."""

    @asynccontextmanager
    async def made(
        hosts: dict[str, list[str]] | None = None,
        lookup: Lookup | None = None,
        telemetry: Telemetry | None = None,
        **settings: Any,
    ) -> AsyncIterator[Egress]:
        proxies = {name: settings.pop(name) for name in tuple(settings) if name.endswith("_proxy")}
        egress = Egress(
            EgressSettings(**proxies),
            Limits(**settings),
            telemetry if telemetry is not None else Telemetry(),
            via="hub-under-test",
            lookup=lookup if lookup is not None else names(hosts or {}),
        )
        await egress.start()
        try:
            yield egress
        finally:
            await egress.close()

    return made


async def until(happens: Callable[[], object]) -> None:
    """Wait until something has happened in another thread; fail after 5 s."""
    for _ in range(500):
        if happens():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within 5 s")


def names(hosts: dict[str, list[str]]) -> Lookup:
    """A lookup that knows these names only."""

    async def lookup(host: str, port: int, family: socket.AddressFamily) -> list[tuple[socket.AddressFamily, str]]:
        if host not in hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in hosts[host]]

    return lookup
