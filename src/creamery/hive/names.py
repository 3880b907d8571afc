r"""Names of files and folders, and the paths that are made of them.

A name is kept as it was sent and found by its key (`key_of`), so that what a Mac writes (NFD) is found by what others
write (NFC). A path is read once, here, from the bytes of the request's line: whoever decodes it first, and splits it
then, takes `%2F` for a slash and reaches another file than the one named.

Standards: RFC 3986 section 2 (percent escapes), RFC 4918 section 8.3 (hrefs), XML 1.0 section 2.2 (what a listing can
hold: one name with U+0001 in it, and nobody can list its folder any more).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote_to_bytes

MAX_NAME_BYTES = 255
MAX_SEGMENTS = 128

CasePolicy = Literal["sensitive", "preserving"]
"""Are `a` and `A` two files, or one that keeps the name it was made with?"""

SAFE = "-._~!$&'()*+,;=:@"
"""What stands in a segment of an href as it is, beside letters and digits (RFC 3986 section 3.3)."""

_SHOWN = 80

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
_NOT_IN_WINDOWS = re.compile(r'[\\:*?"<>|]')
_WINDOWS_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\xb9\xb2\xb3]) *(?:[.:].*)?", re.IGNORECASE
)

is_plain = re.compile(f"[A-Za-z0-9{re.escape(SAFE)}]*").fullmatch
"""Is there nothing in this text that an href would have to escape?"""


class NameRefused(ValueError):
    """No file or folder may be called so. The text says why and what to do.

    Attributes:
        name: what was sent, cut short; never to be used for anything but telling it.
        reason: what is wrong with it, as the end of a sentence that begins with the name.
    """

    def __init__(self, name: str, reason: str, remedy: str = "Choose another name.") -> None:
        self.name = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
        self.reason = reason
        super().__init__(
            f"{ascii(self.name) if _UNPRINTABLE.search(self.name) else repr(self.name)} {reason}. {remedy}"
        )


@dataclass(frozen=True, slots=True)
class TreePath:
    """Where something is, from the root of its tree down.

    Attributes:
        segments: the names, as they were sent; none: the root itself.
        is_folder: it was written with a slash at the end, and so cannot mean a file.
    """

    segments: tuple[str, ...]
    is_folder: bool

    @property
    def name(self) -> str:
        """The last segment; empty for the root."""
        return self.segments[-1] if self.segments else ""

    @property
    def parent(self) -> TreePath:
        """The folder that it is in; the root's is the root."""
        return TreePath(self.segments[:-1], is_folder=True)


def parse_path(raw: bytes) -> TreePath:
    """The path that a request's line, a `Destination`, a tag in `If` or an href names, below the tree's own address.

    One slash at its beginning may be missing. Whether `a` is a folder although it has no slash at its end is for the
    tree to say: many clients leave it out.

    Raises:
        NameRefused: a segment that is no name (see `parse_segment`), an empty one (`//`), or more than 128.
    """
    pieces = raw.removeprefix(b"/").split(b"/")
    is_folder = not pieces[-1]
    if is_folder:
        pieces.pop()
    if len(pieces) > MAX_SEGMENTS:
        raise NameRefused(
            _shown(raw), f"is {len(pieces)} folders deep, and {MAX_SEGMENTS} is the most", "Move it higher up."
        )
    return TreePath(tuple([parse_segment(piece) for piece in pieces]), is_folder)


def parse_segment(raw: bytes) -> str:
    """The name that one segment of an address stands for: escapes decoded once, `+` a plus.

    Raises:
        NameRefused: `%` without two digits behind it, not UTF-8, an escaped slash, or what `check_name` refuses.
    """
    if b"%" not in raw:
        decoded = raw
    elif _BROKEN_ESCAPE.search(raw):
        raise NameRefused(_shown(raw), "has a '%' without two hexadecimal digits behind it", "Write it as '%25'.")
    else:
        decoded = unquote_to_bytes(raw)
    try:
        name = decoded.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NameRefused(_shown(raw), "is not UTF-8", "Send it in UTF-8, with percent escapes.") from error
    return check_name(name)


def check_name(name: str, *, refuse_windows_names: bool = False) -> str:
    """The name itself, where something can be called so. For names from JSON, archives and folders of disks too.

    Args:
        name: what somebody wants to call it.
        refuse_windows_names: refuse also what Windows cannot show: `NUL`, `a:b`, a dot or blank at the end. For new
            names only, or what is there already could not be reached any more.

    Raises:
        NameRefused: it is empty, `.` or `..`, has a slash, a control character or another that XML cannot hold, or
            more than 255 bytes in UTF-8.
    """
    if not name:
        raise NameRefused(name, "is an empty name", "Write one slash where two are.")
    if name in {".", ".."}:
        raise NameRefused(name, "means a folder and is no name", "Write the path that it stands for.")
    if "/" in name:
        raise NameRefused(name, "has a slash in it, which only stands between names")
    if found := _UNPRINTABLE.search(name):
        raise NameRefused(name, f"holds the character U+{ord(found.group()):04X}, which no listing could show")
    if len(name) > MAX_NAME_BYTES // 4 and (size := len(name.encode())) > MAX_NAME_BYTES:
        raise NameRefused(
            name, f"has {size} bytes in UTF-8, and {MAX_NAME_BYTES} is the most", "Choose a shorter name."
        )
    if refuse_windows_names:
        _refuse_windows_name(name)
    return name


def _refuse_windows_name(name: str) -> None:
    """What Windows cannot hold (learn.microsoft.com, "Naming Files, Paths, and Namespaces")."""
    if found := _NOT_IN_WINDOWS.search(name):
        raise NameRefused(name, f"has a {found.group()!r} in it, which Windows cannot show")
    if name.endswith((".", " ")):
        raise NameRefused(name, "ends with a dot or a blank, which Windows leaves out")
    if _WINDOWS_DEVICE.fullmatch(name):
        raise NameRefused(name, "is the name of a device on Windows")


def _shown(raw: bytes) -> str:
    return raw[: _SHOWN + 1].decode("ascii", "backslashreplace")


def key_of(name: str, policy: CasePolicy) -> str:
    """What must be unique in a folder: NFC of the name; with `preserving`, of its case folded form.

    It has at most as many characters as the name has bytes in UTF-8, so that 255 hold it, and it may have three times
    its bytes (U+1D160). A Python with a newer Unicode gives the same keys for the characters that the older one knew.
    """
    if name.isascii():
        return name if policy == "sensitive" else name.lower()
    composed = unicodedata.normalize("NFC", name)
    return composed if policy == "sensitive" else unicodedata.normalize("NFC", composed.casefold())


def quote_segment(name: str) -> str:
    """A name as one segment of an address: UTF-8, escapes in capitals. XML wants `&` escaped in addition."""
    return name if is_plain(name) else quote(name, safe=SAFE)


def href(segments: Sequence[str], is_folder: bool) -> str:  # noqa: FBT001 - a pair, as TreePath has it
    """The path as an absolute path of an address, a folder's with a slash at its end; `parse_path` reads it back."""
    path = "/".join([quote_segment(segment) for segment in segments])
    return f"/{path}/" if is_folder and path else f"/{path}"
