"""An archive that speaks the Pacifica Archive Interface: HEAD tells of a file, POST stages it, GET reads it.

What the real one (pacifica-archiveinterface 0.4) does, and this has to live with:
- A file that is missing is status 500, as is every other failure; HEAD has no body that would tell them apart.
- Sizes and times of HEAD are headers of its own, `Last-Modified` a float.
- `?byte_range=A-B` is answered by the bytes from A up to B, B excluded, and by nothing that says so.
- All threads of one process share one open file: two requests at once close, or read, each other's. Hence the default
  of `at_once` is 1; only one that runs as several processes of one thread each (uWSGI) may be asked more at once.
- An id with `../` in it, encoded twice, reads any file of its machine. Such ids never get there (`names.py`).
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from creamery.carts.archives.archive import ArchiveError, ItemStat
from creamery.carts.archives.asking import Site, http_date, nothing, refuse_if_changed
from creamery.carts.archives.names import address_path, refusal, shown
from creamery.egress import Answer

T = TypeVar("T")

_MESSAGES = ("X-Pacifica-Message", "X-Pacifica-Messsage")  # three s: the original's
_MOST_SAID = 64 << 10
_SAID_SECONDS = 10.0
_NO_SUCH_FILE = b"No such file"


class Pacifica:
    """Keeps the promise of `Archive`."""

    def __init__(self, site: Site, *, at_once: int, window: int) -> None:
        self.name = site.name
        self.at_once = at_once
        self.window = window
        self._site = site
        self._knows_ranges: bool | None = None

    async def stat(self, items: Sequence[str]) -> dict[str, ItemStat | ArchiveError]:
        return await self._site.each(items, self._stat)

    async def stage(self, items: Sequence[str]) -> dict[str, ArchiveError | None]:
        return await self._site.each(items, self._stage)

    @asynccontextmanager
    async def open(self, item: str, offset: int, known: ItemStat | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        stat = known if known is not None else await self._stat(item)
        if offset > stat.size:
            raise refusal(item, f"it ends before byte {offset:,}")
        if offset and known is not None:
            refuse_if_changed(item, known, await self._stat(item))
        if offset and offset == stat.size:
            yield nothing()
            return
        is_range = offset > 0 and await self._answers_ranges(item, stat.size)
        url = self._address(item) + (f"?byte_range={offset}-{stat.size}" if is_range else "")
        async with self._site.ask(item, "GET", url) as answer:
            await self._check(item, answer)
            pieces = self._site.pieces(
                item,
                answer,
                skip=0 if is_range else offset,
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
        return self._site.base + address_path(item).replace("/", "%2F")  # an id is one part of the path

    async def _stat(self, item: str, *, has_place: bool = False) -> ItemStat:
        """HEAD; a failure is looked at twice, for it may have been another request's doing."""
        url = self._address(item)
        for _ in range(2):
            async with self._site.ask(item, "HEAD", url, has_place=has_place) as answer:
                if answer.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                    self._site.check(item, answer)
                    return self._stat_in(item, answer)
        raise refusal(item, f"the archive {self.name} does not have it, or failed (status 500)")

    async def _stage(self, item: str) -> None:
        url, seconds = self._address(item), self._site.limits.stage_seconds
        async with self._site.ask(item, "POST", url, body=b"", silent_seconds=seconds) as answer:
            await self._check(item, answer)

    async def _check(self, item: str, answer: Answer) -> None:
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            said = await answer.body(_MOST_SAID, _SAID_SECONDS)  # with the paths of its machine: not to be told
            if _NO_SUCH_FILE in said:
                raise refusal(item, "it is not there")
            raise refusal(item, f"the archive {self.name} does not have it, or failed (status 500)")
        self._site.check(item, answer)

    async def _answers_ranges(self, item: str, size: int) -> bool:
        """Asked once, for the last byte of an item: does just that one come?"""
        if self._knows_ranges is None:
            async with self._site.ask(item, "GET", f"{self._address(item)}?byte_range={size - 1}-{size}") as answer:
                await self._check(item, answer)
                came = 0
                async for piece in answer.chunks():
                    came += len(piece)
                    if came > 1:
                        break
                self._knows_ranges = came == 1
        return self._knows_ranges

    def _stat_in(self, item: str, answer: Answer) -> ItemStat:
        size = self._header(item, answer, "X-Content-Length", _size)
        mtime = self._header(item, answer, "Last-Modified", _seconds)
        media = self._header(item, answer, "X-Pacifica-File-Storage-Media", str.lower)
        if media not in {"disk", "tape"}:
            message = next((answer.headers[name] for name in _MESSAGES if name in answer.headers), "")
            said = f"storage media {media!r}" + (f", {shown(message)}" if message else "")
            raise refusal(item, f"the archive {self.name} cannot read it ({said})")
        return ItemStat(size, mtime, is_near=media == "disk", version=answer.headers["Last-Modified"])

    def _header(self, item: str, answer: Answer, name: str, read: Callable[[str], T | None]) -> T:
        """What a header says.

        Raises:
            ItemRefused: it is missing, or says nothing that could be read.
        """
        text = answer.headers.get(name)
        if text is None:
            raise refusal(item, f"the archive {self.name} does not say {name}")
        value = read(text)
        if value is None:
            raise refusal(item, f"the archive {self.name} says {name}: {shown(text)}")
        return value


def _size(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < len(str(1 << 63)) else None


def _seconds(text: str) -> int | None:
    """A float, as the original has it, or a date, as everybody else."""
    try:
        seconds = float(text)
    except ValueError:
        return http_date(text)
    return math.floor(seconds) if abs(seconds) < 1 << 53 else None
