"""Members and where their bytes lie: small ones in a segment, as the hub keeps them, others in files of their own."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path

from creamery.blobs import Extent
from creamery.bundles import Format, Layout, Manifest, Member, Members, Slice, chunks, lay_out
from creamery.contract import digest_of

SEGMENT_HEADER = 64
RECORD_HEADER = 56
OWN_FILE_FROM = 64 * 1024

WHEN = 1_767_323_045
"""2026-01-02 03:04:05 UTC."""


class Pantry:
    """What a bundle is made of, in a folder of a test's own.

    Attributes:
        rows, contents, extents: of each member.
        segment: where the small ones lie.
        asked: what `locate` was asked, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[Member] = []
        self.contents: list[bytes] = []
        self.extents: list[Extent] = []
        self.asked: list[range] = []
        self.segment = folder / "segment"
        self._end = SEGMENT_HEADER
        self._blobs: dict[str, Extent] = {}
        self._pending = bytearray(SEGMENT_HEADER)

    def add(self, path: str, content: bytes = b"", mtime: int = WHEN, *, own: bool | None = None) -> Member:
        digest = digest_of(content)
        if own is None:
            own = len(content) > OWN_FILE_FROM
        member = Member(path, len(content), mtime, digest, zlib.crc32(content))
        if digest not in self._blobs:
            self._blobs[digest] = self._own(digest, content) if own else self._append(content)
        self.rows.append(member)
        self.contents.append(content)
        self.extents.append(self._blobs[digest])
        return member

    def add_sparse(self, path: str, size: int) -> None:
        """A file without a byte on the disk; its digest and CRC-32 are made up."""
        file = self.folder / f"sparse-{len(self.rows)}"
        file.touch()
        os.truncate(file, size)
        self.rows.append(Member(path, size, WHEN, digest_of(path.encode()), 0))
        self.contents.append(b"")
        self.extents.append(Extent(file, 0, size))

    def layout(self, form: Format = "tar", root: str = "root") -> Layout:
        return lay_out(Manifest(Members(self.rows), root, form))

    def locate(self, members: range) -> list[Extent]:
        self.flush()
        self.asked.append(members)
        return self.extents[members.start : members.stop]

    def read(self, layout: Layout, start: int = 0, stop: int | None = None) -> bytes:
        return b"".join(chunks(layout, self.locate, start, stop))

    def assembled(self, layout: Layout, start: int = 0, stop: int | None = None) -> bytes:
        """The same out of memory."""
        return b"".join(
            self.contents[piece.member][piece.offset : piece.offset + piece.length]
            if isinstance(piece, Slice)
            else piece
            for piece in layout.pieces(start, stop)
        )

    def write_sparsely(self, layout: Layout, target: Path) -> None:
        """The whole as a file in which the bytes of sparse members take no room."""
        at = 0
        with target.open("wb") as file:
            file.truncate(layout.length)
            for piece in layout.pieces():
                if isinstance(piece, Slice):
                    data, length = self.contents[piece.member], piece.length
                else:
                    data, length = piece, len(piece)
                file.seek(at)
                file.write(data)
                at += length

    def flush(self) -> None:
        """Bring the segment to its file."""
        if self._pending:
            with self.segment.open("ab") as file:
                file.write(self._pending)
            self._pending.clear()

    def _own(self, digest: str, content: bytes) -> Extent:
        path = self.folder / digest
        path.write_bytes(content)
        return Extent(path, 0, len(content))

    def _append(self, content: bytes) -> Extent:
        padding = -len(content) % 8
        extent = Extent(self.segment, self._end + RECORD_HEADER, len(content))
        self._pending += bytes(RECORD_HEADER) + content + bytes(padding)
        self._end += RECORD_HEADER + len(content) + padding
        return extent


class Archive(io.RawIOBase):
    """A bundle as a file that can be read anywhere: each read is a range of it."""

    def __init__(self, pantry: Pantry, layout: Layout) -> None:
        self._pantry = pantry
        self._layout = layout
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._layout.length)[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the buffer is always one
        stop = min(self._at + len(buffer), self._layout.length)
        data = self._pantry.read(self._layout, self._at, stop) if self._at < stop else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
