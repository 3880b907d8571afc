"""The second door: wheels that one machine has built, so that no other has to.

Others use what is named here only; tables, rules and the wire are the room's own.
"""

from __future__ import annotations

from pathlib import Path

from creamery.accounts import Rule
from creamery.blobs import Folder
from creamery.door import Door, Hub
from creamery.http import Strangers
from creamery.index import IndexDoor
from creamery.telemetry import log
from creamery.wheels import api
from creamery.wheels.access import MANAGE, PUSH, READ, SCOPES, pushing_rule
from creamery.wheels.candidates import Candidates
from creamery.wheels.chain import Chain
from creamery.wheels.checking import CHECK_JOB, Checking
from creamery.wheels.client_routes import ClientRoutes
from creamery.wheels.entry_routes import EntryRoutes
from creamery.wheels.file_routes import FileRoutes
from creamery.wheels.folder import FolderWheels
from creamery.wheels.holding import holder
from creamery.wheels.kept import KeptWheels
from creamery.wheels.merged import MergedPages
from creamery.wheels.page_routes import PageRoutes
from creamery.wheels.pushing import Pushing
from creamery.wheels.rings import OneRing, Rings
from creamery.wheels.routes import WheelRoutes, refusals
from creamery.wheels.thinning import SCHEDULE, THIN_JOB, Thinning
from creamery.wheels.uses import Uses
from creamery.wheels.waiting import Waiting

__all__ = ["SCOPES", "door", "door_of_folder", "holder"]


def door(hub: Hub, packages: IndexDoor) -> Door:
    """The built wheels of this hub; `packages`: the index that its plain index is built upon."""
    settings = hub.settings.wheels
    readers = Rule.parse(settings.read)
    is_open = readers.who == "anyone"
    strangers = Strangers(hub.settings, settings.strangers)
    rings = Rings(hub, strangers)
    uses, waiting, checking = Uses(hub), Waiting(hub), Checking(hub)
    place = KeptWheels(hub, uses)
    pushing = Pushing(hub, place)
    chain = Chain(hub, pushing, place)
    entries = EntryRoutes(hub, pushing, rings, waiting, chain)
    merged = MergedPages(packages.pages, Candidates(hub, chain), hub.pools.cpu, is_open=is_open)
    hub.api.include(api.loader(hub, rings, merged))

    async def start() -> None:
        waiting.start()
        uses.start()
        await hub.pools.database.run(checking.resume)

    async def stop() -> None:
        await chain.close()
        await uses.stop()

    return Door(
        name="wheels",
        routes=(
            *WheelRoutes(hub, place, pushing, rings, chain, "/w", is_open=is_open).table(),
            *entries.table(),
            *ClientRoutes(hub, packages, rings).table(),
            *PageRoutes(hub, packages, merged, rings).table(),
            *FileRoutes(hub, rings, uses, is_open=is_open).table(),
            *api.routes(hub, is_open=is_open),
        ),
        rules={READ: readers, PUSH: pushing_rule(settings.push, strangers), MANAGE: Rule("admins")},
        scopes=SCOPES,
        handlers={CHECK_JOB: checking.run, THIN_JOB: Thinning(hub, checking).run},
        schedules=(SCHEDULE,),
        holders=(holder(hub.clock),),
        refusals=refusals(),
        start=start,
        stop=stop,
    )


def door_of_folder(hub: Hub, path: Path) -> Door:
    """The wheels of a folder, and nothing of the hub's own, at the root.

    Whoever stands in the password file reads and pushes, as Curdling's server has it; without one, anybody does.
    """
    folder = Folder(path, hub.database, hub.committer, hub.clock)
    wheels = FolderWheels(hub, folder)
    rule = Rule("anyone" if hub.settings.wheels.htpasswd is None else "users")
    rings = OneRing()

    async def look() -> None:
        await hub.pools.disk.run(folder.tidy)
        await hub.pools.disk.run(wheels.look)
        log.info("wheels.folder", folder=str(path), projects=len(await wheels.projects((rings.ring,))))

    return Door(
        name="wheels",
        routes=WheelRoutes(hub, wheels, Pushing(hub, wheels), rings, None, "", is_open=rule.who == "anyone").table(),
        rules={READ: rule, PUSH: rule},
        scopes=SCOPES,
        holders=(holder(hub.clock),),
        refusals=refusals(),
        start=look,
    )
