"""The first read after an unclean stop hashes; every other read checks the size.

Hashing every read would cost 5.5 ms per 10 MB, more than sending it. A process that was killed cannot have torn a
blob, but a power cut on a disk that lies about its cache can, and the two look the same afterwards.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from typing import Protocol

from creamery.blobs.store import BlobCorrupt
from creamery.contract import Digest

REMEMBERED = 100_000


class Readable(Protocol):
    """Where a blob's bytes are read."""

    def open(self, digest: Digest) -> Iterator[bytes]:
        """As `BlobStore.open`, all of them."""
        ...


class FirstReads:
    """Which blobs still want to be hashed in this run. May be called from any thread."""

    def __init__(self, store: Readable) -> None:
        self._store = store
        self._unclean = False
        self._verified: dict[Digest, None] = {}
        self._lock = threading.Lock()

    def begin(self, *, unclean: bool) -> None:
        """After a clean stop nothing wants to be hashed."""
        self._unclean = unclean

    def is_wanted(self, digest: Digest) -> bool:
        """Must it be hashed before it counts as whole?"""
        return self._unclean and digest not in self._verified

    def passed(self, digest: Digest) -> None:
        """It was hashed in this run; beyond 100,000 the oldest are hashed once more, which costs time only."""
        if not self._unclean:
            return
        with self._lock:
            self._verified[digest] = None
            if len(self._verified) > REMEMBERED:
                del self._verified[next(iter(self._verified))]

    def verify(self, digest: Digest) -> None:
        """Hash it, whether it is wanted or not.

        Raises:
            BlobMissing: it is not there.
            BlobCorrupt: it is something else.
        """
        found = hash_of(self._store, digest)
        if found != digest:
            raise BlobCorrupt(digest, f"their SHA-256 is {found}")
        self.passed(digest)


def hash_of(store: Readable, digest: Digest) -> Digest:
    """The SHA-256 of the bytes that lie where those of `digest` should.

    Raises:
        BlobMissing: there are none.
    """
    hashed = hashlib.sha256()
    for piece in store.open(digest):
        hashed.update(piece)
    return Digest(hashed.hexdigest())
