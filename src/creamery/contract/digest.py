"""The name of bytes: a lowercase SHA-256 in hexadecimal.

Everything that is stored is named by it; a digest verifies bytes and never grants access to them.
"""

from __future__ import annotations

import hashlib
import re
from typing import NewType

Digest = NewType("Digest", str)
"""64 lowercase hexadecimal characters; made by `parse_digest` or `digest_of` only."""

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class NotADigest(ValueError):
    """The text is not a SHA-256 in hexadecimal."""


def parse_digest(text: str) -> Digest:
    """Read a SHA-256 that somebody else wrote; upper case is accepted.

    Raises:
        NotADigest: for anything but 64 hexadecimal characters.
    """
    lowered = text.lower() if text.isascii() else text
    if not _SHA256.fullmatch(lowered):
        raise NotADigest(f"{text[:80]!r} is not a SHA-256: 64 hexadecimal characters are needed")
    return Digest(lowered)


def digest_of(data: bytes) -> Digest:
    """The digest of bytes that are in memory."""
    return Digest(hashlib.sha256(data).hexdigest())
