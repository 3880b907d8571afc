"""Where the rows say that small blobs lie: the questions about `segment_id` and `segment_offset`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, LargeBinary, and_, bindparam, func, or_, select, type_coerce, update

from creamery.blobs.segments import Place
from creamery.blobs.tables import GONE, OK, ROWS_AT_ONCE, blob
from creamery.contract import Digest


def place_of(connection: Connection, digest: Digest) -> Place | None:
    """Where in which segment; None where it has a file of its own, or no row. One point read."""
    asked = select(blob.c.segment_id, blob.c.segment_offset, blob.c.size).where(blob.c.digest == digest)
    row = connection.execute(asked).first()
    return None if row is None or row[0] is None else Place(*row)


def places_of(connection: Connection, digests: Sequence[Digest]) -> dict[Digest, tuple[int, Place | None]]:
    """Size and place of those that are there and well; the place is None for a file of its own."""
    found: dict[Digest, tuple[int, Place | None]] = {}
    for start in range(0, len(digests), ROWS_AT_ONCE):
        some = digests[start : start + ROWS_AT_ONCE]
        by_bytes = {bytes.fromhex(digest): digest for digest in some}
        for raw, size, segment, offset in connection.execute(_PLACES, {"some": list(by_bytes)}):
            found[by_bytes[bytes(raw)]] = (size, None if segment is None else Place(segment, offset, size))
    return found


_RAW = type_coerce(blob.c.digest, LargeBinary(32))
"""A digest as its bytes: of very many, a turn through text and back costs more than the question."""
_PLACES = select(_RAW, blob.c.size, blob.c.segment_id, blob.c.segment_offset).where(
    _RAW.in_(bindparam("some", expanding=True)), blob.c.state == OK
)


def set_place(connection: Connection, digest: Digest, place: Place | None) -> None:
    """It lies there from now on."""
    segment, offset = (None, None) if place is None else (place.segment, place.offset)
    changed = update(blob).where(blob.c.digest == digest).values(segment_id=segment, segment_offset=offset)
    connection.execute(changed)


@dataclass(frozen=True, slots=True)
class Placed:
    """A blob that lies in a segment."""

    digest: Digest
    place: Place
    crc32: int
    state: str


def in_segments(connection: Connection, limit: int, after: Place | None, segment: int | None = None) -> list[Placed]:
    """The next blobs in order of segment and offset, of all segments or of one; a range of the index."""
    asked = select(blob.c.digest, blob.c.segment_id, blob.c.segment_offset, blob.c.size, blob.c.crc32, blob.c.state)
    asked = asked.where(blob.c.segment_id.is_not(None) if segment is None else blob.c.segment_id == segment)
    if after is not None:
        same = and_(blob.c.segment_id == after.segment, blob.c.segment_offset > after.offset)
        asked = asked.where(or_(blob.c.segment_id > after.segment, same))
    found = connection.execute(asked.order_by(blob.c.segment_id, blob.c.segment_offset).limit(limit))
    return [Placed(row[0], Place(row[1], row[2], row[3]), row[4], row[5]) for row in found]


def live_bytes(connection: Connection, segment: int) -> int | None:
    """How many of a segment's bytes belong to blobs; None where no blob lies in it, not even an empty one."""
    asked = select(func.count(), func.coalesce(func.sum(blob.c.size), 0)).where(blob.c.segment_id == segment)
    count, total = connection.execute(asked).one()
    return int(total) if count else None


def move(connection: Connection, digest: Digest, old: Place, new: Place) -> bool:
    """Compaction has copied it; False where it lies elsewhere meanwhile, or is away or about to go."""
    still_there = and_(blob.c.segment_id == old.segment, blob.c.segment_offset == old.offset, blob.c.state != GONE)
    moved = update(blob).where(blob.c.digest == digest, still_there)
    return connection.execute(moved.values(segment_id=new.segment, segment_offset=new.offset)).rowcount == 1


def forget_places(connection: Connection) -> None:
    """A restore gives each blob a file of its own."""
    in_some = update(blob).where(blob.c.segment_id.is_not(None))
    connection.execute(in_some.values(segment_id=None, segment_offset=None))
