"""A wheel that somebody has built, from the file that has come to the name or key that others find it by.

What is promised to those who install it: the archive is sound and is the wheel that its name says, by the same rules
as an upload to the index; a name and a key never change their bytes while these are here: who comes first has them.
"""

from __future__ import annotations

from creamery.contract import InvalidName, parse_filename
from creamery.door import Hub
from creamery.index import check_archive
from creamery.telemetry import log
from creamery.wheels.elf import has_elf
from creamery.wheels.place import Found, KeyTaken, NameTaken, Outcome, Place, Pushed, PushRefused


def check_name(filename: str) -> str:
    """The name itself, if it is a wheel's; asked before a byte is read.

    Raises:
        PushRefused: it is not.
    """
    try:
        kind = parse_filename(filename).kind
    except InvalidName as error:
        raise PushRefused(str(error)) from error
    if kind != "wheel":
        raise PushRefused(f"{filename} is no wheel; built wheels are kept here, and their names end in .whl")
    return filename


class Pushing:
    """Takes wheels in. Coroutines belong to the event loop."""

    def __init__(self, hub: Hub, place: Place) -> None:
        self._place = place
        self._pools = hub.pools
        self._limits = hub.settings.limits
        self._taken = hub.telemetry.counter("wheels_pushed", "Wheels that were pushed here.", ["outcome"])
        self._conflicts = hub.telemetry.counter("wheels_conflicts", "Wheels whose name or key had other bytes.")

    async def take(self, pushed: Pushed) -> Outcome:
        """Check a wheel and keep it; on return it is durable and others find it.

        Raises:
            PushRefused, BadArchive: it cannot be taken.
            RightEnded: whoever sent it may no longer.
        """
        try:
            found = await self._pools.cpu.run(self._look, pushed)
            outcome = await self._place.keep(pushed, found)
        except (NameTaken, KeyTaken):
            self._conflicts.inc()
            await pushed.part.drop_soon()
            raise
        except Exception:
            await pushed.part.drop_soon()
            raise
        self._taken.labels(outcome).inc()
        if outcome == "new":
            log.info(
                "wheels.pushed",
                file=pushed.filename,
                by=pushed.by.actor,
                ring=pushed.ring,
                sha256=pushed.part.kept_digest(),
            )
        return outcome

    def _look(self, pushed: Pushed) -> Found:
        with pushed.part.open() as stream:
            artefact = check_archive(stream, pushed.filename, self._limits, is_hashed=False)
            return Found(artefact, has_elf(stream))
