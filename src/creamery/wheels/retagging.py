"""A wheel written anew with other platform tags: the rest of it stays as it is, to the byte.

Read first: the binary distribution format (PEP 427, PEP 491), and PKWARE's APPNOTE 4.3 for the frame of a zip. Files
that do not change are copied compressed as they lie, and the frame is written here and not by `zipfile`: so the same
wheel always becomes the same bytes, whichever Python and zlib are here. Descriptors and extra fields (times to the
second, owners) go; order, dates, modes and contents stay.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from packaging.utils import parse_wheel_filename

PIECE = 1024 * 1024

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_END = struct.Struct("<4sHHHHIIH")
_FULL, _FULL_COUNT = 0xFFFFFFFF, 0xFFFF
_PLAIN, _ZIP64 = 20, 45
"""Versions of the format that a reader needs."""

_UTF8 = 1 << 11
_TAG = re.compile(rb"tag[ \t]*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Header:
    """What both headers of a member say."""

    name: bytes
    method: int
    time: int
    date: int
    crc: int
    compressed: int
    size: int
    attributes: int
    internal: int
    maker: int


def retag(source: BinaryIO, filename: str, platform_tags: Sequence[str], out: BinaryIO) -> str:
    """Write a wheel for other platforms. For a thread; a piece of a file is in memory at a time, and its RECORD.

    Args:
        source: a wheel that was found sound.
        filename: its name.
        platform_tags: what it is for; interpreter and ABI stay.
        out: takes what is written from its first byte to its last; it is never sought in.

    Returns:
        Its new name.
    """
    name = retagged_name(filename, platform_tags)
    frame = _Frame(out)
    with zipfile.ZipFile(source) as old:
        info = next(each for each in old.namelist() if each.endswith(".dist-info/WHEEL") and each.count("/") == 1)
        folder = info.removesuffix("WHEEL")
        signatures = {folder + "RECORD.jws", folder + "RECORD.p7s"}
        wheel = _with_tags(old.read(info), name)
        record = _with_line(old.read(folder + "RECORD"), info, wheel, signatures)
        changed = {info: wheel, folder + "RECORD": record}
        for member in old.infolist():
            if member.filename in signatures:
                continue  # they sign what RECORD was
            body = changed.get(member.filename)
            if body is None:
                frame.add(_header(member), _compressed(source, member))
            else:  # stored: other zlibs would compress it to other bytes
                frame.add(_header(member, body), [body])
    frame.end()
    return name


def retagged_name(filename: str, platform_tags: Sequence[str]) -> str:
    """A wheel's name with other platform tags, sorted."""
    stem = filename.removesuffix(".whl").rsplit("-", 1)[0]
    return f"{stem}-{'.'.join(sorted(platform_tags))}.whl"


def _with_tags(wheel: bytes, name: str) -> bytes:
    """WHEEL with the tags of a name where its own began; every other line as it was."""
    lines = wheel.splitlines(keepends=True)  # of bytes: at \r and \n alone
    fields = next((at for at, line in enumerate(lines) if not line.strip()), len(lines))  # behind them is no field
    first = next(at for at, line in enumerate(lines[:fields]) if _TAG.match(line))
    end = b"\r\n" if lines[first].endswith(b"\r\n") else b"\n"
    tags = [f"Tag: {tag}".encode() + end for tag in sorted(map(str, parse_wheel_filename(name)[3]))]
    rest = [line for line in lines[first:fields] if not _TAG.match(line)]
    return b"".join([*lines[:first], *tags, *rest, *lines[fields:]])


def _with_line(record: bytes, info: str, wheel: bytes, signatures: set[str]) -> bytes:
    """RECORD with the new digest and size of WHEEL, and without the signatures; every other line as it was."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(wheel).digest()).rstrip(b"=").decode()
    lines = []
    for line in record.splitlines(keepends=True):
        row = next(csv.reader([line.decode()]), [""])  # a path has no line feed in it: that was seen before
        if row and row[0] in signatures:
            continue
        if row and row[0] == info:
            written, end = line.rstrip(b"\r\n"), b"\r\n" if line.endswith(b"\r\n") else b"\n"
            path = written.removesuffix(f",{row[1]},{row[2]}".encode())  # in quotes, if it was
            lines.append(path + f",sha256={digest},{len(wheel)}".encode() + end)
        else:
            lines.append(line)
    return b"".join(lines)


def _header(member: zipfile.ZipInfo, body: bytes | None = None) -> _Header:
    """A member's header as it was, or for another content, which is stored."""
    year, month, day, hour, minute, second = member.date_time
    return _Header(
        member.filename.encode(),
        member.compress_type if body is None else zipfile.ZIP_STORED,
        hour << 11 | minute << 5 | second // 2,
        (year - 1980) << 9 | month << 5 | day,
        member.CRC if body is None else zlib.crc32(body),
        member.compress_size if body is None else len(body),
        member.file_size if body is None else len(body),
        member.external_attr,
        member.internal_attr,
        member.create_system,
    )


def _compressed(source: BinaryIO, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """A member's compressed bytes as they lie."""
    source.seek(member.header_offset)
    header = _LOCAL.unpack(source.read(_LOCAL.size))
    source.seek(header[9] + header[10], os.SEEK_CUR)
    left = member.compress_size
    while left:
        piece = source.read(min(PIECE, left))
        if not piece:
            raise EOFError(f"{member.filename} ends before its bytes do")
        left -= len(piece)
        yield piece


class _Frame:
    """A zip that is being written, from its first byte to its last."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._at = 0
        self._count = 0
        self._directory = bytearray()

    def add(self, header: _Header, content: Iterator[bytes] | Sequence[bytes]) -> None:
        """A member (APPNOTE 4.3.7, 4.3.12); sizes and places beyond 32 bits stand in extra fields (4.5.3)."""
        offset, sizes = self._at, (header.compressed, header.size)
        is_long = max(sizes) >= _FULL
        local_extra = struct.pack("<HHQQ", 1, 16, header.size, header.compressed) if is_long else b""
        far = struct.pack("<Q", offset) if offset >= _FULL else b""
        numbers = local_extra[4:] + far
        central_extra = struct.pack("<HH", 1, len(numbers)) + numbers if numbers else b""
        needed = _ZIP64 if numbers else _PLAIN
        flags = 0 if header.name.isascii() else _UTF8
        both = (flags, header.method, header.time, header.date, header.crc, *((_FULL, _FULL) if is_long else sizes))
        self._write(
            _LOCAL.pack(b"PK\3\4", _ZIP64 if is_long else _PLAIN, *both, len(header.name), len(local_extra))
            + header.name
            + local_extra
        )
        for piece in content:
            self._write(piece)
        self._directory += _CENTRAL.pack(
            b"PK\1\2",
            header.maker << 8 | needed,
            needed,
            *both,
            len(header.name),
            len(central_extra),
            0,
            0,
            header.internal,
            header.attributes,
            min(offset, _FULL),
        )
        self._directory += header.name + central_extra
        self._count += 1

    def end(self) -> None:
        """The directory of all members, and the end (APPNOTE 4.3.14 to 4.3.16)."""
        start, length, count = self._at, len(self._directory), self._count
        self._write(bytes(self._directory))
        if start >= _FULL or count >= _FULL_COUNT:
            record = self._at
            self._write(_END64.pack(b"PK\6\6", 44, _ZIP64, _ZIP64, 0, 0, count, count, length, start))
            self._write(_LOCATOR.pack(b"PK\6\7", 0, record, 1))
        short = min(count, _FULL_COUNT)
        self._write(_END.pack(b"PK\5\6", 0, 0, short, short, min(length, _FULL), min(start, _FULL), 0))

    def _write(self, piece: bytes) -> None:
        self._out.write(piece)
        self._at += len(piece)
