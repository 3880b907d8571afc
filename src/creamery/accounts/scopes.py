"""What a token may at most: words of a door and a right, such as `index:upload:acme-*`.

A token never may more than its user; a scope only takes away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from creamery.accounts.principals import Scope

_LIMIT = re.compile(r"[A-Za-z0-9*?._-]{1,128}", re.ASCII)


class UnknownScope(ValueError):
    """No door has such a right; the text lists those that there are."""


@dataclass(frozen=True, slots=True)
class ScopeWord:
    """A right that tokens may have.

    Attributes:
        meaning: for people who choose.
        limited_to: what may stand behind it, such as `PROJECT-GLOB`; empty: nothing.
        normalise: what stands behind it, as the door compares names.
    """

    meaning: str
    limited_to: str = ""
    normalise: Callable[[str], str] = str


def parse_scope(text: str, words: Mapping[str, ScopeWord]) -> Scope:
    """A scope as people write it.

    Raises:
        UnknownScope: no such word, or a limit where none may stand, or one that is no pattern.
    """
    action = next((word for word in words if text == word or text.startswith(f"{word}:")), None)
    if action is None:
        known = ", ".join(
            f"{word}[:{meaning.limited_to}]" if meaning.limited_to else word for word, meaning in words.items()
        )
        raise UnknownScope(f"{text!r} is no scope; there are: {known}")
    limit = text[len(action) + 1 :]
    if text == action:
        return Scope(action)
    if not words[action].limited_to:
        raise UnknownScope(f"{text!r}: nothing may stand behind {action}")
    if not _LIMIT.fullmatch(limit):
        raise UnknownScope(f"{text!r}: {words[action].limited_to} has letters, digits and . _ - * ? in it")
    return Scope(action, words[action].normalise(limit))


def stored(scopes: Iterable[Scope]) -> str:
    """As a token's row has them."""
    return " ".join(str(scope) for scope in scopes)


def from_stored(text: str) -> tuple[Scope, ...]:
    """Out of a token's row; what a door wrote there is not judged again."""
    scopes = []
    for word in text.split():
        door, _, rest = word.partition(":")
        right, _, limit = rest.partition(":")
        scopes.append(Scope(f"{door}:{right}" if right else door, limit))
    return tuple(scopes)
