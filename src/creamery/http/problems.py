"""Errors as the wire has them: problem documents (RFC 9457), as JSON, as a page or as text, by what is accepted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from creamery.http.negotiation import negotiate

PROBLEM_JSON = "application/problem+json"
MAX_TEXT = 500
MAX_PHRASE = 400

_OFFERS = (PROBLEM_JSON, "application/json", "text/html", "text/plain")
_OFFERS_IN_WORDS = ("text/plain", PROBLEM_JSON)
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{status} {title}</title></head>
<body><h1>{title}</h1>{paragraphs}</body></html>
"""


Renderer = Callable[["Problem"], Response]
"""How an error looks in a protocol that has a form of its own for it."""


class Problem(Exception):
    """An answer that is an error: what was asked, what stands in the way, what to do next.

    Attributes:
        status: HTTP's number.
        title: the same for every occurrence of this kind of problem.
        detail: what was asked and what stands in the way. May quote the client: control characters never get out.
        remedy: what to do next.
        headers: further headers of the answer, such as `Retry-After`.
        in_status_line: it is told there too, whatever the route: pip and uv show no more of it.
    """

    def __init__(
        self,
        status: int,
        title: str | None = None,
        detail: str = "",
        *,
        remedy: str = "",
        headers: Mapping[str, str] | None = None,
        in_status_line: bool = False,
    ) -> None:
        self.status = status
        self.title = title or HTTPStatus(status).phrase
        self.detail = detail
        self.remedy = remedy
        self.headers = dict(headers or {})
        self.in_status_line = in_status_line
        super().__init__(f"{status} {self.title}: {detail}")


def saying(
    status: int, title: str, remedy: str = "", *, headers: Mapping[str, str] | None = None
) -> Callable[[Any], Problem]:
    """What makes a problem of an error whose text may be shown."""

    def problem(error: Exception) -> Problem:
        kept_by_nobody = {"Cache-Control": "no-store", **(headers or {})}
        return Problem(status, title, _sentence(str(error)), remedy=remedy, headers=kept_by_nobody)

    return problem


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def render_problem(problem: Problem, accept: str | None, request_id: str = "", *, in_words: bool = False) -> Response:
    """The problem in the form that `Accept` likes best; where it likes none, as a problem document all the same.

    `in_words`: as text that says the reason and nothing else, unless a problem document is asked for by its name.
    """
    title, detail, remedy = (printable(text) for text in (problem.title, problem.detail, problem.remedy))
    chosen = (negotiate(accept, _OFFERS_IN_WORDS) or "text/plain") if in_words else negotiate(accept, _OFFERS)
    if chosen == "text/html":
        paragraphs = "".join(f"<p>{escape(text)}</p>" for text in (detail, remedy) if text)
        body = _PAGE.format(status=problem.status, title=escape(title), paragraphs=paragraphs).encode()
        media_type = "text/html; charset=utf-8"
    elif chosen == "text/plain":
        first = "" if in_words and detail else f"{problem.status} {title}"
        body = ("\n".join(text for text in (first, detail, remedy) if text) + "\n").encode()
        media_type = "text/plain; charset=utf-8"
    else:
        document = {"type": "about:blank", "title": title, "status": problem.status}
        document |= {"detail": detail} if detail else {}
        document |= {"remedy": remedy} if remedy else {}
        document |= {"instance": f"urn:request:{request_id}"} if request_id else {}
        body = orjson.dumps(document)
        media_type = PROBLEM_JSON
    headers = {
        "content-type": media_type,
        "cache-control": "no-store",
        "vary": "Accept",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        **{name.lower(): value for name, value in problem.headers.items()},
    }
    return Response(body, problem.status, headers)


def reason_phrase(problem: Problem) -> bytes:
    """The problem in the status line, which is all that some clients show (RFC 9112 section 4): printable ASCII."""
    said = " ".join(printable(text) for text in (problem.detail or problem.title, problem.remedy) if text)
    shown = said if len(said) <= MAX_PHRASE else said[: MAX_PHRASE - 3] + "..."
    return shown.encode("ascii", "replace")


def printable(text: str) -> str:
    """`text` on one line, without control characters or halves of surrogates, and not endlessly long."""
    shown = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    if shown.isprintable():
        return shown
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in shown)
