"""What users and groups may be called.

ASCII alone: a name stands in addresses, logs and password files, and no two names may look the same to whoever grants
a right. That refuses Cyrillic letters that look like Latin ones, names written in two Unicode forms, right-to-left
marks and NUL in one rule. Names are compared without regard to case.
"""

from __future__ import annotations

import re

NAME_LENGTH = 64
PASSCODE_USER = "havarti"
TOKEN_USER = "__token__"  # noqa: S105 - a user name, PyPI's for "the password is a token"

NAME_PATTERN = r"[A-Za-z0-9]([A-Za-z0-9._@+-]*[A-Za-z0-9])?"
"""As a regular expression of Python and of ECMAScript; the length is apart."""

_NAME = re.compile(NAME_PATTERN, re.ASCII)
_RESERVED = frozenset({PASSCODE_USER, "anonymous", "hub"})


class InvalidAccountName(ValueError):
    """Nobody can be called so; the text says why."""


def check_account_name(text: str) -> str:
    """The name as it was given.

    Raises:
        InvalidAccountName: it has other characters, is too long, or stands for somebody else.
    """
    if not could_be_name(text):
        raise InvalidAccountName(
            f"{text[:NAME_LENGTH]!r} cannot be a name: take 1 to {NAME_LENGTH} of the letters a to z, digits and"
            " . _ @ + -, with a letter or digit at both ends"
        )
    if key_of(text) in _RESERVED:
        raise InvalidAccountName(f"{text!r} cannot be a name: the hub itself uses it")
    return text


def could_be_name(text: str) -> bool:
    """Has it a name's form? What has not is nobody's, and no database need be asked: PostgreSQL takes no NUL."""
    return len(text) <= NAME_LENGTH and _NAME.fullmatch(text) is not None


def key_of(name: str) -> str:
    """What a name is compared by; of a text that is no name too, which then is nobody's."""
    return name.lower()
