"""What a token looks like: `cmy_`, 160 random bits, six digits that tell a mistyped one without asking anybody.

The prefix lets scanners find tokens that got into a repository. It is shown once; what is kept is its SHA-256: 160
random bits need no salt and no slow hash.
"""

from __future__ import annotations

import base64
import re
import secrets
import zlib

from creamery.contract import Digest, digest_of

PREFIX = "cmy_"
RANDOM_BYTES = 20
SHOWN = 4
"""How many of its last characters stand in lists, for people to know it by."""

_TOKEN = re.compile(r"cmy_([a-z2-7]{32})([a-z2-7]{6})", re.ASCII)
_CHECK_BITS = 30


def new_token() -> str:
    """A token that nobody has had before."""
    body = base64.b32encode(secrets.token_bytes(RANDOM_BYTES)).decode("ascii").lower()
    return f"{PREFIX}{body}{_check_digits(body)}"


def looks_like_token(text: str) -> bool:
    """Was it meant as one? Then it is not taken for a password, whatever is wrong with it."""
    return text.startswith(PREFIX)


def token_digest(text: str) -> Digest | None:
    """What a token is kept as; None for a text that cannot be one: truncated, doubled, mistyped."""
    match = _TOKEN.fullmatch(text)
    if match is None or not secrets.compare_digest(_check_digits(match[1]), match[2]):
        return None
    return digest_of(text.encode("ascii"))


def _check_digits(body: str) -> str:
    checksum = zlib.crc32(body.encode("ascii")) & ((1 << _CHECK_BITS) - 1)
    return base64.b32encode((checksum << 2).to_bytes(4, "big")).decode("ascii").lower()[:6]
