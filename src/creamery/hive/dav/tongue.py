"""What every method of WebDAV needs: the hub, the desk that reads requests, and one way for refusals to be told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from creamery.door import Hub
from creamery.hive.access import NoSuchSpace
from creamery.hive.dav.answering import REFUSALS, DavProblem, problem_of
from creamery.hive.dav.asking import Asked, Desk
from creamery.hive.dav.documents import Documents
from creamery.hive.etags import Etags
from creamery.hive.ledger import Space
from creamery.hive.quotas import usage
from creamery.hive.reserving import Reservations
from creamery.http import receive_bytes
from creamery.limits import MIB

T = TypeVar("T")

DISK_STEP = 64 * MIB


class Tongue:
    """WebDAV over one hub's tree."""

    def __init__(self, hub: Hub, reservations: Reservations) -> None:
        self.hub = hub
        self.desk = Desk(hub)
        self.limits = hub.settings.limits
        self.reservations = reservations
        self.documents = Documents(self.limits.dav_cache_bytes)

    @property
    def etags(self) -> Etags:
        """The hub's."""
        return self.desk.etags

    def available(self, row: Space, quota: int | None) -> int | None:
        """Bytes that a space's files may still have (RFC 4331 section 3); `quota`: of one that has none of its own.

        What the disk has is told in steps, so that answers about folders that have not changed stay the same.
        """
        disk = self.hub.blobs.free_bytes() // DISK_STEP * DISK_STEP
        return usage(row, quota, self.reservations.of(row.id), disk).available

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Ask the database, in a thread, in one snapshot."""
        return await self.hub.pools.database.run(self.hub.database.read, question)

    async def write(self, work: Callable[[Connection], T], *, gathers: bool = False) -> T:
        """Change something, all or nothing; on return it is durable."""
        return await self.hub.committer.commit(work, gathers=gathers)

    async def xml(self, request: Request) -> bytes:
        """The request's body, which is XML and short."""
        return await receive_bytes(request, self.limits.dav_body_bytes, "limits.dav_body_bytes")


Method = Callable[[Tongue, Request, Asked], Awaitable[Response]]
"""One method: what the request asks, answered, or a refusal raised."""


def endpoint(tongue: Tongue, method: Method) -> Callable[[Request], Awaitable[Response]]:
    """The method as a route has it: refusals become errors as WebDAV tells them."""

    async def answer(request: Request) -> Response:
        base = ""
        try:
            asked = await tongue.desk.ask(request.scope)
            base = asked.spot.base
            return await method(tongue, request, asked)
        except REFUSALS as refusal:
            raise problem_of(refusal, base) from refusal
        except NoSuchSpace as refusal:
            raise DavProblem(404, str(refusal)) from refusal

    answer.__doc__ = method.__doc__
    return answer
