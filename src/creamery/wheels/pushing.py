"""A wheel that somebody has built, from the file that has come to the name that others find it by.

What is promised to those who install it: the archive is sound and is the wheel that its name says, by the same rules
as an upload to the index; a name never changes its bytes while it is here: who comes first has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from sqlalchemy import Connection

from creamery.accounts import By, Principal, confirm
from creamery.blobs import Part
from creamery.contract import Digest, InvalidName, parse_filename
from creamery.door import Hub
from creamery.index import Artefact, check_archive
from creamery.journal import record_by
from creamery.telemetry import log
from creamery.wheels.tables import BeingPushed, BuiltWheel, locked_wheel, set_wheel

Outcome = Literal["new", "same"]

ATTEMPTS = 3
"""Whoever meets another process that pushes the same name looks again: it is there then."""


class PushRefused(Exception):
    """The file cannot be taken; the text says why, and what to do."""


class NameTaken(PushRefused):
    """Other bytes are here under that name."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What somebody has sent.

    Attributes:
        filename: a wheel's, see `check_name`.
        part: its bytes, finished.
        principal: who sent it.
        by: the same, for the journal.
    """

    filename: str
    part: Part
    principal: Principal
    by: By


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

    def __init__(self, hub: Hub) -> None:
        self._blobs = hub.blobs
        self._pools = hub.pools
        self._limits = hub.settings.limits
        self._taken = hub.telemetry.counter("wheels_pushed", "Wheels that were pushed here.", ["outcome"])

    async def take(self, pushed: Pushed) -> Outcome:
        """Check a wheel and keep it; on return it is durable and others find it.

        Raises:
            PushRefused, BadArchive: it cannot be taken.
            RightEnded: whoever sent it may no longer.
        """
        try:
            artefact = await self._pools.cpu.run(self._check, pushed)
            outcome = await self._keep(pushed, artefact)
        except Exception:
            await pushed.part.drop_soon()
            raise
        self._taken.labels(outcome).inc()
        if outcome == "new":
            log.info("wheels.pushed", file=pushed.filename, by=pushed.by.actor, sha256=pushed.part.kept_digest())
        return outcome

    def _check(self, pushed: Pushed) -> Artefact:
        with pushed.part.open() as stream:
            return check_archive(stream, pushed.filename, self._limits)

    async def _keep(self, pushed: Pushed, artefact: Artefact) -> Outcome:
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._blobs.keep(pushed.part, partial(self._list, pushed, artefact))
            except BeingPushed:
                continue
        return await self._blobs.keep(pushed.part, partial(self._list, pushed, artefact))

    def _list(self, pushed: Pushed, artefact: Artefact, connection: Connection, digest: Digest) -> Outcome:
        """In the transaction."""
        confirm(connection, pushed.principal, pushed.by.now)
        known = locked_wheel(connection, pushed.filename)
        if known is not None and known.digest == digest:
            return "same"
        if known is not None:
            raise NameTaken(
                f"{pushed.filename} is here already, with SHA-256 {known.digest}, and what came has {digest}. The first"
                " build of a name stays: give another one a build number, or another version"
            )
        by, size = pushed.by, pushed.part.written
        version = str(parse_filename(pushed.filename).version)
        wheel = BuiltWheel(pushed.filename, artefact.project, version, digest, size, by.now, by.actor)
        set_wheel(connection, wheel)
        record_by(connection, "wheels", "pushed", pushed.filename, by, {"sha256": digest, "size": size})
        return "new"
