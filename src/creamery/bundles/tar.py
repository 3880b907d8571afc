"""A tar's layout: pax, and the same bytes for the same manifest for ever.

Read first: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header". A member has one ustar header where
its name is ASCII and fits (100 bytes, or 155 and 100 about a slash), its size is below 8 GiB and its time lies between
1970 and 2242; otherwise a pax header with what does not fit goes before it. So times of any sign and size are kept
exactly; what a reader's file system makes of them is its own affair. Mode 0644, no owner, no folders.

A header is byte for byte what Python's tarfile makes of the same name, size and whole seconds: as ustar where it can be
that, else as pax. Everything has learnt to read those.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from functools import lru_cache
from zlib import adler32

from creamery.bundles.manifest import Members

BLOCK = 512
RECORD = 10_240
"""The length of the whole is a multiple of it: what readers of tapes expected, and GNU tar still writes."""

_NAME, _PREFIX = 100, 155
_MOST = 8**11 - 1
"""Eleven octal digits: 8 GiB less one, and a moment of 2242."""

_OWNER = b"0000644\0" + b"0000000\0" * 2
_NO_CHECKSUM = b" " * 8
_OF_PAX = b"0000000\0" * 3
_BEFORE_PREFIX = bytes(100) + b"ustar\x0000" + bytes(80)
_PLAIN = b"0" + _BEFORE_PREFIX + bytes(167)
_PLAIN_SUM = sum(_NO_CHECKSUM) + sum(_PLAIN) - 1
_PAX_NAME = b"././@PaxHeader"
"""No reader shows it, and one without pax makes a single file of all of them."""

_PADDING = [bytes(length) for length in range(BLOCK)]


class Tar:
    """Keeps `layout._Form`'s promises. The padding behind a member counts to the header after it."""

    def __init__(self, members: Members, folder: bytes) -> None:
        self._members = members
        self._folder = folder
        self.ends = self._add_up()
        behind = self.ends[-1] if self.ends else 0
        self.length = -(-(behind + 2 * BLOCK) // RECORD) * RECORD

    def _add_up(self) -> array[int]:
        members, most_name = self._members, _NAME - len(self._folder)
        all_are_ascii = self._folder.isascii() and members.names.isascii()
        position = 0
        ends = array("Q", bytes(8 * len(members)))
        numbers = zip(members.name_lengths(), members.sizes, members.mtimes, strict=True)
        for index, (length, size, mtime) in enumerate(numbers):
            if all_are_ascii and length <= most_name and size <= _MOST and 0 <= mtime <= _MOST:
                header = BLOCK
            else:
                header = _header_length(self._folder + members.name(index), size, mtime)
            position += -position % BLOCK + header + size
            ends[index] = position
        return ends

    def heads(self, first: int, last: int, checksum: Callable[[int], int]) -> Iterator[bytes]:
        """As `_Form.heads`. This is what tiny members cost: 1 us each, where tarfile takes 20."""
        members, folder = self._members, self._folder
        names, name_ends, sizes, mtimes, ends = (
            members.names,
            members.name_ends,
            members.sizes,
            members.mtimes,
            self.ends,
        )
        behind = ends[first - 1] if first else 0
        name_start = name_ends[first - 1] if first else 0
        for index in range(first, last):
            name_end, size, mtime, end = name_ends[index], sizes[index], mtimes[index], ends[index]
            name = folder + names[name_start:name_end]
            padding = _PADDING[-behind % BLOCK]
            if end - size - behind - len(padding) == BLOCK and len(name) <= _NAME:
                told = b"%b%b%011o\0%011o\0" % (name.ljust(_NAME, b"\0"), _OWNER, size, mtime)
                yield b"%b%b%06o\0 %b" % (padding, told, (adler32(told) & 0xFFFF) + _PLAIN_SUM, _PLAIN)  # as `_sum`
            else:
                yield padding + _header(name, size, mtime)
            behind, name_start = end, name_end

    def tail(self, start: int, stop: int, checksum: Callable[[int], int]) -> Iterator[bytes]:
        """As `_Form.tail`: zeros, two blocks at least."""
        yield bytes(stop - start)


def _header(name: bytes, size: int, mtime: int) -> bytes:
    """All that stands before a member's bytes, whatever its name, size and time."""
    split = _split(name, size, mtime)
    if split is not None:
        return _block(split[1], size, mtime, b"0", split[0])
    records = _records(name, size, mtime)
    return b"%b%b%b%b" % (
        _block(_PAX_NAME, len(records), 0, b"x"),
        records,
        _PADDING[-len(records) % BLOCK],
        _block(
            name.decode().encode("ascii", "replace")[:_NAME],
            size if size <= _MOST else 0,
            mtime if 0 <= mtime <= _MOST else 0,
            b"0",
        ),
    )


def _header_length(name: bytes, size: int, mtime: int) -> int:
    """The length of what `_header` makes."""
    if _split(name, size, mtime) is not None:
        return BLOCK
    if size <= _MOST and 0 <= mtime <= _MOST:
        return _length_for_name(len(name))
    records = len(_records(name, size, mtime))
    return 2 * BLOCK + records + -records % BLOCK


@lru_cache(1_024)
def _length_for_name(length: int) -> int:
    """The same for a name that does not fit, and alone does not."""
    records = len(_record(b"path", bytes(length)))
    return 2 * BLOCK + records + -records % BLOCK


def _split(name: bytes, size: int, mtime: int) -> tuple[bytes, bytes] | None:
    """What a ustar header has as prefix and as name; None where it cannot say all of a member."""
    if size > _MOST or not 0 <= mtime <= _MOST or not name.isascii():
        return None
    if len(name) <= _NAME:
        return b"", name
    cut = name.find(b"/", len(name) - _NAME - 1)
    return (name[:cut], name[cut + 1 :]) if 0 < cut <= _PREFIX else None


def _records(name: bytes, size: int, mtime: int) -> bytes:
    """What a ustar header cannot say, in pax's words and in this order for ever."""
    records = b""
    if len(name) > _NAME or not name.isascii():
        records = _record(b"path", name)
    if size > _MOST:
        records += _record(b"size", b"%d" % size)
    if not 0 <= mtime <= _MOST:
        records += _record(b"mtime", b"%d" % mtime)
    return records


def _record(key: bytes, value: bytes) -> bytes:
    """A record begins with its own length, its digits included."""
    without = len(key) + len(value) + 3
    length = without + len(str(without))
    return b"%d %b=%b\n" % (without + len(str(length)), key, value)


def _block(name: bytes, size: int, mtime: int, kind: bytes, prefix: bytes = b"") -> bytes:
    owner = _OF_PAX if kind == b"x" else _OWNER
    before = b"%b%b%011o\0%011o\0" % (name.ljust(_NAME, b"\0"), owner, size, mtime)
    after = b"%b%b%b%b" % (kind, _BEFORE_PREFIX, prefix.ljust(_PREFIX, b"\0"), bytes(12))
    return b"%b%06o\0 %b" % (before, _sum(before) + sum(_NO_CHECKSUM) + _sum(after), after)


def _sum(ascii_bytes: bytes) -> int:
    """Of the bytes of a header, or of a part of one.

    Adler-32's lower half is 1 and the sum of all bytes, modulo 65,521; 512 bytes of ASCII stay below. It takes a
    twentieth of what `sum` takes.
    """
    return (adler32(ascii_bytes) & 0xFFFF) - 1
