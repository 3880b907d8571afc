"""OPTIONS: what is spoken here, which clients ask before they sign in (RFC 4918 section 10.1)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from creamery.hive.dav.answering import answer

METHODS = (
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LOCK",
    "MKCOL",
    "MOVE",
    "OPTIONS",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "REPORT",
    "UNLOCK",
)
CLASSES = {"DAV": "1, 2, 3, extended-mkcol, sync-collection", "MS-Author-Via": "DAV", "Allow": ", ".join(METHODS)}


async def options(_: Request) -> Response:
    """The classes of WebDAV, and its methods."""
    return answer(200, {**CLASSES, "Accept-Ranges": "bytes"})
