"""The hub's own index as an archive. Items are `PROJECT/FILENAME`, as the addresses of files below `/i/`.

What is here is taken as it lies in the hub's store; what is not comes by the flight that installers follow too, and
stays in the index as whatever they fetch does. What the index withholds it withholds here, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

from creamery.accounts import Principal
from creamery.blobs import BlobError, Blobs
from creamery.carts.archives.archive import ArchiveDown, ArchiveError, ItemStat, Listed
from creamery.carts.archives.asking import refuse_if_changed
from creamery.carts.archives.names import refusal
from creamery.contract import Digest
from creamery.index import Files, NotHad, NotNow, PackageFile
from creamery.threads import Pool

T = TypeVar("T")

WINDOW = 500


class Index:
    """Keeps the promises of `Archive`, `InHub` and `Listing`."""

    def __init__(self, name: str, packages: Files, blobs: Blobs, disk: Pool, *, at_once: int) -> None:
        self.name = name
        self.at_once = at_once
        self.window = WINDOW
        self._packages = packages
        self._blobs = blobs
        self._disk = disk

    def may_be_read_by(self, principal: Principal) -> bool:
        return self._packages.may_be_read_by(principal)

    async def stat(self, items: Sequence[str]) -> dict[str, ItemStat | ArchiveError]:
        async def look(item: str) -> ItemStat | ArchiveError:
            try:
                return await self._stat(item)
            except ArchiveError as error:
                return type(error)(*error.args)  # one that nobody has raised holds no frames

        return await self._each(items, look)

    async def here(self, items: Sequence[str]) -> dict[str, ItemStat]:
        async def look(item: str) -> PackageFile | None:
            project, _, filename = item.partition("/")
            return await self._packages.here(project, filename)

        found = await self._each(items, look)
        return {item: _stat_of(item, file) for item, file in found.items() if file is not None}

    async def stage(self, items: Sequence[str]) -> dict[str, ArchiveError | None]:
        return dict.fromkeys(items)

    async def bring(self, item: str, known: ItemStat) -> Digest:
        brought = _stat_of(item, await self._ask(item, self._packages.bring))
        refuse_if_changed(item, known, brought)
        assert brought.digest is not None  # noqa: S101 - it was brought
        return brought.digest

    @asynccontextmanager
    async def open(self, item: str, offset: int, known: ItemStat | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        stat = known if known is not None else await self._stat(item)
        if offset > stat.size:
            raise refusal(item, f"it ends before byte {offset:,}")
        digest = await self.bring(item, stat)
        async with aclosing(self._pieces(item, digest, offset)) as pieces:
            yield pieces

    async def release(self, items: Sequence[str]) -> None:
        pass

    async def cancel(self, items: Sequence[str]) -> None:
        pass

    async def list(self, folder: str, limit: int, after: str | None) -> list[Listed]:
        if not folder:
            names = [name for name in await self._packages.projects() if after is None or name > after]
            return [Listed(name, name, is_folder=True, size=None, mtime=None) for name in names[:limit]]
        try:
            files = await self._packages.files(folder)
        except NotHad as error:
            raise refusal(folder, str(error)) from error
        shown = [file for file in files if after is None or file.filename > after]
        return [_listed(file) for file in shown[:limit]]

    async def _stat(self, item: str) -> ItemStat:
        file = await self._ask(item, self._packages.find)
        if file.size is None or file.sha256 is None:  # its upstream does not say: nobody knows before it has come
            file = await self._ask(item, self._packages.bring)
        return _stat_of(item, file)

    async def _ask(self, item: str, question: Callable[[str, str], Awaitable[PackageFile]]) -> PackageFile:
        project, separator, filename = item.partition("/")
        if not separator:
            raise refusal(item, "what the index has is called PROJECT/FILENAME")
        try:
            return await question(project, filename)
        except NotHad as error:
            raise refusal(item, str(error)) from error
        except NotNow as error:
            raise ArchiveDown(f"{filename}: {error}") from error

    async def _each(self, items: Sequence[str], look: Callable[[str], Awaitable[T]]) -> dict[str, T]:
        places = asyncio.Semaphore(self.at_once)

        async def in_turn(item: str) -> T:
            async with places:
                return await look(item)

        asked = list(dict.fromkeys(items))
        return dict(zip(asked, await asyncio.gather(*map(in_turn, asked)), strict=True))

    async def _pieces(self, item: str, digest: Digest, offset: int) -> AsyncGenerator[bytes]:
        pieces = self._blobs.reader.open(digest, offset)
        try:
            while piece := await self._disk.run(next, pieces, b""):
                yield piece
        except (BlobError, OSError) as error:
            raise ArchiveDown(f"{item}: its bytes cannot be read just now") from error


def _stat_of(item: str, file: PackageFile) -> ItemStat:
    if file.size is None:
        raise refusal(item, "nobody says how large it is")
    version = file.sha256 or ""
    digest = file.sha256 if file.is_here else None
    return ItemStat(file.size, file.uploaded or 0, is_near=True, version=version, digest=digest)


def _listed(file: PackageFile) -> Listed:
    return Listed(
        f"{file.project}/{file.filename}", file.filename, is_folder=False, size=file.size, mtime=file.uploaded
    )
