"""Settings -> hub: fills the record that doors are given, lists the doors, and nothing else."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from creamery import carts, hive, index, operations, wheels
from creamery.accounts import Accounts, ScopeWord, Secret
from creamery.blobs import Blobs, Holder
from creamery.clock import SystemClock
from creamery.database import Committer, Database, Generations, Settling
from creamery.door import Door, Hub
from creamery.egress import Egress
from creamery.http import Api, Application, Gate, Proxies, Router, access_log
from creamery.jobs import Children, EmbeddedEngine, Handler, Job, Large
from creamery.settings import Settings
from creamery.telemetry import Telemetry
from creamery.threads import Pools


def doors_of(hub: Hub) -> tuple[Door, ...]:
    """All doors, in the order in which they start."""
    packages = index.door(hub)
    doors = (packages, wheels.door(hub, packages), hive.door(hub), carts.door(hub, packages.files))
    return (*doors, operations.door(hub, doors))


def carts_alone(hub: Hub) -> tuple[Door, ...]:
    """The doors of a server of carts, which answers nothing else.

    The hub's own jobs run all the same; of a shut door's things nothing is done, and nothing is swept away.
    """
    shut = (_shut("index", index.holder(hub.clock)), _shut("wheels", wheels.holder(hub.clock)))
    return _alone(hub, carts.door(hub), *shut, _shut("hive", hive.holder()))


def folder_alone(hub: Hub, path: Path) -> tuple[Door, ...]:
    """The doors of a server of one folder's wheels, likewise."""
    shut = (_shut("index", index.holder(hub.clock)), _shut("carts", carts.holder()))
    return _alone(hub, wheels.door_of_folder(hub, path), *shut, _shut("hive", hive.holder()))


def _shut(name: str, holder: Holder) -> Door:
    return Door(name, routes=(), holders=(holder,))


def _alone(hub: Hub, *doors: Door) -> tuple[Door, ...]:
    return (*doors, replace(operations.door(hub, doors), routes=()))


@dataclass(frozen=True, slots=True)
class BuiltHub:
    """A hub that can be started: `app` answers requests once `start` has returned."""

    hub: Hub
    doors: tuple[Door, ...]
    jobs: EmbeddedEngine
    children: Children
    app: Application

    @property
    def large(self) -> Mapping[str, Large]:
        """By kind, the jobs that children do most of."""
        return {kind: large for door in self.doors for kind, large in door.large.items()}

    async def start(self) -> None:
        """Open everything and begin to work, on the event loop that will serve.

        Raises:
            DatabaseUnavailable, StoreMismatch, SecretUnreadable: as `open`.
        """
        await self.open()
        for door in self.doors:
            if door.start is not None:
                await door.start()
        self.jobs.start()

    async def open(self) -> None:
        """Open everything, for somebody who calls what is in it: no door and no job begins.

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

    async def stop(self, deadline_seconds: float) -> None:
        """End jobs within the deadline, then the doors, then everything under them."""
        hub = self.hub
        await asyncio.to_thread(self.children.stop)
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


def build(settings: Settings, list_doors: Callable[[Hub], tuple[Door, ...]] = doors_of) -> BuiltHub:
    """Put a hub together; nothing is opened yet but connections to the database, and a file for requests' lines.

    Args:
        settings: the hub's.
        list_doors: which doors it has.

    Raises:
        DatabaseUnavailable: the database's address cannot be understood.
        LogUnwritable: the file cannot be opened.
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
    generations.on_change("blobs", hub.blobs.forget_places)
    children = Children("creamery.child", (settings, list_doors), telemetry)
    return _with_doors(hub, via, list_doors(hub), children)


def _with_doors(hub: Hub, via: str, doors: tuple[Door, ...], children: Children) -> BuiltHub:
    settings, limits, clock, telemetry = hub.settings, hub.settings.limits, hub.clock, hub.telemetry
    for door in doors:
        hub.accounts.declare(door.rules)
    jobs = EmbeddedEngine(
        hub.database,
        hub.committer,
        {k: _handler(h, door.large.get(k), children) for door in doors for k, h in door.handlers.items()},
        [schedule for door in doors for schedule in door.schedules],
        limits,
        clock,
        telemetry,
        slow=sum(door.slow_jobs for door in doors),
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
    return BuiltHub(hub, doors, jobs, children, app)


def _handler(handler: Handler, large: Large | None, children: Children) -> Handler:
    """Does a job, after a child has done its part of a large one."""
    if large is None:
        return handler

    def handle(job: Job) -> None:
        if large.is_so(job):
            children.run(job)
        handler(job)

    return handle


def offline_holders() -> tuple[Holder, ...]:
    """Who refers to blobs, for commands that open the data without a hub."""
    return (index.holder(SystemClock()), wheels.holder(SystemClock()), hive.holder(), carts.holder())


def offline_scopes() -> dict[str, ScopeWord]:
    """What tokens may be limited to, for commands that open the data without a hub."""
    return operations.scope_words((index.SCOPES, wheels.SCOPES, hive.SCOPES, carts.SCOPES))
