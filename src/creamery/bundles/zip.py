"""A zip's layout: stored, not compressed, and the same bytes for the same manifest for ever.

Read first: PKWARE's APPNOTE 6.3 (4.3.7 local headers, 4.3.12 the directory, 4.3.14 zip64, 4.4.4 flag 11), Info-ZIP's
proginfo/extrafld.txt ("UT"). Zip64's fields are there only where a number does not fit without. Each CRC-32 stands in
the headers, so there are no data descriptors; no length depends on one, and it is asked for when its header is read.

A time is kept twice, in UTC: in DOS's field, which knows 1980 to 2107 in steps of two seconds, and as "UT" in whole
seconds. The latter's 32 bits are signed to some readers and unsigned to others; 1970 to 2106 is what all that were
tried read right, and what lies outside becomes the nearest end.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache

from creamery.bundles.manifest import Members

_MOST_32 = 0xFFFF_FFFF
"""As large as this is not itself: it says that zip64's field has the number."""
_MOST_16 = 0xFFFF

_LOCAL = struct.Struct("<4s3H4I2H")
_ENTRY = struct.Struct("<4s4H4I5H2I")
_TIME = struct.Struct("<2sHBI")
_SIZES = struct.Struct("<2H2Q")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")

_PLAIN, _ZIP64 = 10, 45
"""Which version of zip a reader must know."""
_MADE_BY = 3 << 8 | _ZIP64  # Unix: the mode below is Unix's
_MODE = 0o100644 << 16
_UTF8 = 1 << 11

_DAY = 86_400
_FIRST_DOS, _LAST_DOS = 315_532_800, 4_354_819_198  # 1980, and the last two seconds of 2107


class Zip:
    """Keeps `layout._Form`'s promises."""

    def __init__(self, members: Members, folder: bytes) -> None:
        self._members = members
        self._folder = folder
        self._all_are_ascii = folder.isascii() and members.names.isascii()
        self.ends = self._add_up()
        self._directory = self.ends[-1] if self.ends else 0
        self._entry_ends = self._add_up_directory()
        self._end = self._entry_ends[-1] if self._entry_ends else 0
        self.length = self._end + len(self._closing())

    def _add_up(self) -> array[int]:
        ends = array("Q", bytes(8 * len(self._members)))
        position, fixed = 0, _LOCAL.size + len(self._folder) + _TIME.size
        numbers = zip(self._members.name_lengths(), self._members.sizes, strict=True)
        for index, (length, size) in enumerate(numbers):
            position += fixed + length + size
            if size >= _MOST_32:
                position += _SIZES.size
            ends[index] = position
        return ends

    def _add_up_directory(self) -> array[int]:
        ends = array("Q", bytes(8 * len(self._members)))
        position, fixed = self._directory, _ENTRY.size + len(self._folder) + _TIME.size
        behind = 0
        numbers = zip(self._members.name_lengths(), self._members.sizes, self.ends, strict=True)
        for index, (length, size, end) in enumerate(numbers):
            position += fixed + length
            if size >= _MOST_32 or behind >= _MOST_32:
                position += len(_zip64(size, behind))
            ends[index] = position
            behind = end
        return ends

    def heads(self, first: int, last: int, checksum: Callable[[int], int]) -> Iterator[bytes]:
        """As `_Form.heads`: the local headers."""
        for index in range(first, last):
            name, size, seconds, moment, flags = self._facts(index)
            if size < _MOST_32:
                fields = _LOCAL.pack(
                    *(b"PK\3\4", _PLAIN, flags, 0, moment, checksum(index), size, size, len(name), _TIME.size)
                )
                yield fields + name + _TIME.pack(b"UT", 5, 1, seconds)
            else:
                extra = _SIZES.pack(1, 16, size, size) + _TIME.pack(b"UT", 5, 1, seconds)
                fields = _LOCAL.pack(
                    *(b"PK\3\4", _ZIP64, flags, 0, moment, checksum(index)),
                    *(_MOST_32, _MOST_32, len(name), len(extra)),
                )
                yield fields + name + extra

    def tail(self, start: int, stop: int, checksum: Callable[[int], int]) -> Iterator[bytes]:
        """As `_Form.tail`: the directory, and its end."""
        ends = self._entry_ends
        first, last = bisect_right(ends, start), bisect_left(ends, stop)
        skipped = start - (ends[first - 1] if first else self._directory)
        for index in range(first, min(last + 1, len(ends))):
            entry = self._entry(index, checksum(index))
            if index == last:
                entry = entry[: len(entry) - (ends[index] - stop)]
            yield entry[skipped:] if skipped else entry
            skipped = 0
        if stop > self._end:
            yield self._closing()[max(start - self._end, 0) : stop - self._end]

    def _entry(self, index: int, crc32: int) -> bytes:
        """The directory's entry of a member."""
        name, size, seconds, moment, flags = self._facts(index)
        offset = self.ends[index - 1] if index else 0
        if size < _MOST_32 and offset < _MOST_32:
            fields = _ENTRY.pack(
                *(b"PK\1\2", _MADE_BY, _PLAIN, flags, 0, moment, crc32, size, size),
                *(len(name), _TIME.size, 0, 0, 0, _MODE, offset),
            )
            return fields + name + _TIME.pack(b"UT", 5, 1, seconds)
        extra = _zip64(size, offset) + _TIME.pack(b"UT", 5, 1, seconds)
        shown = min(size, _MOST_32)
        fields = _ENTRY.pack(
            *(b"PK\1\2", _MADE_BY, _ZIP64, flags, 0, moment, crc32, shown, shown),
            *(len(name), len(extra), 0, 0, 0, _MODE, min(offset, _MOST_32)),
        )
        return fields + name + extra

    def _facts(self, index: int) -> tuple[bytes, int, int, int, int]:
        """Name, size, "UT"'s seconds, DOS's date and time, flags."""
        members = self._members
        names, ends = members.names, members.name_ends
        name = self._folder + names[ends[index - 1] if index else 0 : ends[index]]
        mtime = members.mtimes[index]
        seconds = mtime if 0 <= mtime <= _MOST_32 else min(max(mtime, 0), _MOST_32)
        flags = 0 if self._all_are_ascii or name.isascii() else _UTF8
        return name, members.sizes[index], seconds, _moment(mtime), flags

    def _closing(self) -> bytes:
        """The directory's end, with zip64's before it where a number of its needs that."""
        count, begin, size = len(self.ends), self._directory, self._end - self._directory
        closing = _END.pack(
            *(b"PK\5\6", 0, 0, min(count, _MOST_16), min(count, _MOST_16), min(size, _MOST_32), min(begin, _MOST_32), 0)
        )
        if count < _MOST_16 and size < _MOST_32 and begin < _MOST_32:
            return closing
        return b"".join(
            (
                _END_64.pack(b"PK\6\6", _END_64.size - 12, _MADE_BY, _ZIP64, 0, 0, count, count, size, begin),
                _LOCATOR.pack(b"PK\6\7", 0, self._end, 1),
                closing,
            )
        )


def _zip64(size: int, offset: int) -> bytes:
    """The field of an entry of the directory: only what does not fit without, in this order."""
    numbers: tuple[int, ...] = (size, size) if size >= _MOST_32 else ()
    if offset >= _MOST_32:
        numbers += (offset,)
    return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""


def _moment(mtime: int) -> int:
    """DOS's date and, in the lower half, its time of day."""
    if not _FIRST_DOS <= mtime <= _LAST_DOS:
        mtime = min(max(mtime, _FIRST_DOS), _LAST_DOS)
    day, second = divmod(mtime, _DAY)
    return _date(day) | second // 3_600 << 11 | second // 60 % 60 << 5 | second % 60 // 2


@lru_cache(4_096)
def _date(day: int) -> int:
    begins = datetime.fromtimestamp(day * _DAY, UTC)
    return ((begins.year - 1980) << 9 | begins.month << 5 | begins.day) << 16
