"""Any server that has files at addresses, as an archive.

Read first: RFC 9110 sections 13.1.5 (If-Range) and 14 (ranges).

Items are addresses below a configured one, without it or with it. What they hold is written as in a link (`%20`), but
what cannot stand in one is taken for what it is. They stay below: nothing in them leads up, and neither does a redirect
on the same host. Whether a redirect to another host is followed is `egress`'s to decide.

Everything counts as near: a server that brings it from slow media first says 202 or 503 until it has.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from http import HTTPStatus
from urllib.parse import urlsplit

from creamery.carts.archives.archive import ArchiveError, ItemStat
from creamery.carts.archives.asking import Site, http_date, nothing, refuse_if_changed
from creamery.carts.archives.names import address_path, refusal
from creamery.egress import Answer

LONGEST_ETAG = 250
"""One that is longer would have to be remembered for every file, and tells no more than the date does."""

_NO_HEAD = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.FORBIDDEN,  # addresses that are signed for GET alone
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19})", re.ASCII)
_COMPRESSED = (".gz", ".tgz", ".z", ".bz2", ".xz", ".br", ".zst")
"""Files that servers call compressed, and that are what was asked for."""


class Web:
    """Keeps the promise of `Archive`."""

    def __init__(self, site: Site, *, at_once: int, window: int) -> None:
        self.name = site.name
        self.at_once = at_once
        self.window = window
        self._site = site
        base = urlsplit(site.base)
        self._host = base.hostname
        self._path = base.path

    async def stat(self, items: Sequence[str]) -> dict[str, ItemStat | ArchiveError]:
        return await self._site.each(items, self._stat)

    async def stage(self, items: Sequence[str]) -> dict[str, ArchiveError | None]:
        return dict.fromkeys(items)

    @asynccontextmanager
    async def open(self, item: str, offset: int, known: ItemStat | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        stat = known if known is not None else await self._stat(item)
        if offset > stat.size:
            raise refusal(item, f"it ends before byte {offset:,}")
        if offset and offset == stat.size:
            refuse_if_changed(item, stat, await self._stat(item))
            yield nothing()
            return
        url = self._address(item)
        async with self._site.ask(item, "GET", url, headers=_range(offset, stat)) as answer:
            self._check(item, url, answer)
            begin = self._begin(item, answer, offset, stat)
            pieces = self._site.pieces(
                item,
                answer,
                skip=offset - begin,
                left=stat.size - offset,
                look=partial(self._stat, item, has_place=True),
                known=stat,
            )
            async with aclosing(pieces):
                yield pieces

    async def release(self, items: Sequence[str]) -> None:
        pass

    async def cancel(self, items: Sequence[str]) -> None:
        pass

    def _address(self, item: str) -> str:
        """Where an item is.

        Raises:
            ItemRefused: not below the archive's address.
        """
        base = self._site.base
        return base + address_path(item, item.removeprefix(base), encoded=True)

    async def _stat(self, item: str, *, has_place: bool = False) -> ItemStat:
        """HEAD; where a server does not do that, or says no size, the first byte."""
        url = self._address(item)
        async with self._site.ask(item, "HEAD", url, has_place=has_place) as answer:
            if answer.status not in _NO_HEAD:
                self._check(item, url, answer)
                size = _length(answer)
                if size is not None:
                    return _stat_in(answer, size)
        for headers in ({"Range": "bytes=0-0"}, {}):  # of nothing there is no part (status 416)
            async with self._site.ask(item, "GET", url, headers=headers, has_place=has_place) as answer:
                if headers and answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    continue
                self._check(item, url, answer)
                size = _size_behind_range(answer)
                if size is not None:
                    return _stat_in(answer, size)
        raise refusal(item, f"the archive {self.name} does not say how large it is")

    def _check(self, item: str, url: str, answer: Answer) -> None:
        """Does the item itself come, and from where it may?"""
        self._site.check(item, answer)
        found = urlsplit(answer.url)
        if found.hostname == self._host and answer.url != url:  # it was redirected
            if not found.path.startswith(self._path):
                raise refusal(item, f"the archive {self.name} sends elsewhere for it, out of its own address")
            address_path(item, found.path.removeprefix(self._path), encoded=True)
        coding = answer.headers.get("Content-Encoding", "identity").lower()
        if coding != "identity" and not found.path.lower().endswith(_COMPRESSED):
            raise refusal(item, f"the archive {self.name} sends it compressed, which was not asked for")

    def _begin(self, item: str, answer: Answer, offset: int, stat: ItemStat) -> int:
        """At which byte the answer begins: at the one that was asked for, or at the first.

        Raises:
            ItemRefused: at another, or it is of another state of the item.
        """
        size = _size_behind_range(answer)
        refuse_if_changed(item, stat, _stat_in(answer, stat.size if size is None else size, like=stat))
        if answer.status != HTTPStatus.PARTIAL_CONTENT:
            return 0
        said = answer.headers.get("Content-Range", "")
        match = _CONTENT_RANGE.fullmatch(said)
        if match is None or int(match[1]) != offset:
            raise refusal(item, f"the archive {self.name} answers byte {offset:,} with {said!r}")
        return offset


def _range(offset: int, stat: ItemStat) -> dict[str, str]:
    """What is asked: the rest, if it is still the same, else all. By its date that is true to the second only."""
    if not offset:
        return {}
    condition = {"If-Range": stat.version} if stat.version else {}
    return {"Range": f"bytes={offset}-", **condition}


def _stat_in(answer: Answer, size: int, *, like: ItemStat | None = None) -> ItemStat:
    """What an answer says of an item; where it is silent, what was known before (`like`)."""
    version = _version(answer.headers, None if like is None else like.version)
    if like is not None and version and version == like.version:
        return ItemStat(size, like.mtime, is_near=True, version=version)  # dates take as long to read as all the rest
    mtime = http_date(answer.headers.get("Last-Modified", ""))
    if mtime is None:
        mtime = 0 if like is None else like.mtime
    return ItemStat(size, mtime, is_near=True, version=version)


def _version(headers: Mapping[str, str], like: str | None) -> str:
    """The ETag, else the date; compared with what was known, the one that it was.

    A weak ETag counts as a strong one here. A server that is asked for a part on condition of it compares strongly, and
    sends all (RFC 9110 section 13.1.5); so parts are never put together by it.
    """
    etag = headers.get("ETag", "").removeprefix("W/")
    date = headers.get("Last-Modified", "")
    if like and like.startswith('"'):
        return etag
    if not like and etag.startswith('"') and len(etag) <= LONGEST_ETAG:
        return etag
    return "" if http_date(date) is None else date


def _length(answer: Answer) -> int | None:
    said = answer.headers.get("Content-Length", "")
    return int(said) if said.isascii() and said.isdigit() else None


def _size_behind_range(answer: Answer) -> int | None:
    """Of the whole item, out of an answer that has a part of it, or all."""
    if answer.status != HTTPStatus.PARTIAL_CONTENT:
        return _length(answer)
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return int(match[2]) if match else None
