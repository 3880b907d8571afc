"""DELETE: into the trash, whatever lies below (RFC 4918 section 9.6)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from creamery.hive.dav.answering import answer
from creamery.hive.dav.asking import Asked
from creamery.hive.dav.headers import INFINITE, parse_depth
from creamery.hive.dav.tongue import Tongue
from creamery.hive.tree import delete as delete_node
from creamery.http import header_of


async def delete(tongue: Tongue, request: Request, asked: Asked) -> Response:
    """A file, or a folder with everything below, all or nothing (204)."""
    parse_depth(header_of(request.scope, b"depth"), allowed=INFINITE)
    await tongue.write(lambda connection: delete_node(connection, asked.act, asked.spot.place, asked.check(connection)))
    return answer(204)
