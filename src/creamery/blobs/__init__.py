"""Bytes by SHA-256: durable writing, part files that clients follow, and where finished bytes lie.

Only this room touches `blobs/`, `segments/`, `incoming/` and `quarantine/` of the data directory.
"""

from creamery.blobs.audit import Audit, NotAStore, Summary
from creamery.blobs.blobs import Blobs
from creamery.blobs.claims import Claim, Lent
from creamery.blobs.copying import Copied, Copier, Item, blobs_of, copy_out, files_in, inventory
from creamery.blobs.findings import Depth, Finding, Kind
from creamery.blobs.folder import Folder, FolderGone, Found
from creamery.blobs.holders import Holder
from creamery.blobs.incoming import Part
from creamery.blobs.pause import Pause, PauseLost
from creamery.blobs.repair import Repair
from creamery.blobs.scrub import Scrub
from creamery.blobs.segments import Body
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
    "Body",
    "Claim",
    "Copied",
    "Copier",
    "Depth",
    "Evicted",
    "Extent",
    "Finding",
    "Folder",
    "FolderGone",
    "Found",
    "HashMismatch",
    "Holder",
    "Item",
    "Kind",
    "LengthMismatch",
    "Lent",
    "NoSpace",
    "NotAStore",
    "NotDurable",
    "Part",
    "Pause",
    "PauseLost",
    "ReadOnly",
    "Repair",
    "Scrub",
    "StoreMismatch",
    "Summary",
    "Swept",
    "TooLong",
    "blobs_of",
    "copy_out",
    "files_in",
    "inventory",
]
