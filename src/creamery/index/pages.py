"""A project's page on the wire: the index's own, and those of doors above that list more.

The latter are asked for at each use (`no-cache`, answered with 304), for what is built may be wanted in the next
second, and they are different for different clients (`Vary: User-Agent`, RFC 9110 section 12.5.5).
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast
from urllib.parse import parse_qsl

from starlette.types import Scope

from creamery.contract import ProjectName
from creamery.door import Hub
from creamery.http import (
    BytesResponse,
    Problem,
    exchange_of,
    header_of,
    moved,
    negotiate,
    negotiate_encoding,
    note,
)
from creamery.index.adding import Adding, Additions
from creamery.index.answers import Answer, Asked, remember, remembered
from creamery.index.catalog import Catalog
from creamery.index.freshness import Freshness
from creamery.index.project import ListedFile
from creamery.index.replies import ENCODINGS, PAGE_VARY, page_answer, page_headers, project_name
from creamery.index.simple import CONTENT_TYPES, Added, Encoding, Format

_LATEST = "application/vnd.pypi.simple.latest+"
_OFFERS: dict[str, tuple[Format, str]] = {
    CONTENT_TYPES["json"]: ("json", CONTENT_TYPES["json"]),
    f"{_LATEST}json": ("json", CONTENT_TYPES["json"]),
    CONTENT_TYPES["html"]: ("html", CONTENT_TYPES["html"]),
    f"{_LATEST}html": ("html", CONTENT_TYPES["html"]),
    "text/html": ("html", "text/html; charset=utf-8"),
}
_CLIENTS_LIKE = (CONTENT_TYPES["json"], CONTENT_TYPES["html"], "text/html")
_BROWSERS_LIKE = ("text/html", CONTENT_TYPES["json"], CONTENT_TYPES["html"])


class Pages:
    """Projects' pages. Coroutines run on the hub's event loop; whoever asks has let the hub settle (`Hub.settling`)."""

    def __init__(self, hub: Hub, catalog: Catalog, freshness: Freshness, *, is_open: bool) -> None:
        """`is_open`: anyone may read the index."""
        self._catalog = catalog
        self._freshness = freshness
        self._additions = Additions(catalog, hub.pools)
        self._is_open = is_open

    async def answer(self, scope: Scope, written: str, adding: Adding | None = None) -> BytesResponse:
        """A project's page, or the one redirect to its normalised name.

        A warm one costs a look into three dictionaries. Who may read the index has been asked already.

        Args:
            scope: of the request, whose path ends in `/{written}/`.
            written: the project's name, as it was asked for.
            adding: what a door above adds to its own page; None: the page is the index's.

        Raises:
            UnknownProject, UpstreamDown: as `Freshness.view`.
            Problem: 404, nothing can be called so; 406, it comes in no format that was asked for.
        """
        headers = exchange_of(scope).headers
        asked: Asked = (scope["query_string"], headers.get(b"accept"), headers.get(b"accept-encoding"))
        if adding is not None:
            asked = (*asked, adding.way, adding.revision)
        entry = self._catalog.believed(written)
        if entry is not None and (current := self._freshness.current_for(entry)) is not None:
            answer = remembered(entry, asked, current if adding is None else 0)
            if answer is not None:
                self._freshness.count_hit()
                note(scope, cache="hit")
                return answer.to(scope)
        name = project_name(written)
        if name != written:
            return moved(scope, f"../{name}/")
        return (await self._make(scope, name, asked, adding)).to(scope)

    async def published(self, name: ProjectName) -> list[ListedFile]:
        """What the index offers of a project, as a door is told that adds to its page.

        Raises:
            UnknownProject, UpstreamDown: as `Freshness.view`.
        """
        view = await self._freshness.view(name)
        return await self._additions.published(view.entry.project)

    async def _make(self, scope: Scope, name: ProjectName, asked: Asked, adding: Adding | None) -> Answer:
        page_format, content_type = format_of(scope)
        encoding = cast("Encoding", negotiate_encoding(header_of(scope, b"accept-encoding"), ENCODINGS))
        view = await self._freshness.view(name)
        note(scope, cache=view.outcome)
        added: Added = () if adding is None else await self._additions.of(view.entry, adding)
        page, body = await self._catalog.page(view.entry, page_format, view.listing, encoding, added)
        headers, seconds = page_headers(view, is_open=self._is_open), int(view.fresh_for)
        vary, is_true = PAGE_VARY, seconds > 0 or not view.entry.project.owner.is_asked_upstream
        if adding is not None:
            headers = page_headers(replace(view, fresh_for=0.0), is_open=self._is_open and adding.is_open)
            vary, seconds = PAGE_VARY + b", User-Agent", 0
            is_true = is_true and self._additions.holds(view.entry, adding, added)
        answer = page_answer(page, body, encoding, content_type, headers, seconds, vary)
        if is_true and view.listing == "all" and view.entry.pages.get((page_format, "all", added)) is page:
            remember(view.entry, asked, answer)
        return answer


def format_of(scope: Scope) -> tuple[Format, str]:
    """Which format is asked for, and its content type: `?format=` wins over `Accept` (PEP 691).

    Raises:
        Problem: 406, none that there is.
    """
    query: bytes = scope["query_string"]
    if query:
        # PEP 691 writes a content type's plus as it is, which in a form's encoding would stand for a blank.
        asked = dict(parse_qsl(query.replace(b"+", b"%2B").decode("latin-1"))).get("format")
        if asked is not None:
            if asked not in _OFFERS:
                raise _not_acceptable(f"?format={asked}")
            return _OFFERS[asked]
    accept = header_of(scope, b"accept")
    chosen = negotiate(accept, _offers_for((accept or "").lower()))
    if chosen is None:
        raise _not_acceptable(f"Accept: {accept}")
    return _OFFERS[chosen]


def _offers_for(accept: str) -> tuple[str, ...]:
    if _LATEST in accept:  # a wildcard means the versions that are written out
        return tuple(_OFFERS)
    return _CLIENTS_LIKE if "vnd.pypi.simple" in accept else _BROWSERS_LIKE


def _not_acceptable(asked: str) -> Problem:
    return Problem(
        406,
        "Not acceptable",
        f"{asked} names nothing that this page comes in.",
        remedy=f"It comes as {', '.join(_OFFERS)}.",
        headers={"Vary": "Accept"},
    )
