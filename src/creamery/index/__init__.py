"""The first door: Python packages, cached from upstream indexes on first use.

Others use `door` and `holder` only; tables, rules and the wire are the room's own.
"""

from __future__ import annotations

from creamery.accounts import Rule
from creamery.door import Door, Health, Hub
from creamery.index.access import READ, SCOPES
from creamery.index.catalog import Catalog
from creamery.index.download import Downloads
from creamery.index.freshness import Freshness
from creamery.index.metadata import JOB_KIND, MetadataFiles
from creamery.index.routes import Routes, refusals
from creamery.index.tables import holder
from creamery.index.upstream import Upstreams

__all__ = ["SCOPES", "door", "holder"]


def door(hub: Hub) -> Door:
    """The index over this hub."""
    limits, clock, telemetry = hub.settings.limits, hub.clock, hub.telemetry
    upstreams = Upstreams(hub.settings, hub.egress, hub.pools, clock, telemetry)
    catalog = Catalog(hub.database, hub.committer, hub.generations, hub.pools, limits, telemetry)
    freshness = Freshness(
        catalog,
        upstreams,
        hub.committer,
        clock,
        limits,
        telemetry,
        offline_listing=hub.settings.index.offline_pages,
    )
    downloads = Downloads(catalog, upstreams, hub.egress, hub.blobs, clock, limits, telemetry)
    metadata = MetadataFiles(hub, catalog, upstreams)

    async def start() -> None:
        catalog.start()

    async def stop() -> None:
        await downloads.close()
        await upstreams.close()

    async def upstreams_answer() -> Health:
        down = [breaker for breaker in upstreams.breakers() if breaker.outage is not None]
        reasons = "; ".join(breaker.outage.reason for breaker in down if breaker.outage is not None)
        return Health("index.upstreams", ok=not down, detail=reasons or "all answer", hinders=False)

    readers = Rule.parse(hub.settings.index.read)
    is_open = readers.who == "anyone"
    routes = Routes(catalog, freshness, downloads, metadata, hub.blobs, hub.settling, is_open=is_open)
    return Door(
        name="index",
        routes=routes.table(),
        rules={READ: readers},
        scopes=SCOPES,
        handlers={JOB_KIND: metadata.read_newest},
        holders=(holder(),),
        checks=(upstreams_answer,),
        refusals=refusals(),
        start=start,
        stop=stop,
    )
