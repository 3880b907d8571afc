"""What the name of an item may be, whatever archive it is of, and how it is shown.

Names come from whoever posts a cart. The archive trusts the hub; so a name must not lead it where the hub was not meant
to go. Read first: RFC 3986 section 6.2.2, and the paths of openat(2).
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from creamery.carts.archives.archive import ItemRefused

_SEPARATORS = str.maketrans("\\", "/")
"""Some servers take both for the same."""

_MOST_SHOWN = 200
_MOST_CODINGS = 4
_CONTROL = re.compile("[\0-\x1f\x7f]")
_LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
_PLAIN = "!$&'()*+,;=:@~"  # RFC 3986 section 3.3: pchar


def refusal(item: str, reason: str) -> ItemRefused:
    """The error of one item: `data/x.nc: it is not there`."""
    return ItemRefused(f"{shown(item)}: {reason}")


def shown(item: str) -> str:
    """A name on one line, and not endless."""
    cut = item if len(item) <= _MOST_SHOWN else item[:_MOST_SHOWN] + "..."
    return cut if cut.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


def segments(item: str, path: str | None = None) -> list[str]:
    """The parts of a path that leads down from where it begins, and nowhere else. One slash may stand in front.

    Args:
        item: what it was called, for the error.
        path: the path, where that is only a part of `item` or another form of it.

    Raises:
        ItemRefused: it is empty, has `..`, `.`, `//` or control characters in it, or what is no text and no bytes.
    """
    text = item if path is None else path
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise refusal(item, "its name is no text") from error
    if _CONTROL.search(text):
        raise refusal(item, "a name has no control characters")
    parts = text.removeprefix("/").split("/")
    if not all(parts) or not {".", ".."}.isdisjoint(parts):
        raise refusal(item, "a path has no empty parts, and no `.` or `..` among them")
    return parts


def address_path(item: str, path: str | None = None, *, encoded: bool = False) -> str:
    """The same as a part of an address. What it holds stays down however often whoever reads it decodes it.

    Args:
        item: as `segments`.
        path: the same.
        encoded: it may be written as addresses are, `%20` for a space.

    Raises:
        ItemRefused: as `segments`.
    """
    parts = segments(item, path)
    text = "/".join(parts)
    for _ in range(_MOST_CODINGS):
        plain = text.translate(_SEPARATORS)
        if plain.startswith("/"):
            raise refusal(item, "a path has no empty parts, also where it is encoded")
        segments(item, plain)
        decoded = unquote(text, errors="surrogateescape")
        if decoded == text:
            return "/".join(_quoted(part, encoded=encoded) for part in parts)
        text = decoded
    raise refusal(item, "its name is encoded again and again")


def _quoted(part: str, *, encoded: bool) -> str:
    if not encoded:
        return quote(part, safe=_PLAIN, errors="surrogateescape")
    return quote(_LONE_PERCENT.sub("%25", part), safe=_PLAIN + "%", errors="surrogateescape")
