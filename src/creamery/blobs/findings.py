"""What can be wrong with what is kept, and how closely one looks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PATIENCE = 2
"""What a sweep would have collected so many times over is a finding."""


class Depth(StrEnum):
    """How closely a blob is looked at."""

    QUICK = "quick"
    """Is there a file?"""
    SIZES = "sizes"
    """Has it the right size?"""
    DATA = "data"
    """Has it the right bytes?"""


class Kind(StrEnum):
    """What can be wrong."""

    MISSING = "missing blob"
    CORRUPT = "corrupt blob"
    WRONG_SIZE = "wrong size"
    UNREADABLE = "unreadable blob"
    DANGLING = "dangling reference"
    ORPHAN = "orphan file"
    STALE_PART = "stale part"
    STRANGER = "unknown file"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: what.
        subject: a digest, or a path inside the data directory.
        detail: what stands against it, for people.
        names: what refers to it, for people; the first few.
        kept: somebody's only copy is affected: only a backup may bring it back.
    """

    kind: Kind
    subject: str
    detail: str
    names: tuple[str, ...] = ()
    kept: bool = False
