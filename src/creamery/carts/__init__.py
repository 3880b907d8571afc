"""Data carts: files that are brought near from an archive, and downloaded together as one bundle.

Doors and the hub use `door` and `holder` only; the rest is for commands on the hub's machine.
"""

from __future__ import annotations

import asyncio

from creamery.accounts import Rule
from creamery.carts import api
from creamery.carts.access import MANAGE, SCOPES, USE, owner_of_user, rule
from creamery.carts.archives import open_archives
from creamery.carts.bundling import Bundling
from creamery.carts.carts import Carts
from creamery.carts.leases import Leases
from creamery.carts.notice import NOTIFY_JOB
from creamery.carts.planning import PLAN_JOB, STAGE_JOB, Planning
from creamery.carts.quotas import quota_of, set_quota
from creamery.carts.room import Room
from creamery.carts.routes import CartRoutes, refusals
from creamery.carts.settlement import Settlement
from creamery.carts.staging import TIDY_JOB, TIDY_SECONDS, Staging
from creamery.carts.tables import Cart, find_cart, holder, usage
from creamery.carts.upkeep import cart_told, every_cart, file_rows, purge, stage_anew
from creamery.carts.webhooks import Webhooks
from creamery.door import Door, Hub
from creamery.http import Strangers
from creamery.index import Files
from creamery.jobs import Job, Large, Schedule

__all__ = [
    "SCOPES",
    "Cart",
    "cart_told",
    "door",
    "every_cart",
    "file_rows",
    "find_cart",
    "holder",
    "owner_of_user",
    "purge",
    "quota_of",
    "set_quota",
    "stage_anew",
    "usage",
]


def door(hub: Hub, packages: Files | None = None) -> Door:
    """The carts of this hub.

    Args:
        hub: whose.
        packages: the files of its index; None: carts alone are served, and the root takes any name.
    """
    archives = open_archives(hub, packages)
    leases = Leases(hub.committer, hub.clock)
    strangers = Strangers(hub.settings, hub.settings.carts.anonymous)
    settlement = Settlement(hub)
    room = Room(hub, leases)
    planning = Planning(hub, archives, settlement, room)
    staging = Staging(hub, archives, settlement, room)
    carts = Carts(hub, archives, planning.plan_ahead)

    def tidy(_: Job) -> None:
        staging.wake()
        carts.tidy()

    renewing: list[asyncio.Task[None]] = []

    async def start() -> None:
        renewing.append(asyncio.create_task(leases.renew()))

    async def stop() -> None:
        for task in renewing:
            task.cancel()

    routes = CartRoutes(hub, carts, Bundling(hub.database, hub.blobs, hub.clock), leases, strangers)
    is_alone = packages is None
    if not is_alone:
        hub.api.include(api.loader(hub, archives, strangers))
    return Door(
        name="carts",
        routes=(*routes.table(any_name_at_root=is_alone), *(() if is_alone else api.routes(hub))),
        rules={USE: rule(hub.settings, strangers), MANAGE: Rule("admins")},
        scopes=SCOPES,
        handlers={
            PLAN_JOB: planning.plan,
            STAGE_JOB: staging.stage,
            TIDY_JOB: tidy,
            NOTIFY_JOB: Webhooks(hub).notify,
        },
        large={
            PLAN_JOB: Large(planning.is_much_to_plan, planning.plan_much),
            STAGE_JOB: Large(staging.is_much_to_stage, staging.stage_much),
        },
        slow_jobs=len(archives),
        holders=(holder(),),
        schedules=(Schedule(TIDY_JOB, every=TIDY_SECONDS, kind=TIDY_JOB),),
        refusals=refusals(),
        start=start,
        stop=stop,
    )
