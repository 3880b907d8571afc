"""Bytes by SHA-256: durable writing, part files that clients follow, and where finished bytes lie.

Only this room touches `blobs/`, `incoming/` and `quarantine/` of the data directory.
"""

from creamery.blobs.blobs import Blobs
from creamery.blobs.holders import Holder
from creamery.blobs.incoming import Part
from creamery.blobs.store import (
    BlobCorrupt,
    BlobError,
    BlobMissing,
    BlobStore,
    Extent,
    HashMismatch,
    LengthMismatch,
    NoSpace,
    NotDurable,
    ReadOnly,
    StoreMismatch,
    TooLong,
)
from creamery.blobs.sweep import Evicted, Swept

__all__ = [
    "BlobCorrupt",
    "BlobError",
    "BlobMissing",
    "BlobStore",
    "Blobs",
    "Evicted",
    "Extent",
    "HashMismatch",
    "Holder",
    "LengthMismatch",
    "NoSpace",
    "NotDurable",
    "Part",
    "ReadOnly",
    "StoreMismatch",
    "Swept",
    "TooLong",
]
