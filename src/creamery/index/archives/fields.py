"""Fields as METADATA, PKG-INFO and WHEEL have them: `Name: value` lines, folded ones indented, until an empty line.

Read before any parser of mail sees them, because such a parser goes on silently where a line is no field, keeps a
string for every line, and takes a lone carriage return for the end of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from creamery.index.archives.refusal import BadArchive, shown

_NAME = re.compile(rb"([A-Za-z][A-Za-z0-9-]*):")
_END = re.compile(rb"\n(?![ \t])")
_UNWANTED = re.compile(rb"\0|\r(?!\n)")


def read_fields(text: bytes, of: str) -> Iterator[tuple[str, int, int]]:
    """Each field's name in lowercase, and where it begins and ends; the last, without a name, is the body.

    Raises:
        BadArchive: a line is no field, or holds a character that no field has.
    """
    at = 0
    while at < len(text) and not text.startswith((b"\n", b"\r\n"), at):
        name = _NAME.match(text, at)
        if name is None:
            line = text[at : at + 200].partition(b"\n")[0]
            raise BadArchive(f"{of} has a line that is no field: {shown(line)}. Build it anew.")
        found = _END.search(text, at)
        end = found.end() if found else len(text)
        if _UNWANTED.search(text, at, end):
            raise BadArchive(f"{of} has a control character in {shown(name[1])}. Correct that field.")
        yield name[1].decode().lower(), at, end
        at = end
    yield "", at, len(text)
