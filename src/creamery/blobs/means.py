"""What the parts of this room are given of the hub."""

from __future__ import annotations

from dataclasses import dataclass

from creamery.clock import Clock
from creamery.database import Committer, Database
from creamery.limits import Limits
from creamery.telemetry import Telemetry
from creamery.threads import Pools


@dataclass(frozen=True, slots=True)
class Means:
    """Rows, time, limits, metrics and threads."""

    database: Database
    committer: Committer
    limits: Limits
    clock: Clock
    telemetry: Telemetry
    pools: Pools
