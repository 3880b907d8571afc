"""`POST /u/`: the legacy upload API, as twine, uv, flit, hatch, poetry, pdm and `setup.py upload` speak it.

Nobody standardised it; PyPI documents it. The form's metadata is passed over: the file is believed. Refusals are made
to be read in what the clients show (`in_words`): mostly the phrase of the status line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from creamery.blobs import Blobs, Part
from creamery.clock import Clock
from creamery.http import BytesResponse, Form, Needs, Problem, Route, by_of, principal_of, receive_form, saying
from creamery.index.access import UPLOAD
from creamery.index.archives import BadArchive
from creamery.index.uploads import FileExists, NameUndecided, Sent, UploadRefused, Uploads
from creamery.limits import Limits

DIGESTS = {"sha256_digest": "sha256", "md5_digest": "md5", "blake2_256_digest": "blake2_256"}
"""The form's fields that say what the file hashes to."""

WANTED = frozenset({":action", "protocol_version", *DIGESTS})
RETRY_SECONDS = "30"

_DONE = ((b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"))


class UploadRoutes:
    """The endpoint, over the rules of uploading."""

    def __init__(self, uploads: Uploads, blobs: Blobs, clock: Clock, limits: Limits) -> None:
        self._uploads = uploads
        self._blobs = blobs
        self._clock = clock
        self._limits = limits

    def table(self) -> tuple[Route, ...]:
        """What is answered, and who may ask."""
        needs = Needs(UPLOAD, "project", is_named_later=True)
        return tuple(Route(("POST",), path, self.upload, needs, in_words=True) for path in ("/u/", "/u"))

    async def upload(self, request: Request) -> Response:
        """A wheel or an sdist, which stands on its project's page when this is answered."""

        def begin(filename: str, at_most: int | None) -> Part:
            return self._blobs.begin(None, f"upload of {filename}", at_most=at_most)

        form = await receive_form(request, file_field="content", begin=begin, limits=self._limits, wanted=WANTED)
        action = form.one(":action") or "file_upload"
        if action == "submit" and form.file is None:
            return BytesResponse(b"OK\nNothing needs to be registered: the first upload claims its name.\n", _DONE)
        if action != "file_upload":
            raise Problem(400, "No such action", f"This index knows no action {action!r}; file_upload it does.")
        sent = self._sent(request, form)
        listed = await self._uploads.take(sent)
        withheld = self._uploads.why_withheld(listed.name, sent.filename)
        return BytesResponse(b"OK\n" if withheld is None else _kept(sent.filename, withheld), _DONE)

    def _sent(self, request: Request, form: Form) -> Sent:
        version = form.one("protocol_version")
        if version not in {None, "1"}:
            raise Problem(400, "Unknown protocol", f"The form has protocol_version {version!r}; this index speaks 1.")
        if form.file is None:
            raise Problem(400, "No file", "The form has no file.", remedy="Send it as the field `content`.")
        digests = {name: value for field, name in DIGESTS.items() if (value := form.one(field))}
        principal, by = principal_of(request), by_of(request.scope, self._clock.now())
        return Sent(form.file.filename, form.file.part, digests, principal, by)


def _kept(filename: str, withheld: str) -> bytes:
    """It is no refusal: the file is here, and comes out where the rules change."""
    said = f"OK\n{filename} is kept, and is not served: {withheld}. Ask whoever runs this hub to allow it.\n"
    return said.encode()


def refusals() -> dict[type[Exception], Callable[[Any], Problem]]:
    """What the errors of uploading look like on the wire."""
    return {
        UploadRefused: saying(400, "Upload refused"),
        FileExists: saying(400, "File already exists"),
        BadArchive: saying(400, "Bad archive"),
        NameUndecided: saying(503, "Name undecided", headers={"Retry-After": RETRY_SECONDS}),
    }
