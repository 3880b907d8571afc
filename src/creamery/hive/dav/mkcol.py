"""MKCOL: a folder (RFC 4918 section 9.3), and properties with it (RFC 5689)."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from creamery.hive.dav.answering import DavProblem, answer, xml_answer
from creamery.hive.dav.asking import Asked
from creamery.hive.dav.bodies import parse_mkcol
from creamery.hive.dav.proppatch import Reading, read, told
from creamery.hive.dav.tongue import Tongue
from creamery.hive.properties import patch
from creamery.hive.tree import make_folder
from creamery.http import header_of

_XML = ("application/xml", "text/xml")
_ANSWER = '<?xml version="1.0" encoding="utf-8"?>\n<d:mkcol-response xmlns:d="DAV:">{}</d:mkcol-response>\n'


async def mkcol(tongue: Tongue, request: Request, asked: Asked) -> Response:
    """A new folder (201)."""
    body = await tongue.xml(request)
    if body:
        said = (header_of(request.scope, b"content-type") or "").partition(";")[0].strip().lower()
        if said not in _XML:
            raise DavProblem(415, "A folder is made without a body, or with one of XML (RFC 5689).")
    reading = read(parse_mkcol(body, tongue.limits))
    if reading.patch is None:
        return _told(424, reading)
    await tongue.write(lambda connection: _make(tongue, asked, reading, connection), gathers=not reading.statuses)
    return _told(201, reading) if reading.statuses else answer(201)


def _make(tongue: Tongue, asked: Asked, reading: Reading, connection: Connection) -> None:
    make_folder(connection, asked.act, asked.spot.place, asked.check(connection))
    if reading.statuses and reading.patch is not None:
        patch(connection, asked.act, asked.spot.place, reading.patch, tongue.limits.dav_properties)


def _told(status: int, reading: Reading) -> Response:
    return xml_answer(_ANSWER.format(told(reading.statuses)).encode(), status)
