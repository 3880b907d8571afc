"""MOVE (RFC 4918 section 9.9): one row, whatever lies below."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from creamery.hive.dav.answering import DavProblem, answer
from creamery.hive.dav.asking import Asked
from creamery.hive.dav.headers import INFINITE, parse_depth, parse_overwrite
from creamery.hive.dav.tongue import Tongue
from creamery.hive.errors import Taken
from creamery.hive.tree import Done
from creamery.hive.tree import move as move_node
from creamery.http import header_of


async def move(tongue: Tongue, request: Request, asked: Asked) -> Response:
    """Another place or name: 201, or 204 where it replaces something."""
    parse_depth(header_of(request.scope, b"depth"), allowed=INFINITE)
    overwrite = parse_overwrite(header_of(request.scope, b"overwrite"))
    destination = header_of(request.scope, b"destination")

    def work(connection: Connection) -> Done:
        target = asked.target(connection, destination)
        return move_node(
            connection,
            asked.act,
            asked.spot.place,
            target.place,
            overwrite=overwrite,
            check=asked.check(connection),
        )

    try:
        done = await tongue.write(work)
    except Taken as error:
        raise DavProblem(412, str(error)) from error
    return answer(201 if done.is_new else 204, {"ETag": tongue.etags.of(asked.spot.space.id, done.node)})
