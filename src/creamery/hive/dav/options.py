"""OPTIONS: what is spoken here, which clients ask before they sign in (RFC 4918 section 10.1)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from creamery.hive.dav.answering import answer
from creamery.http import header_of

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


_HEADERS = (
    "authorization, brief, content-type, depth, destination, if, if-match, if-none-match, lock-token, overwrite,"
    " prefer, range, timeout, x-oc-mtime, x-requested-with"
)


async def options(request: Request) -> Response:
    """The classes of WebDAV, and its methods; to a browser that asks first, what a page's script may send."""
    if header_of(request.scope, b"access-control-request-method") is None:
        return answer(200, {**CLASSES, "Accept-Ranges": "bytes"})
    allowed = {"Access-Control-Allow-Methods": ", ".join(METHODS), "Access-Control-Allow-Headers": _HEADERS}
    return answer(204, {**allowed, "Access-Control-Max-Age": "3600"})
