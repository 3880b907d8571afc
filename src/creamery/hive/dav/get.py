"""GET and HEAD."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from creamery.blobs import BlobCorrupt, BlobMissing
from creamery.hive.dav.answering import DavProblem
from creamery.hive.dav.asking import Asked
from creamery.hive.dav.dates import http_date
from creamery.hive.dav.tongue import Tongue
from creamery.hive.errors import NotThere
from creamery.hive.media_types import media_type_of
from creamery.hive.nodes import Node
from creamery.http import BlobResponse

FOLDER_ALLOWS = "COPY, DELETE, LOCK, MKCOL, MOVE, OPTIONS, PROPFIND, PROPPATCH, REPORT, UNLOCK"
SANDBOX = (
    (b"content-security-policy", b"sandbox; default-src 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-disposition", b"attachment"),
    (b"cache-control", b"private, no-cache"),
)
"""What somebody keeps here is never a page of ours."""


async def get(tongue: Tongue, _: Request, asked: Asked) -> Response:
    """A file's bytes, with ranges and conditions; a folder has none (405)."""
    there = await tongue.read(lambda connection: found(connection, asked))
    if there.is_folder:
        raise DavProblem(
            405,
            f"{asked.spot.place} is a folder; a folder is listed with PROPFIND.",
            headers={"Allow": FOLDER_ALLOWS},
        )
    if there.digest is None or asked.spot.path.is_folder:
        raise NotThere(str(asked.spot.place))
    blobs = tongue.hub.blobs
    try:
        extent = await blobs.prepare(there.digest, there.size)
    except (BlobMissing, BlobCorrupt) as error:
        raise DavProblem(
            503,
            f"The bytes of {asked.spot.place} cannot be read now: {error}.",
            remedy="Whoever runs the hub finds them with `creamery fsck`; older versions may be well.",
        ) from error
    blobs.used(there.digest)
    return BlobResponse(
        extent,
        etag=tongue.etags.of(asked.spot.space.id, there),
        media_type=media_type_of(there.name),
        headers=(*SANDBOX, (b"last-modified", http_date(there.mtime).encode())),
        verified=blobs.check_of(there.digest),
    )


def found(connection: Connection, asked: Asked) -> Node:
    """What a request names, for reading it, where its `If` header holds.

    Raises:
        NotThere: nothing.
        ConditionFailed: it does not hold.
    """
    _, there = asked.spot.find(connection)
    asked.check_condition(connection)
    if there.node is None:
        raise NotThere(str(asked.spot.place))
    return there.node
