"""Another shape of the same bundle: some of its members, another folder around them. Nothing is staged for it.

A pattern is matched against a member's whole path, the bundle's folder not included:

- `*` is any text within one part of the path, `?` one character, `[a-z]` one of these, `[!a-z]` one of all others;
- `**` as a whole part is any number of parts, none included: `**/*.csv` finds `a.csv` and `x/y/a.csv`;
- `raw/` is `raw/**`, all below that folder; a slash at the beginning says nothing;
- upper and lower case differ, a leading dot is a character like others, and both Unicode forms of a letter are one.

The standard library has `**` for paths since 3.13 only, and as one regular expression, which takes a pattern of many
stars hours. Here a part is matched by `fnmatch`, which does not; a path costs its parts times those of the pattern.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import translate
from unicodedata import normalize

from creamery.bundles.manifest import Manifest, Members

_ANY_PARTS = None
_Pattern = Sequence[Callable[[str], object] | None]
"""For each part what it must match, or `_ANY_PARTS`."""


def included(members: Members, patterns: Sequence[str]) -> array[int]:
    """The places of the members that one of the patterns means, in order; see above how they are written."""
    read = [_read(pattern) for pattern in patterns]
    found = array("Q")
    for index, path in enumerate(members.paths()):
        split = (path if path.isascii() else normalize("NFC", path)).split("/")
        if any(_matches(split, pattern) for pattern in read):
            found.append(index)
    return found


def reshaped(manifest: Manifest, *, include: Sequence[str] = (), root: str | None = None) -> Manifest:
    """The members that one of the patterns means (none given: all), in the folder `root` (None: as it was).

    A member has another place then; `included` tells which was whose.

    Raises:
        BadBundle: `root` can be no folder.
    """
    members = manifest.members
    return replace(
        manifest,
        members=members.select(included(members, include)) if include else members,
        root=manifest.root if root is None else root,
    )


def _read(pattern: str) -> _Pattern:
    text = normalize("NFC", pattern).removeprefix("/")
    parts = (text + "**" if text.endswith("/") else text).split("/")
    return [_ANY_PARTS if part == "**" else re.compile(translate(part)).match for part in parts]


def _matches(parts: Sequence[str], pattern: _Pattern) -> bool:
    """Each part in its turn; where one does not match, the last `**` takes one part more."""
    at = wanted = resume = 0
    behind_any = -1
    while at < len(parts):
        more = wanted < len(pattern)
        matcher = pattern[wanted] if more else None
        if more and matcher is _ANY_PARTS:
            wanted += 1
            behind_any, resume = wanted, at
        elif matcher is not None and matcher(parts[at]):
            at += 1
            wanted += 1
        elif behind_any >= 0:
            resume += 1
            at, wanted = resume, behind_any
        else:
            return False
    return all(matcher is _ANY_PARTS for matcher in pattern[wanted:])
