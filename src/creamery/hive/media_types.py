"""What a file is, by its name, where nobody has said it."""

from __future__ import annotations

import mimetypes
from functools import lru_cache

UNKNOWN = "application/octet-stream"

_NEWER = {
    ".7z": "application/x-7z-compressed",
    ".flac": "audio/flac",
    ".gz": "application/gzip",
    ".md": "text/markdown",
    ".mkv": "video/x-matroska",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ogg": "audio/ogg",
    ".woff2": "font/woff2",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@lru_cache(1)
def by_suffix() -> dict[str, str]:
    """Media types by a name's last dot and what is behind it, in small letters: Python's own, not this machine's."""
    return {**mimetypes.MimeTypes().types_map[True], **_NEWER}


def media_type_of(name: str) -> str:
    """The media type of a file of this name; `mimetypes.guess_type` takes it for an address and is ten times slower."""
    return by_suffix().get(name[name.rfind(".") :].lower(), UNKNOWN)  # without a dot: its last letter, which is none
