"""Forms as clients send them, and an address that takes them: what came of a form is its answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from creamery.blobs import Part
from creamery.blobs.incoming import Incoming
from creamery.blobs.reservations import Reservations
from creamery.clock import SystemClock
from creamery.http import PUBLIC, BytesResponse, Problem, Route, exchange_of, receive_form

BOUNDARY = "f0d1c2b3a4958677"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"

Field = tuple[str, str | bytes] | tuple[str, str | bytes, str]
"""A field's name and value; of a file, its name too."""


def part_of(field: Field, boundary: str = BOUNDARY) -> bytes:
    """One part, with the boundary before it and the end of the line behind."""
    value = field[1].encode() if isinstance(field[1], str) else field[1]
    file = f'; filename="{field[2]}"\r\nContent-Type: application/octet-stream' if len(field) == 3 else ""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field[0]}"{file}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def form_of(fields: Iterable[Field], boundary: str = BOUNDARY) -> bytes:
    """A whole body."""
    return b"".join(part_of(field, boundary) for field in fields) + f"--{boundary}--\r\n".encode()


def request_of(body: bytes, *, content_type: str | None = TYPE, path: str = "/upload", more: str = "") -> bytes:
    """A whole request with this body."""
    said = f"Content-Type: {content_type}\r\n" if content_type is not None else ""
    head = f"POST {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{said}{more}\r\n"
    return head.encode() + body


def request_in_chunks(pieces: Sequence[bytes]) -> bytes:
    """The same, its length not announced."""
    head = f"POST /upload HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Type: {TYPE}\r\n"
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


class Takes:
    """The address.

    Attributes:
        folder: where the part files lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()

    async def upload(self, request: Request) -> Response:
        hub = exchange_of(request).hub
        incoming = Incoming(
            self.folder, Reservations(self.folder, hub.limits, SystemClock()), hub.limits, hub.pools.disk
        )

        def begin(filename: str, at_most: int | None) -> Part:
            if filename == "unwanted":
                raise Problem(409, "Unwanted")
            return incoming.begin(None, filename, at_most)

        form = await receive_form(request, file_field="content", begin=begin, limits=hub.limits)
        found: dict[str, Any] = {"fields": {name: list(values) for name, values in form.fields.items()}}
        if form.file is not None:
            part = form.file.part
            found |= {"filename": form.file.filename, "size": part.written, "sha256": part.digest}
        return BytesResponse(orjson.dumps(found), [(b"content-type", b"application/json")])

    async def refuse(self, _: Request) -> Response:
        raise Problem(403, detail="Not you.")

    async def strange(self, request: Request) -> Response:
        raise Problem(400, "Strange", (await request.body()).decode())

    def routes(self) -> list[Route]:
        """Where it is."""
        return [
            Route(("POST",), "/upload", self.upload, PUBLIC),
            Route(("POST",), "/in-words", self.upload, PUBLIC, in_words=True),
            Route(("POST",), "/strange", self.strange, PUBLIC, in_words=True),
            Route(("POST",), "/refuse", self.refuse, PUBLIC),
        ]

    def left(self) -> list[str]:
        """The part files that are there."""
        return [path.name for path in self.folder.iterdir()]
