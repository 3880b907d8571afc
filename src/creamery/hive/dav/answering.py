"""How WebDAV says things: errors are XML with the condition (RFC 4918 section 16) and a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from creamery.hive.dav.bodies import UnknownReport, WrongResourceType
from creamery.hive.dav.conditions import BadIf
from creamery.hive.dav.headers import BadHeader, ForeignDestination
from creamery.hive.dav.xml import BadXml, XmlTooLarge, escape
from creamery.hive.errors import (
    BytesMissing,
    ConditionFailed,
    IsFile,
    IsFolder,
    LockConflict,
    LockedBy,
    NotThere,
    OntoItself,
    OverQuota,
    ParentMissing,
    Refused,
    Taken,
    TooManyLocks,
    TooManyProperties,
    WrongToken,
)
from creamery.hive.names import NameRefused, href
from creamery.http import BytesResponse, Problem, printable

XML = (b"content-type", b"application/xml; charset=utf-8")
PRIVATE = (b"cache-control", b"no-store")


class DavProblem(Problem):
    """An error with the condition that failed, such as `<d:no-conflicting-lock/>`."""

    def __init__(
        self,
        status: int,
        detail: str,
        condition: str = "",
        *,
        remedy: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail=detail, remedy=remedy, headers=headers)
        self.condition = condition


def render(problem: Problem) -> BytesResponse:
    """An error as WebDAV's clients read it; Nextcloud's show `s:message`."""
    condition = problem.condition if isinstance(problem, DavProblem) else ""
    said = " ".join(text for text in (problem.detail or problem.title, problem.remedy) if text)
    body = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">'
        f"{condition}<s:message>{escape(printable(said))}</s:message></d:error>\n"
    ).encode()
    given = {"cache-control": "no-store", **{name.lower(): value for name, value in problem.headers.items()}}
    return BytesResponse(body, [XML, (b"x-content-type-options", b"nosniff"), *_lines(given)], problem.status)


_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotThere, 404),
    (ParentMissing, 409),
    (IsFolder, 405),
    (IsFile, 409),
    (Taken, 405),
    (OntoItself, 403),
    (TooManyLocks, 507),
    (TooManyProperties, 507),
    (BytesMissing, 503),
    (ConditionFailed, 412),
    (NameRefused, 400),
    (BadHeader, 400),
    (BadIf, 400),
    (BadXml, 400),
    (XmlTooLarge, 413),
    (ForeignDestination, 502),
    (LockedBy, 423),
    (LockConflict, 423),
    (WrongToken, 409),
    (OverQuota, 507),
    (WrongResourceType, 403),
    (UnknownReport, 403),
)
_CONDITIONS = (
    (WrongToken, "<d:lock-token-matches-request-uri/>"),
    (OverQuota, "<d:quota-not-exceeded/>"),
    (WrongResourceType, "<d:valid-resourcetype/>"),
    (UnknownReport, "<d:supported-report/>"),
)
REFUSALS = (
    Refused,
    NameRefused,
    BadHeader,
    BadIf,
    BadXml,
    XmlTooLarge,
    ForeignDestination,
    WrongResourceType,
    UnknownReport,
)


def problem_of(refusal: Exception, base: str) -> Problem:
    """What stands in the way, as it is answered; `base` is the address of the space's root, without a slash."""
    status = next(status for kind, status in _STATUS if isinstance(refusal, kind))
    if isinstance(refusal, WrongToken) and refusal.is_others:
        return DavProblem(403, str(refusal))
    return DavProblem(status, str(refusal), _condition(refusal, base))


def _condition(refusal: Exception, base: str) -> str:
    """RFC 4918 section 16, RFC 4331 section 6, RFC 5689 section 3.3, RFC 3253 section 3.6."""
    if isinstance(refusal, LockedBy):
        held = escape(base + href(refusal.path, is_folder=False))
        return f"<d:lock-token-submitted><d:href>{held}</d:href></d:lock-token-submitted>"
    if isinstance(refusal, LockConflict):
        roots = "".join(f"<d:href>{escape(base + href(path, is_folder=False))}</d:href>" for path in refusal.paths)
        return f"<d:no-conflicting-lock>{roots}</d:no-conflicting-lock>"
    return next((condition for kind, condition in _CONDITIONS if isinstance(refusal, kind)), "")


def answer(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An answer whose headers say it all."""
    return BytesResponse(b"", [PRIVATE, *_lines(headers or {})], status)


def xml_answer(body: bytes, status: int = 207, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that is a document."""
    return BytesResponse(body, [XML, PRIVATE, *_lines(headers or {})], status)


def _lines(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
