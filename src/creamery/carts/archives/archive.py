"""What an archive promises: a place that has files, some of them on slow media, and is asked for many at once.

An archive knows an item by a text (`item`: the Pacifica Archive Interface's file id, a path below a directory, a path
below an address). Every question is a batch, and its answer has an entry for each item that was asked.

ArchiveError
|-- ArchiveDown     it cannot be asked now: come again, the cart waits with the reason
`-- ItemRefused     this one item cannot be had, ever; the text says why, and names it

Both are also values: one item of a batch may be down or refused while the others are well. No text of theirs holds a
password, an address inside a network, or a path of the archive's machine: people read them in their carts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from creamery.accounts import Principal
from creamery.contract import Digest


class ArchiveError(Exception):
    """An archive, or an item of it, cannot be had."""


class ArchiveDown(ArchiveError):
    """Not now: it does not answer, is over quota, or asks for patience.

    Attributes:
        retry_seconds: when it wants to be asked again; None: it has not said.
    """

    def __init__(self, reason: str, retry_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_seconds = retry_seconds


class ItemRefused(ArchiveError):
    """It is not there, is no file, may not be read, or the archive says that it failed."""


class ItemStat(NamedTuple):
    """What an archive knows of an item.

    Attributes:
        size: in bytes.
        mtime: seconds since 1970, rounded down; 0 where the archive does not say.
        is_near: it can be opened now; False: it lies on slow media, and has to be staged first.
        version: what tells this state of it from every other, finer than `mtime`: an ETag, nanoseconds. Empty where
            the archive has no word for it: then nothing says that a later fetch would bring the same bytes.
        digest: of the blob of this hub that it is already; None: it has to be fetched.
    """

    size: int
    mtime: int
    is_near: bool
    version: str = ""
    digest: Digest | None = None

    def is_same(self, other: ItemStat) -> bool:
        """Do both tell of the same bytes, as far as the archive says? Whether they are near is no part of that."""
        if self.version and other.version:
            return (self.size, self.version) == (other.size, other.version)
        return (self.size, self.mtime) == (other.size, other.mtime)


class Archive(Protocol):
    """A place of files. Coroutines run on the hub's event loop.

    Attributes:
        name: by which rows, settings and carts know it.
        at_once: how many items may be opened at the same time. Where an archive must not be asked more than that at
            once, whatever it is asked, a question waits for what is open: ask nothing while something is open.
        window: how many items may be staged, and not yet near, at the same time.
    """

    name: str
    at_once: int
    window: int

    async def stat(self, items: Sequence[str]) -> Mapping[str, ItemStat | ArchiveError]:
        """What each item is. Also the way to poll for what was staged.

        Raises:
            ArchiveDown: nothing can be asked now.
        """
        ...

    async def stage(self, items: Sequence[str]) -> Mapping[str, ArchiveError | None]:
        """Ask that items be brought near; None: it was taken. To ask again does no harm.

        Raises:
            ArchiveDown: as `stat`.
        """
        ...

    def open(
        self, item: str, offset: int, known: ItemStat | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The item's bytes from `offset` to its end, which is where `known` says, or the iterator raises.

        Args:
            item: which one.
            offset: how much of it is here already.
            known: what `stat` said of it, when what is here was begun: parts of two states never come together, and
                a wrong length is noticed. Without it the item is asked for it first.

        Raises:
            ArchiveDown: the connection broke, or was never made: open it again, from where it broke.
            ItemRefused: it cannot be read, or is not what `known` says any more.
        """
        ...

    async def release(self, items: Sequence[str]) -> None:
        """They are fetched: the archive may move them away again. Nothing happens where it has no word for that."""
        ...

    async def cancel(self, items: Sequence[str]) -> None:
        """Nobody waits for them any more, although they were staged. Nothing happens as above."""
        ...


@runtime_checkable
class OnDisk(Protocol):
    """An archive whose items are files of this machine: they can be cloned, and many small ones read in one thread."""

    def descriptor(self, item: str, known: ItemStat | None = None) -> AbstractContextManager[int]:
        """The item's file, open for reading at its beginning; for a thread that may wait for a disk.

        Whoever has read it to its end leaves the context then, which looks whether it is still the same. An OSError
        that leaves it is taken for a failure to read.

        Raises:
            ArchiveDown, ItemRefused: as `Archive.open`; the second also on leaving.
        """
        ...


@runtime_checkable
class InHub(Protocol):
    """An archive that is a part of this hub: nothing of it is copied, and not all who have carts may read it."""

    def may_be_read_by(self, principal: Principal) -> bool:
        """May they? To others it is as good as not there."""
        ...

    async def here(self, items: Sequence[str]) -> Mapping[str, ItemStat]:
        """Those that are blobs of this hub already; nobody else is asked for them."""
        ...

    async def bring(self, item: str, known: ItemStat) -> Digest:
        """Make an item a blob of this hub, and say which.

        Raises:
            ArchiveDown, ItemRefused: as `Archive.open`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of a listing.

    Attributes:
        item: as `Archive` takes it; of a folder, what `Listing.list` takes.
        name: its last part.
        is_folder: it can be listed itself.
        size, mtime: of a file, as `ItemStat`; None of a folder, and where the archive does not say.
    """

    item: str
    name: str
    is_folder: bool
    size: int | None
    mtime: int | None


@runtime_checkable
class Listing(Protocol):
    """An archive that can also say what it has."""

    async def list(self, folder: str, limit: int, after: str | None) -> list[Listed]:
        """The next entries of a folder (the empty text: the topmost), in order of their names.

        Raises:
            ArchiveDown, ItemRefused: as `Archive`.
        """
        ...
