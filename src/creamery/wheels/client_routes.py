"""What `creamery install` asks beside keys: which names are the hub's own, and what of an installation was built.

| path | answer |
|---|---|
| `/v1/names` | claimed names and reserved patterns, which no other index may be asked for |
| `/v1/known` | POST: which of these versions have built wheels that pages list |
"""

from __future__ import annotations

from typing import Any

import orjson
from packaging.version import InvalidVersion, Version
from starlette.requests import Request
from starlette.responses import Response

from creamery.contract import InvalidName, digest_of, normalize
from creamery.door import Hub
from creamery.http import BytesResponse, Needs, Problem, Route, principal_of, receive_bytes
from creamery.index import IndexDoor
from creamery.wheels import tables
from creamery.wheels.access import READ
from creamery.wheels.rings import Rings

VERSION_BYTES = 600
"""A name and a version in JSON, with what stands around them."""
_JSON = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


class ClientRoutes:
    """The endpoints, over the hub's own store and its index."""

    def __init__(self, hub: Hub, packages: IndexDoor, rings: Rings) -> None:
        self._packages = packages
        self._rings = rings
        self._database = hub.database
        self._limits = hub.settings.limits
        self._pools = hub.pools

    def table(self) -> tuple[Route, ...]:
        """What is answered, and who may ask."""
        read = Needs(READ, "ring", is_personal=True)
        return (
            Route(("GET",), "/w/v1/names", self.names, read),
            Route(("POST",), "/w/v1/known", self.known, read),
        )

    async def names(self, request: Request) -> Response:
        """Names that are the hub's own: `claimed`, and patterns `reserved`; `?state=` of before: if they changed."""
        claimed, reserved = [], []
        if self._packages.files.may_be_read_by(principal_of(request)):
            found = await self._packages.files.own_names()
            claimed, reserved = list(found[0]), list(found[1])
        told = {"claimed": claimed, "reserved": reserved}
        state = digest_of(orjson.dumps(told))
        return _json({"state": state} if request.query_params.get("state") == state else {"state": state, **told})

    async def known(self, request: Request) -> Response:
        """Which of `{"versions": [[project, version], ...]}` have built wheels that pages list, and what they saved."""
        most = self._limits.wheel_keys
        versions = _versions(await receive_bytes(request, most * VERSION_BYTES, "limits.wheel_keys"), most)
        sight = self._rings.seen_by(request.scope)
        entries = await self._pools.database.run(
            self._database.read, lambda connection: tables.listed_of(connection, versions, sight)
        )
        wheels = [
            {
                "project": entry.file.project,
                "version": entry.file.version,
                "filename": entry.listed_name,
                "sha256": entry.listed_digest,
                "key": entry.key,
                "ring": entry.ring,
                "seconds": entry.millis / 1_000,
            }
            for entry in entries
        ]
        return _json({"wheels": wheels})


def _json(value: object) -> Response:
    return BytesResponse(orjson.dumps(value), _JSON)


def _versions(body: bytes, most: int) -> list[tuple[str, str]]:
    try:
        said: Any = orjson.loads(body)
        pairs = [(str(normalize(project)), str(Version(version))) for project, version in said["versions"]]
    except (orjson.JSONDecodeError, InvalidName, InvalidVersion, KeyError, TypeError, ValueError) as error:
        remedy = 'Send {"versions": [["flask", "3.1.0"], ...]}.'
        raise Problem(400, "Bad request", f"The body cannot be read: {error}.", remedy=remedy) from error
    if len(pairs) > most:
        detail = f"There are more than {most} versions (limits.wheel_keys)."
        raise Problem(413, "Too many versions", detail, remedy="Ask twice.")
    return pairs
