"""Bytes by SHA-256: durable writing, part files that clients follow, and where finished bytes lie.

Only this room touches `blobs/`, `incoming/` and `quarantine/` of the data directory.
"""

from creamery.blobs.audit import Audit, Depth, Finding, Kind, NotAStore, Summary
from creamery.blobs.blobs import Blobs
from creamery.blobs.claims import Claim, Lent
from creamery.blobs.holders import Holder
from creamery.blobs.incoming import Part
from creamery.blobs.repair import Repair
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
    "Audit",
    "BlobCorrupt",
    "BlobError",
    "BlobMissing",
    "BlobStore",
    "Blobs",
    "Claim",
    "Depth",
    "Evicted",
    "Extent",
    "Finding",
    "HashMismatch",
    "Holder",
    "Kind",
    "LengthMismatch",
    "Lent",
    "NoSpace",
    "NotAStore",
    "NotDurable",
    "Part",
    "ReadOnly",
    "Repair",
    "StoreMismatch",
    "Summary",
    "Swept",
    "TooLong",
]
