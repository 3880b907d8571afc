"""What a door is, and Hub, the frozen record that a door is given.

A door is offered by one function, `door(hub) -> Door`, in its room's `__init__.py`; `hub.py` has the list of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from creamery.accounts import Accounts, Rule, ScopeWord
from creamery.blobs import Blobs, Holder
from creamery.clock import Clock
from creamery.database import Committer, Database, Generations, Settling
from creamery.egress import Egress
from creamery.http import Api, Problem, Route
from creamery.jobs import Handler, Large, Schedule
from creamery.settings import Settings
from creamery.telemetry import Telemetry
from creamery.threads import Pools


@dataclass(frozen=True, slots=True)
class Hub:
    """All that doors share."""

    settings: Settings
    clock: Clock
    telemetry: Telemetry
    pools: Pools
    database: Database
    committer: Committer
    generations: Generations
    settling: Settling
    accounts: Accounts
    egress: Egress
    blobs: Blobs
    api: Api


@dataclass(frozen=True, slots=True)
class Health:
    """What a check found. `hinders` is False where the hub can do its work all the same."""

    name: str
    ok: bool
    detail: str
    hinders: bool = True


HealthCheck = Callable[[], Awaitable[Health]]


@dataclass(frozen=True, slots=True)
class Door:
    """One way in.

    Attributes:
        name: the door's word in logs, metrics and settings.
        routes: what it answers.
        rules: who may do what here, by action; a route whose action nobody has declared ends the start.
        scopes: what tokens may be limited to here.
        handlers: by kind, what runs its jobs.
        large: by kind, which of them are so large that a child process does most of it.
        slow_jobs: how many of its jobs at once may wait long for others' machines, such as archives.
        holders: which blobs its tables refer to.
        schedules: which jobs it wants at which distance.
        checks: what `/readyz` asks it.
        refusals: what its errors look like on the wire.
        start, stop: called on the event loop when the hub has begun to listen, and before it ends.
    """

    name: str
    routes: tuple[Route, ...]
    rules: Mapping[str, Rule] = field(default_factory=dict)
    scopes: Mapping[str, ScopeWord] = field(default_factory=dict)
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    large: Mapping[str, Large] = field(default_factory=dict)
    slow_jobs: int = 0
    holders: tuple[Holder, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    checks: tuple[HealthCheck, ...] = ()
    refusals: Mapping[type[Exception], Callable[[Any], Problem]] = field(default_factory=dict)
    start: Callable[[], Awaitable[None]] | None = None
    stop: Callable[[], Awaitable[None]] | None = None
