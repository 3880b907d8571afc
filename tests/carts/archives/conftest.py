"""A way out for archives, and what makes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from creamery.carts.archives.asking import Site
from creamery.egress import Egress
from creamery.limits import Limits
from creamery.sections import Egress as EgressSettings
from creamery.telemetry import Telemetry
from tests.doubles.hand_clock import HandClock

Sites = Callable[..., Site]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def egress(anyio_backend: str) -> AsyncIterator[Egress]:
    made = Egress(EgressSettings(), Limits(upstream_silent_seconds=2), Telemetry(), via="hub-under-test")
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def site(egress: Egress, clock: HandClock) -> Sites:
    """Makes a site of an address, with limits of its own."""

    def made(url: str, at_once: int = 4, **limits: Any) -> Site:
        return Site("tapes", url, egress, Limits(**limits), clock, at_once=at_once)

    return made
