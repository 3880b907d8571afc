"""MKCOL: a folder (RFC 4918 section 9.3)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from creamery.hive.dav.answering import DavProblem, answer
from creamery.hive.dav.asking import Asked
from creamery.hive.dav.tongue import Tongue
from creamery.hive.tree import make_folder
from creamery.http import header_of

_XML = ("application/xml", "text/xml")


async def mkcol(tongue: Tongue, request: Request, asked: Asked) -> Response:
    """A new folder (201)."""
    body = await tongue.xml(request)
    if body:
        said = (header_of(request.scope, b"content-type") or "").partition(";")[0].strip().lower()
        if said not in _XML:
            raise DavProblem(415, "A folder is made without a body, or with one of XML (RFC 5689).")
    await tongue.write(
        lambda connection: make_folder(connection, asked.act, asked.spot.place, asked.check(connection)), gathers=True
    )
    return answer(201)
