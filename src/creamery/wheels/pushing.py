"""A wheel that somebody has built, from the file that has come to the name that others find it by.

What is promised to those who install it: the archive is sound and is the wheel that its name says, by the same rules
as an upload to the index; a name never changes its bytes while it is here: who comes first has it.
"""

from __future__ import annotations

from creamery.contract import InvalidName, parse_filename
from creamery.door import Hub
from creamery.index import Artefact, check_archive
from creamery.telemetry import log
from creamery.wheels.place import Place, Pushed, PushRefused


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

    async def take(self, pushed: Pushed) -> None:
        """Check a wheel and keep it; on return it is durable and others find it.

        Raises:
            PushRefused, BadArchive: it cannot be taken.
            RightEnded: whoever sent it may no longer.
        """
        try:
            artefact = await self._pools.cpu.run(self._check, pushed)
            outcome = await self._place.keep(pushed, artefact)
        except Exception:
            await pushed.part.drop_soon()
            raise
        self._taken.labels(outcome).inc()
        if outcome == "new":
            log.info("wheels.pushed", file=pushed.filename, by=pushed.by.actor, sha256=pushed.part.kept_digest())

    def _check(self, pushed: Pushed) -> Artefact:
        with pushed.part.open() as stream:
            return check_archive(stream, pushed.filename, self._limits)
