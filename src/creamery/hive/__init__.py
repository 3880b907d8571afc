"""Files: people's homes and the spaces of projects, as trees of names over blobs.

Others use what is named here only; tables, rules and tongues are the room's own.
"""

from __future__ import annotations

from creamery.accounts import Rule
from creamery.door import Door, Hub
from creamery.hive import api
from creamery.hive.access import MANAGE, READ, SCOPES, WRITE
from creamery.hive.dav import routes as dav
from creamery.hive.holding import holder
from creamery.hive.reserving import Reservations
from creamery.hive.upkeep import SCHEDULES, Upkeep

__all__ = ["SCOPES", "door", "holder"]


def door(hub: Hub) -> Door:
    """The files of this hub."""
    use = Rule.parse(hub.settings.hive.use)
    reservations = Reservations()
    hub.api.include(api.loader(hub, reservations))
    return Door(
        name="hive",
        routes=(*dav.table(hub, reservations), *api.routes(hub)),
        rules={READ: use, WRITE: use, MANAGE: Rule("admins")},
        scopes=SCOPES,
        handlers=Upkeep(hub).handlers(),
        holders=(holder(),),
        schedules=SCHEDULES,
        refusals=api.refusals(),
    )
