"""Where carts' files come from: one file per kind of archive, all of them with the promise of `archive.py`."""

from creamery.carts.archives.archive import (
    Archive,
    ArchiveDown,
    ArchiveError,
    InHub,
    ItemRefused,
    ItemStat,
    Listed,
    Listing,
    OnDisk,
)
from creamery.carts.archives.configured import open_archives

__all__ = [
    "Archive",
    "ArchiveDown",
    "ArchiveError",
    "InHub",
    "ItemRefused",
    "ItemStat",
    "Listed",
    "Listing",
    "OnDisk",
    "open_archives",
]
