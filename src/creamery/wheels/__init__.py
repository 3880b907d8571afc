"""The second door: wheels that one machine has built, so that no other has to.

Others use what is named here only; tables, rules and the wire are the room's own.
"""

from __future__ import annotations

from creamery.accounts import Rule
from creamery.door import Door, Hub
from creamery.wheels.access import PUSH, READ, SCOPES
from creamery.wheels.pushing import Pushing
from creamery.wheels.routes import WheelRoutes, refusals
from creamery.wheels.tables import holder

__all__ = ["SCOPES", "door", "holder"]


def door(hub: Hub) -> Door:
    """The built wheels of this hub."""
    settings = hub.settings.wheels
    readers = Rule.parse(settings.read)
    return Door(
        name="wheels",
        routes=WheelRoutes(hub, Pushing(hub), is_open=readers.who == "anyone").table(),
        rules={READ: readers, PUSH: Rule.parse(settings.push)},
        scopes=SCOPES,
        holders=(holder(),),
        refusals=refusals(),
    )
