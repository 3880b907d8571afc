"""What a place for blobs promises, and what may go wrong with bytes.

BlobError
|-- NoSpace         the disk has no room above its reserve (507)
|-- TooLong         more bytes than were announced, or than one file may have
|-- HashMismatch    other bytes than their digest says
|-- LengthMismatch  fewer or more bytes than were announced
|-- BlobMissing     a row says that they are here, and they are not
|-- BlobCorrupt     they are here and wrong
|-- NotDurable      the disk failed while it wrote or synced: nothing of it counts as kept
|-- ReadOnly        it failed so often that nothing more is written
`-- StoreMismatch   this directory and this database do not belong together

The numbers are the status that a door answers with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from creamery.contract import Digest


class BlobError(Exception):
    """Something is wrong with bytes, or with the place where they are kept."""


class NoSpace(BlobError):
    """The disk has no room for this. It recovers by itself as soon as there is."""

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(
            f"the disk is full: {needed} more bytes are needed, {free} are free above the reserve; free some space"
        )
        self.needed = needed
        self.free = free


class TooLong(BlobError):
    """More bytes came than may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes came")
        self.limit = limit


class HashMismatch(BlobError):
    """The bytes are not those that were named."""

    def __init__(self, expected: Digest, found: Digest) -> None:
        super().__init__(f"SHA-256 {expected} was expected and {found} came")
        self.expected = expected
        self.found = found


class LengthMismatch(BlobError):
    """The bytes are fewer or more than was announced."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"{expected} bytes were expected and {found} came")
        self.expected = expected
        self.found = found


class BlobMissing(BlobError):
    """The bytes are not here."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(f"the bytes of {digest} are not here; run `creamery fsck`")
        self.digest = digest


class BlobCorrupt(BlobError):
    """What is here is not what the digest says; it is never served."""

    def __init__(self, digest: Digest, reason: str) -> None:
        super().__init__(f"the bytes of {digest} are wrong: {reason}")
        self.digest = digest
        self.reason = reason


class NotDurable(BlobError):
    """The disk failed; what was being written is not kept."""


class ReadOnly(BlobError):
    """The disk failed several times: the hub reads on and writes no more until it is started anew."""


class StoreMismatch(BlobError):
    """The data directory belongs to another database, or the other way round."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where bytes lie: a part of a local file."""

    path: Path
    offset: int
    length: int


class BlobStore(Protocol):
    """A place for bytes by their SHA-256. Every method may be called from any thread and any number of times."""

    def keep(self, source: Path, digest: Digest, size: int) -> None:
        """Make the finished file `source`, whose digest was verified, the blob `digest`.

        Durable on return: after a power cut the bytes are there, whole. `source` is left as it is, for the caller
        may have to keep it once more. Bytes that are already there, of the right size, are taken for the same.

        Raises:
            NoSpace: there is no room; ask again when there is.
            NotDurable: the disk failed. Asking again with the same source is no remedy: its pages may be lost.
        """
        ...

    def open(self, digest: Digest, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `stop` (None: the end), in pieces of at most 1 MiB.

        Raises:
            BlobMissing: it is not here.
        """
        ...

    def locate(self, digest: Digest) -> Extent | None:
        """Where the bytes lie as a local file; None where there is no such file. At most one look at the disk."""
        ...

    def delete(self, digest: Digest) -> None:
        """Remove the bytes; nothing happens when they are away already.

        Need not be durable: what comes back after a power cut is an orphan, which a sweep finds.
        """
        ...

    def list(self) -> Iterator[tuple[Digest, int]]:
        """Every blob that is here, with its size, in order of digest."""
        ...
