"""What the index's endpoints have in common on the wire: names out of addresses, headers, redirects, refusals."""

from __future__ import annotations

from creamery.contract import InvalidName, ProjectName, check_filename, normalize
from creamery.http import Problem, RawHeaders
from creamery.index.answers import Answer
from creamery.index.freshness import View
from creamery.index.simple import Encoding, Page

ENCODINGS = ("zstd", "gzip", "identity")
PAGE_VARY = b"Accept, Accept-Encoding"
SERIAL = b"x-pypi-last-serial"
"""The header by which mirrors know how new a page is; PyPI's, and bandersnatch takes no page without it."""


def closed(headers: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """For one reader alone (RFC 9111 section 5.2.2.7)."""
    return tuple(
        (name, b"private, " + value.removeprefix(b"public, ")) if name == b"cache-control" else (name, value)
        for name, value in headers
    )


def project_name(written: str) -> ProjectName:
    """A project's name out of an address.

    Raises:
        Problem: 404, nothing can be called so.
    """
    try:
        return normalize(written)
    except InvalidName as error:
        raise not_found(f"{error}.", "Check its spelling.") from error


def filename_in(written: str) -> str:
    """A file's name out of an address.

    Raises:
        Problem: 404, as above.
    """
    try:
        return check_filename(written)
    except InvalidName as error:
        raise not_found(f"{error}.", "Take the address from the project's page.") from error


def not_found(detail: str, remedy: str) -> Problem:
    """There is no such thing, or not for whoever asks."""
    return Problem(404, "Not found", detail, remedy=remedy)


def page_headers(view: View, *, is_open: bool) -> list[tuple[bytes, bytes]]:
    """How long a page may be taken as current, and by whom."""
    headers = _freshness_headers(view)
    return headers if is_open else list(closed(tuple(headers)))


def _freshness_headers(view: View) -> list[tuple[bytes, bytes]]:
    """How long the page may be taken as current, and where it comes from (RFC 9211)."""
    seconds = int(view.fresh_for)
    control = b"max-age=%d" % seconds if seconds and view.outcome != "stale" else b"no-cache"
    headers = [(b"cache-control", control)]
    if view.outcome == "stale":
        reason = "".join(
            character for character in view.reason or "" if " " <= character <= "~" and character not in '"\\'
        )
        headers.append((b"cache-status", f'creamery; hit; fwd=stale; detail="{reason[:200]}"'.encode("ascii")))
    return headers


def page_answer(
    page: Page,
    body: bytes,
    encoding: Encoding,
    content_type: str,
    headers: RawHeaders,
    seconds: int = 0,
    vary: bytes = PAGE_VARY,
) -> Answer:
    """A page with all its headers; also a 304 has the serial."""
    content = [(b"content-type", content_type.encode("ascii"))]
    if encoding != "identity":
        content.append((b"content-encoding", encoding.encode("ascii")))
    serial = [] if page.serial is None else [(SERIAL, b"%d" % page.serial)]
    shared = [*headers, (b"vary", vary), *serial]
    return Answer.make(body, shared, content, page.etag(encoding), seconds)
