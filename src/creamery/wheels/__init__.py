"""The second door: wheels that one machine has built, so that no other has to.

Others use what is named here only; tables, rules and the wire are the room's own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from creamery.accounts import Rule
from creamery.blobs import Folder
from creamery.door import Door, Hub
from creamery.telemetry import log
from creamery.wheels import api
from creamery.wheels.access import MANAGE, PUSH, READ, SCOPES
from creamery.wheels.folder import FolderWheels
from creamery.wheels.kept import KeptWheels
from creamery.wheels.place import Place
from creamery.wheels.routes import WheelRoutes, refusals
from creamery.wheels.tables import holder

__all__ = ["SCOPES", "door", "door_of_folder", "holder"]


def door(hub: Hub) -> Door:
    """The built wheels of this hub."""
    settings = hub.settings.wheels
    readers = Rule.parse(settings.read)
    found = _door(hub, KeptWheels(hub), "/w", readers, Rule.parse(settings.push))
    hub.api.include(api.loader(hub))
    told = api.routes(hub, is_open=readers.who == "anyone")
    return replace(found, routes=(*found.routes, *told), rules={**found.rules, MANAGE: Rule("admins")})


def door_of_folder(hub: Hub, path: Path) -> Door:
    """The wheels of a folder, and nothing of the hub's own, at the root.

    Whoever stands in the password file reads and pushes, as Curdling's server has it; without one, anybody does.
    """
    folder = Folder(path, hub.database, hub.committer, hub.clock)
    wheels = FolderWheels(hub, folder)
    rule = Rule("anyone" if hub.settings.wheels.htpasswd is None else "users")

    async def look() -> None:
        await hub.pools.disk.run(folder.tidy)
        await hub.pools.disk.run(wheels.look)
        log.info("wheels.folder", folder=str(path), projects=len(await wheels.projects()))

    found = _door(hub, wheels, "", rule, rule)
    return replace(found, start=look)


def _door(hub: Hub, place: Place, prefix: str, read: Rule, push: Rule) -> Door:
    return Door(
        name="wheels",
        routes=WheelRoutes(hub, place, prefix, is_open=read.who == "anyone").table(),
        rules={READ: read, PUSH: push},
        scopes=SCOPES,
        holders=(holder(),),
        refusals=refusals(),
    )
