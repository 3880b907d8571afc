"""The first door: Python packages, cached from upstream indexes on first use.

Others use what is named here only; tables, rules and the wire are the room's own.
"""

from __future__ import annotations

from creamery.accounts import Rule
from creamery.door import Health, Hub
from creamery.index import api
from creamery.index.access import MANAGE, READ, SCOPES, UPLOAD, Access
from creamery.index.adding import Adding, Published
from creamery.index.archives import Artefact, BadArchive
from creamery.index.archives import check as check_archive
from creamery.index.bringing import Bringing, NotHad, NotNow
from creamery.index.catalog import Catalog
from creamery.index.download import Downloads
from creamery.index.explaining import Explainer
from creamery.index.files import Files, IndexDoor, PackageFile
from creamery.index.freshness import Freshness, UnknownProject
from creamery.index.metadata import JOB_KIND, MetadataFiles
from creamery.index.mirror_routes import MirrorRoutes
from creamery.index.names import Names
from creamery.index.offers import Offers
from creamery.index.pages import Pages
from creamery.index.pins import holder
from creamery.index.prefetch import JOB_KIND as PREFETCH_JOB
from creamery.index.prefetch import Prefetching
from creamery.index.project import ListedFile
from creamery.index.refusals import refusals as owning_refusals
from creamery.index.routes import Routes, refusals
from creamery.index.rule_changes import compare_rules
from creamery.index.tables import TELL_JOB
from creamery.index.upload_routes import UploadRoutes
from creamery.index.upload_routes import refusals as upload_refusals
from creamery.index.uploads import Uploads
from creamery.index.upstream import UpstreamDown, Upstreams

__all__ = [
    "SCOPES",
    "Adding",
    "Artefact",
    "BadArchive",
    "Files",
    "IndexDoor",
    "ListedFile",
    "NotHad",
    "NotNow",
    "PackageFile",
    "Pages",
    "Published",
    "UnknownProject",
    "UpstreamDown",
    "check_archive",
    "door",
    "holder",
]


def door(hub: Hub) -> IndexDoor:
    """The index over this hub."""
    limits, clock, telemetry = hub.settings.limits, hub.clock, hub.telemetry
    names = Names(hub.database, hub.committer, hub.generations, hub.settings.index.reserved)
    offers = Offers(hub.settings.index, names)
    catalog = Catalog(hub, offers)
    upstreams = Upstreams(hub.settings, hub.egress, hub.pools, clock, telemetry, privacy=catalog.why_private)
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
    bringing = Bringing(hub, catalog, freshness, downloads)
    prefetching = Prefetching(hub, catalog, bringing, metadata)

    async def start() -> None:
        catalog.start()
        await hub.pools.database.run(names.load)
        await hub.pools.database.run(compare_rules, hub)

    async def stop() -> None:
        await downloads.close()
        await upstreams.close()

    async def upstreams_answer() -> Health:
        down = [breaker for breaker in upstreams.breakers() if breaker.outage is not None]
        reasons = "; ".join(breaker.outage.reason for breaker in down if breaker.outage is not None)
        return Health("index.upstreams", ok=not down, detail=reasons or "all answer", hinders=False)

    readers = Rule.parse(hub.settings.index.read)
    is_open = readers.who == "anyone"
    pages = Pages(hub, catalog, freshness, is_open=is_open)
    routes = Routes(hub, catalog, freshness, pages, downloads, metadata, is_open=is_open)
    mirrors = MirrorRoutes(hub, catalog, freshness, metadata, routes, is_open=is_open)
    access = Access(hub.accounts.may)
    uploads = UploadRoutes(Uploads(hub, catalog, upstreams, access), hub.blobs, clock, limits)
    uploaders = Rule.parse(hub.settings.index.upload)
    hub.api.include(api.loader(hub, access, names, Explainer(offers, names, upstreams), upstreams))
    return IndexDoor(
        name="index",
        routes=(*routes.table(), *mirrors.table(), *uploads.table(), *api.routes(hub, is_open=is_open)),
        rules={READ: readers, UPLOAD: uploaders, MANAGE: Rule("admins")},
        scopes=SCOPES,
        handlers={JOB_KIND: metadata.read_newest, TELL_JOB: metadata.tell, PREFETCH_JOB: prefetching.run},
        holders=(holder(clock),),
        checks=(upstreams_answer,),
        refusals={**refusals(), **owning_refusals(), **upload_refusals()},
        start=start,
        stop=stop,
        files=Files(hub, catalog, bringing, names),
        pages=pages,
        endpoints=routes,
    )
