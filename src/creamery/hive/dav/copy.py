"""COPY (RFC 4918 section 9.8): no byte moves."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from creamery.hive.copying import copy as copy_node
from creamery.hive.dav.answering import DavProblem, answer
from creamery.hive.dav.asking import Asked
from creamery.hive.dav.headers import parse_depth, parse_overwrite
from creamery.hive.dav.tongue import Tongue
from creamery.hive.errors import Taken
from creamery.hive.tree import Done
from creamery.http import header_of


async def copy(tongue: Tongue, request: Request, asked: Asked) -> Response:
    """The same once more at another place: 201, or 204 where it replaces something; `Depth: 0`: a folder alone."""
    depth = parse_depth(header_of(request.scope, b"depth"), allowed=("0", "infinity"))
    overwrite = parse_overwrite(header_of(request.scope, b"overwrite"))
    destination = header_of(request.scope, b"destination")

    def work(connection: Connection) -> Done:
        target = asked.target(connection, destination)
        return copy_node(
            connection,
            asked.act,
            asked.spot.place,
            target.place,
            tongue.hub.blobs.refer_all,
            overwrite=overwrite,
            is_deep=depth == "infinity",
            check=asked.check(connection),
        )

    try:
        done = await tongue.write(work)
    except Taken as error:
        raise DavProblem(412, str(error)) from error
    return answer(201 if done.is_new else 204)
