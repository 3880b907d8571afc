"""Settings -> hub: fills the record that doors are given, lists the doors, and nothing else."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

from creamery import index, operations
from creamery.accounts import Accounts, ScopeWord, Secret
from creamery.blobs import Blobs, Holder
from creamery.clock import SystemClock
from creamery.database import Committer, Database, Generations, Settling
from creamery.door import Door, Hub
from creamery.egress import Egress
from creamery.http import Api, Application, Gate, Proxies, Router, access_log
from creamery.jobs import EmbeddedEngine
from creamery.settings import Settings
from creamery.telemetry import Telemetry
from creamery.threads import Pools


def doors_of(hub: Hub) -> tuple[Door, ...]:
    """All doors, in the order in which they start."""
    doors = (index.door(hub),)
    return (*doors, operations.door(hub, doors))


@dataclass(frozen=True, slots=True)
class BuiltHub:
    """A hub that can be started: `app` answers requests once `start` has returned."""

    hub: Hub
    doors: tuple[Door, ...]
    jobs: EmbeddedEngine
    app: Application

    async def start(self) -> None:
        """Open everything, on the event loop that will serve.

        Raises:
            DatabaseUnavailable: the database does not answer or is set up wrongly.
            StoreMismatch: the data directory belongs to another hub.
            SecretUnreadable: its secret is there and cannot be used.
        """
        hub = self.hub
        await asyncio.to_thread(hub.database.check)
        hub.committer.start()
        await asyncio.to_thread(hub.blobs.open)
        hub.blobs.hold(tuple(holder for door in self.doors for holder in door.holders))
        await hub.accounts.start()
        await hub.egress.start()
        for door in self.doors:
            if door.start is not None:
                await door.start()
        self.jobs.start()

    async def stop(self, deadline_seconds: float) -> None:
        """End jobs within the deadline, then the doors, then everything under them."""
        hub = self.hub
        await asyncio.to_thread(self.jobs.close, deadline_seconds)
        for door in self.doors:
            if door.stop is not None:
                await door.stop()
        await hub.accounts.stop()
        await hub.egress.close()
        await asyncio.to_thread(hub.blobs.close)
        await asyncio.to_thread(hub.committer.close)
        hub.generations.close()
        hub.pools.close()
        hub.database.close()
        self.app.close()


def build(settings: Settings) -> BuiltHub:
    """Put a hub together; nothing is opened yet but connections to the database.

    Raises:
        DatabaseUnavailable: the database's address cannot be understood.
    """
    clock, telemetry, limits = SystemClock(), Telemetry(), settings.limits
    pools = Pools(limits)
    database = Database(settings.resolved_database_url(), limits, telemetry)
    generations = Generations(database)
    committer = Committer(database, generations, limits, clock, telemetry)
    settling = Settling(database, generations, pools)
    via = f"creamery-{uuid.uuid4().hex[:12]}"
    hub = Hub(
        settings=settings,
        clock=clock,
        telemetry=telemetry,
        pools=pools,
        database=database,
        committer=committer,
        generations=generations,
        settling=settling,
        accounts=Accounts(
            database,
            committer,
            generations,
            settling,
            pools,
            limits,
            clock,
            password_files=settings.password_files(),
            passcodes=settings.passcodes(),
            secret=Secret(settings.data, limits, clock, keys=settings.secret_keys()),
        ),
        egress=Egress(settings.egress, limits, telemetry, via=via),
        blobs=Blobs(settings.data, database, committer, limits, settings.cache, clock, telemetry, pools),
        api=Api(pools, limits),
    )
    return _with_doors(hub, via)


def _with_doors(hub: Hub, via: str) -> BuiltHub:
    settings, limits, clock, telemetry = hub.settings, hub.settings.limits, hub.clock, hub.telemetry
    doors = doors_of(hub)
    for door in doors:
        hub.accounts.declare(door.rules)
    jobs = EmbeddedEngine(
        hub.database,
        hub.committer,
        {kind: handler for door in doors for kind, handler in door.handlers.items()},
        [schedule for door in doors for schedule in door.schedules],
        limits,
        clock,
        telemetry,
    )
    proxies = Proxies(settings.trusted_proxies, settings.public_url)
    app = Application(
        Router({door.name: door.routes for door in doors}, Gate(hub.accounts, proxies)),
        pools=hub.pools,
        limits=limits,
        clock=clock,
        telemetry=telemetry,
        proxies=proxies,
        via=via,
        access_log=access_log(settings.log),
        refusals={kind: problem for door in doors for kind, problem in door.refusals.items()},
    )
    return BuiltHub(hub, doors, jobs, app)


def offline_holders() -> tuple[Holder, ...]:
    """Who refers to blobs, for commands that open the data without a hub."""
    return (index.holder(),)


def offline_scopes() -> dict[str, ScopeWord]:
    """What tokens may be limited to, for commands that open the data without a hub."""
    return operations.scope_words((index.SCOPES,))
