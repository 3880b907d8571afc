"""The bytes of a blob, wherever they lie: in a file of its own, or with others in a segment.

A file of its own is found by one look at the disk. Where in a segment a blob lies its row says, which is asked once
and then remembered; bytes never change their meaning, and when a row changes its place (compaction, quarantine) every
process hears of it (topic `blobs`) before its next answer. A remembered segment that is away is asked for anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from creamery.blobs import places, tables
from creamery.blobs.local import LocalStore
from creamery.blobs.ownership import Layout
from creamery.blobs.segments import Place, SegmentFiles
from creamery.blobs.store import BlobMissing, Extent
from creamery.contract import Digest
from creamery.database import Database

REMEMBERED = 20_000
"""Places; beyond them the oldest are asked for anew."""


class Reader:
    """Finds and reads. May be called from any thread.

    Attributes:
        files: blobs that have a file of their own.
        segments: files that small blobs share.
    """

    def __init__(self, layout: Layout, database: Database) -> None:
        self.files = LocalStore(layout.blobs, layout.quarantine)
        self.segments = SegmentFiles(layout.segments)
        self._database = database
        self._places: dict[Digest, Place] = {}
        self._lock = threading.Lock()

    def locate_at_once(self, digest: Digest) -> Extent | None:
        """Where the bytes lie, as far as no statement is needed to tell; one look at the disk, or two."""
        place = self._places.get(digest)
        if place is not None and self.segments.holds(place):
            return self.segments.extent(place)
        return self.files.locate(digest)

    def locate(self, digest: Digest) -> Extent | None:
        """Where the bytes lie; None where nowhere. At most one statement.

        Raises:
            DatabaseUnavailable: it had to be asked.
        """
        found = self.locate_at_once(digest)
        if found is not None:
            return found
        place = self._database.read(lambda connection: places.place_of(connection, digest))
        if place is None or not self.segments.holds(place):
            return None
        self.remember(digest, place)
        return self.segments.extent(place)

    def locate_all(self, digests: Sequence[Digest]) -> list[Extent | None]:
        """`locate`, of many by one statement; nothing is remembered of them.

        Raises:
            DatabaseUnavailable: as `locate`.
        """
        rows = self._database.read(lambda connection: places.places_of(connection, digests))
        lengths: dict[int, int] = {}
        found: list[Extent | None] = []
        for digest in digests:
            _, place = rows.get(digest, (0, None))
            if place is None:
                found.append(self.files.locate(digest))
                continue
            if place.segment not in lengths:
                lengths[place.segment] = self.segments.length(place.segment)
            is_there = lengths[place.segment] >= place.offset + place.length
            found.append(self.segments.extent(place) if is_there else None)
        return found

    def size(self, digest: Digest) -> int | None:
        """How long the bytes are; None where there are none.

        Raises:
            DatabaseUnavailable: as `locate`.
        """
        found = self.locate(digest)
        return None if found is None else found.length

    def open(self, digest: Digest, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """As `BlobStore.open`.

        Raises:
            BlobMissing: it is not here.
            DatabaseUnavailable: as `locate`.
        """
        if self.files.size(digest) is not None:
            yield from self.files.open(digest, start, stop)
            return
        place = self._places.get(digest) or self._ask(digest)
        try:
            yield from self.segments.open(place, start, stop)
        except FileNotFoundError:  # it was moved since it was asked; nothing has been read yet
            try:
                yield from self.segments.open(self._ask(digest), start, stop)
            except FileNotFoundError:
                raise BlobMissing(digest) from None

    def is_whole(self, connection: Connection, fresh: tables.Fresh) -> bool:
        """Is what its row says here, and of the right size? In the transaction that has taken the row."""
        return self._lies_there(fresh.digest, places.place_of(connection, fresh.digest), fresh.size)

    def is_here(self, connection: Connection, digest: Digest) -> bool:
        """Are there bytes where its row says? In the same transaction."""
        return self._lies_there(digest, places.place_of(connection, digest), None)

    def those_here(self, connection: Connection, digests: Sequence[Digest]) -> set[Digest]:
        """Of many, those of which what the row says is here, and of the right size. In the same transaction."""
        found = places.places_of(connection, digests)
        return {digest for digest, (size, place) in found.items() if self._lies_there(digest, place, size)}

    def _lies_there(self, digest: Digest, place: Place | None, size: int | None) -> bool:
        """In a segment, or as a file of its own: of that size, or of any."""
        if place is not None:
            return self.segments.holds(place)
        found = self.files.size(digest)
        return found is not None if size is None else found == size

    def remember(self, digest: Digest, place: Place) -> None:
        """It is known to lie there."""
        with self._lock:
            self._places[digest] = place
            if len(self._places) > REMEMBERED:
                del self._places[next(iter(self._places))]

    def forget(self, digest: Digest) -> None:
        """It may lie elsewhere."""
        with self._lock:
            self._places.pop(digest, None)

    def forget_all(self) -> None:
        """Anything may lie elsewhere."""
        with self._lock:
            self._places.clear()

    def _ask(self, digest: Digest) -> Place:
        place = self._database.read(lambda connection: places.place_of(connection, digest))
        if place is None:
            self.forget(digest)
            raise BlobMissing(digest)
        self.remember(digest, place)
        return place
