"""A folder of this machine as an archive. Items are paths below it; `folders.py` sees to it that they stay there.

Names are what the file system has: bytes. What of them is no UTF-8 stands as surrogates in the text (PEP 383).
Everything is near, always: staging asks for nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import stat
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path

from creamery.carts.archives.archive import ArchiveDown, ArchiveError, ItemRefused, ItemStat, Listed
from creamery.carts.archives.folders import Folders, Found, LeadsOut, explained, open_file, refuse_all_but_files
from creamery.carts.archives.names import refusal, segments
from creamery.threads import Pool

PIECE = 1 << 20
TOGETHER = 500
"""Items that one thread looks at before others may have it."""

_SECOND = 1_000_000_000  # nanoseconds


class Directory:
    """Keeps the promises of `Archive`, `OnDisk` and `Listing`."""

    def __init__(self, name: str, root: Path, disk: Pool, *, at_once: int, window: int) -> None:
        """`root` itself may be a link; it is looked up anew each time, for what is mounted there may come and go."""
        self.name = name
        self.at_once = at_once
        self.window = window
        self._root = root
        self._disk = disk

    async def stat(self, items: Sequence[str]) -> dict[str, ItemStat | ArchiveError]:
        groups = [items[start : start + TOGETHER] for start in range(0, len(items), TOGETHER)]
        places = asyncio.Semaphore(self.at_once)

        async def look(group: Sequence[str]) -> dict[str, ItemStat | ArchiveError]:
            async with places:
                return await self._disk.run(self._stat_all, group)

        found = await asyncio.gather(*map(look, groups))
        return {item: each for group in found for item, each in group.items()}

    async def stage(self, items: Sequence[str]) -> dict[str, ArchiveError | None]:
        return dict.fromkeys(items)

    @asynccontextmanager
    async def open(self, item: str, offset: int, known: ItemStat | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        file, first = await self._disk.run(self._begin, item, offset, known)
        async with aclosing(self._pieces(file, offset, first)) as pieces:
            yield pieces

    async def release(self, items: Sequence[str]) -> None:
        pass

    async def cancel(self, items: Sequence[str]) -> None:
        pass

    async def list(self, folder: str, limit: int, after: str | None) -> list[Listed]:
        return [*await self._disk.run(self._entries, folder, limit, after)]

    @contextmanager
    def descriptor(self, item: str, known: ItemStat | None = None) -> Iterator[int]:
        file = self._open(item, known)
        try:
            yield file.descriptor
            file.refuse_if_changed()
        except OSError as error:
            raise explained(self.name, item, error) from error
        finally:
            file.close()

    async def _pieces(self, file: _File, offset: int, first: bytes) -> AsyncGenerator[bytes]:
        piece, is_read = first, False
        try:
            while piece:
                offset += len(piece)
                yield piece
                piece = await self._disk.run(file.read, offset)
        except asyncio.CancelledError:
            is_read = True  # by a thread, still: whoever holds the file last closes it
            raise
        finally:
            if not is_read:
                file.close()

    def _stat_all(self, items: Sequence[str]) -> dict[str, ItemStat | ArchiveError]:
        with self._folders() as folders:
            return {item: self._stat(folders, item) for item in items}

    def _stat(self, folders: Folders, item: str) -> ItemStat | ArchiveError:
        try:
            found = folders.find(segments(item))
            refuse_all_but_files(item, found.status)
        except ItemRefused as error:
            return ItemRefused(*error.args)  # one that nobody has raised holds no frames
        except (OSError, LeadsOut) as error:
            return explained(self.name, item, error)
        return _stat_of(found.status)

    def _begin(self, item: str, offset: int, known: ItemStat | None) -> tuple[_File, bytes]:
        file = self._open(item, known)
        return file, file.read(offset)

    def _open(self, item: str, known: ItemStat | None) -> _File:
        with self._folders() as folders:
            file = self._open_in(folders, item)
        if known is not None and not known.is_same(_stat_of(file.begun)):
            file.close()
            raise refusal(item, "it has changed since it was asked for")
        return file

    def _open_in(self, folders: Folders, item: str) -> _File:
        try:
            return _File(self.name, item, *open_file(item, folders.find(segments(item))))
        except (OSError, LeadsOut) as error:
            raise explained(self.name, item, error) from error

    def _folders(self) -> Folders:
        try:
            return Folders(self._root)
        except OSError as error:
            raise ArchiveDown(f"the archive {self.name} is not there ({error.strerror})") from error

    def _entries(self, folder: str, limit: int, after: str | None) -> Sequence[Listed]:
        listed: list[Listed] = []
        with self._folders() as folders:
            while len(listed) < limit:
                names = self._names(folders, folder, limit - len(listed), after)
                if not names:
                    break
                after = names[-1]
                entries = (self._listed(folders, f"{folder}/{name}" if folder else name, name) for name in names)
                listed += [entry for entry in entries if entry is not None]
        return listed

    def _names(self, folders: Folders, folder: str, limit: int, after: str | None) -> Sequence[str]:
        try:
            found = folders.find(segments(folder) if folder else [])
            if not stat.S_ISDIR(found.status.st_mode):
                raise refusal(folder, "it is no folder")
            return heapq.nsmallest(limit, _names_in(found, after))
        except (OSError, LeadsOut) as error:
            raise explained(self.name, folder, error) from error

    def _listed(self, folders: Folders, item: str, name: str) -> Listed | None:
        """None where it is nothing that could be had: gone meanwhile, a device, a link that leads out."""
        try:
            status = folders.find(segments(item)).status
        except (OSError, LeadsOut, ItemRefused):
            return None
        if stat.S_ISDIR(status.st_mode):
            return Listed(item, name, is_folder=True, size=None, mtime=None)
        if not stat.S_ISREG(status.st_mode):
            return None
        known = _stat_of(status)
        return Listed(item, name, is_folder=False, size=known.size, mtime=known.mtime)


class _File:
    """An open file of a size that must not change. It is closed with the last reference to it, at the latest."""

    def __init__(self, archive: str, item: str, descriptor: int, status: os.stat_result) -> None:
        self.descriptor = descriptor
        self.close = weakref.finalize(self, os.close, descriptor)
        self._archive = archive
        self._item = item
        self.begun = status

    def read(self, offset: int) -> bytes:
        """The next piece; with the last one, or beyond it, comes the certainty that it is all of one state."""
        left = self.begun.st_size - offset
        try:
            piece = os.pread(self.descriptor, min(PIECE, max(0, left)), offset)
        except OSError as error:
            raise explained(self._archive, self._item, error) from error
        if len(piece) == left or not piece:
            self.refuse_if_changed()
        if not piece and left:
            raise refusal(self._item, f"it ends before byte {offset:,}")
        return piece

    def refuse_if_changed(self) -> None:
        """Was it written to since it was opened?"""
        now = os.fstat(self.descriptor)
        if (now.st_size, now.st_mtime_ns) != (self.begun.st_size, self.begun.st_mtime_ns):
            raise refusal(self._item, "it changed while it was read")


def _stat_of(status: os.stat_result) -> ItemStat:
    return ItemStat(status.st_size, status.st_mtime_ns // _SECOND, is_near=True, version=str(status.st_mtime_ns))


def _names_in(found: Found, after: str | None) -> Iterator[str]:
    """The names in a folder, in any order, and however many there are."""
    folder = os.open(found.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=found.folder)
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries if after is None or entry.name > after)
    finally:
        os.close(folder)
