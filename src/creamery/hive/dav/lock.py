"""LOCK and UNLOCK (RFC 4918 sections 9.10 and 9.11)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from creamery.contract import Digest
from creamery.hive import locking
from creamery.hive.dav.answering import DavProblem, answer, xml_answer
from creamery.hive.dav.asking import Asked
from creamery.hive.dav.bodies import parse_lockinfo
from creamery.hive.dav.headers import BadHeader, parse_depth, parse_lock_token, parse_timeout
from creamery.hive.dav.lockshow import element
from creamery.hive.dav.put import ALGORITHMS
from creamery.hive.dav.tongue import Tongue
from creamery.hive.errors import NotThere
from creamery.hive.locks import Lock
from creamery.hive.nodes import Node
from creamery.hive.tree import Content, put
from creamery.http import header_of

_DOCUMENT = (
    '<?xml version="1.0" encoding="utf-8"?>\n<d:prop xmlns:d="DAV:"><d:lockdiscovery>{}</d:lockdiscovery></d:prop>\n'
)


async def lock(tongue: Tongue, request: Request, asked: Asked) -> Response:
    """A lock, new (200, or 201 where an empty file was made for it) or renewed."""
    scope = request.scope
    wanted = parse_lockinfo(await tongue.xml(request), tongue.limits)
    seconds = parse_timeout(header_of(scope, b"timeout"), tongue.limits)
    depth = parse_depth(header_of(scope, b"depth"), allowed=("0", "infinity"))
    if wanted is None:
        return await _renew(tongue, asked, seconds)
    wish = locking.Wish(wanted.exclusive, depth == "infinity", wanted.owner, seconds)
    try:
        held, shown = await tongue.write(lambda connection: _take(tongue, asked, wish, connection))
        status = 200
    except NotThere:
        held, shown = await _take_on_nothing(tongue, asked, wish)
        status = 201
    return _told(status, shown, {"lock-token": f"<{held.token}>"})


async def unlock(tongue: Tongue, request: Request, asked: Asked) -> Response:
    """The lock ends (204), at anything that it covers."""
    token = parse_lock_token(header_of(request.scope, b"lock-token"))
    await tongue.write(lambda connection: locking.release(connection, asked.act, asked.spot.place, token))
    return answer(204)


async def _renew(tongue: Tongue, asked: Asked, seconds: int) -> Response:
    if asked.condition is None:
        raise BadHeader("If", "A LOCK without a body renews a lock, and names it: If: (<urn:uuid:...>)")

    def work(connection: Connection) -> str:
        return _elements(connection, asked, locking.renew(connection, asked.act, asked.spot.place, seconds))

    return _told(200, await tongue.write(work), {})


def _take(tongue: Tongue, asked: Asked, wish: locking.Wish, connection: Connection) -> tuple[Lock, str]:
    place = asked.spot.place
    held, there = locking.take(connection, asked.act, place, wish, tongue.limits.dav_locks, asked.check(connection))
    _refuse_file_as_folder(asked, there)
    return held, _elements(connection, asked, [held])


async def _take_on_nothing(tongue: Tongue, asked: Asked, wish: locking.Wish) -> tuple[Lock, str]:
    """An empty file and its lock, in one transaction; clients decide by the 201 how they go on (davfs2)."""
    if asked.spot.path.is_folder:
        raise DavProblem(409, f"{asked.spot.place}/ is not there, and LOCK makes no folders: make it with MKCOL.")
    blobs = tongue.hub.blobs
    part = blobs.begin(0, f"hive {asked.spot.space.id} lock", algorithms=ALGORITHMS)
    await part.finish(None)
    digests = part.other_digests

    def reference(connection: Connection, digest: Digest) -> tuple[Lock, str]:
        put(connection, asked.act, asked.spot.place, Content(digest, 0), asked.check(connection))
        blobs.note_digests(connection, digest, digests)
        held, _ = locking.take(connection, asked.act, asked.spot.place, wish, tongue.limits.dav_locks)
        return held, _elements(connection, asked, [held])

    return await blobs.keep(part, reference)


def _refuse_file_as_folder(asked: Asked, there: Node) -> None:
    if there.is_file and asked.spot.path.is_folder:
        raise NotThere(str(asked.spot.place))


def _elements(connection: Connection, asked: Asked, held: Sequence[Lock]) -> str:
    return "".join(element(connection, each, asked.spot.base, asked.act.now) for each in held)


def _told(status: int, elements: str, headers: dict[str, str]) -> Response:
    return xml_answer(_DOCUMENT.format(elements).encode(), status, headers)
