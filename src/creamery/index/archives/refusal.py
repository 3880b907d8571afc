"""The one way in which an upload is refused."""

from __future__ import annotations

_MOST_SHOWN, _MOST_TOLD = 120, 320


class BadArchive(Exception):
    """An upload that is not published. `reason` says what stands in the way and what its packager does next."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def shown(name: bytes | str) -> str:
    """A hostile name as a reason may hold it: quoted, escaped, in ASCII, and not too long."""
    text = name.decode(errors="backslashreplace") if isinstance(name, bytes) else name
    return ascii(_cut(text, _MOST_SHOWN))


def told(error: Exception) -> str:
    """What a library says, which may repeat hostile text, as a reason may hold it: one line of ASCII, not too long."""
    return _cut(str(error), _MOST_TOLD).encode("unicode_escape").decode().replace("\\\\", "\\")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 :]}"
