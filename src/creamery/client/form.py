"""A form with a file of whatever length, as it is sent (RFC 7578)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Form:
    """Fields, and perhaps a file: the field's name, and where the file lies, which names it."""

    fields: Mapping[str, str]
    file: tuple[str, Path] | None = None

    def length(self, boundary: str) -> int:
        """Of the body, in bytes."""
        size = 0 if self.file is None else self.file[1].stat().st_size
        return sum(len(part) for part in self._parts(boundary)) + size

    def pieces(self, boundary: str, sent: Callable[[int], object]) -> Iterator[bytes]:
        """The body, as it is sent."""
        head, tail = self._parts(boundary)
        yield head
        if self.file is not None:
            with self.file[1].open("rb") as content:
                yield from pieces_of(content, sent)
        yield tail

    def _parts(self, boundary: str) -> tuple[bytes, bytes]:
        """What stands before the file's bytes, and what behind them."""
        begin = f"--{boundary}\r\nContent-Disposition: form-data; name="
        head = "".join(f'{begin}"{name}"\r\n\r\n{value}\r\n' for name, value in self.fields.items())
        end = f"--{boundary}--\r\n"
        if self.file is None:
            return head.encode(), end.encode()
        name, path = self.file
        head += f'{begin}"{name}"; filename="{path.name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        return head.encode(), f"\r\n{end}".encode()


def pieces_of(content: BinaryIO, sent: Callable[[int], object]) -> Iterator[bytes]:
    """What a file holds, piece by piece; `sent` hears of each that has gone."""
    while piece := content.read(PIECE_BYTES):
        yield piece
        sent(len(piece))
