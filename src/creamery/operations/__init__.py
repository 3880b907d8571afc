"""Whether the hub lives, whether it can work, what it has done: for those who run it. A door like the others."""

from __future__ import annotations

from collections.abc import Sequence

from creamery.door import Door, Hub
from creamery.operations.health import Readiness
from creamery.operations.metrics import Metrics
from creamery.operations.routes import Routes
from creamery.operations.schedules import handlers, schedules

__all__ = ["door"]


def door(hub: Hub, neighbours: Sequence[Door] = ()) -> Door:
    """Operation of this hub; `/readyz` asks the `neighbours` too."""
    readiness = Readiness(hub, [check for neighbour in neighbours for check in neighbour.checks])
    return Door(
        name="operations",
        routes=Routes(readiness, Metrics(hub)).table(),
        handlers=handlers(hub.blobs),
        schedules=schedules(),
    )
