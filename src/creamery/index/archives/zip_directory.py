"""The directory of a zip: its end record, zip64 records and central headers (APPNOTE 4.3.12 to 4.3.16), read strictly.

Readers of zips disagree about files that hold two ends, gaps, or a directory that is not where it says. Here a zip is
one thing from its first byte to its last: members, central directory, zip64 records where there are any, end record,
its comment. Nothing stands before, between or behind.
"""

from __future__ import annotations

import io
import stat
import struct
from dataclasses import dataclass
from typing import BinaryIO

from creamery.index.archives.budget import check_inflated, check_members, check_names
from creamery.index.archives.paths import Tree, check_path
from creamery.index.archives.refusal import BadArchive, shown
from creamery.index.archives.tape import Tape
from creamery.index.archives.zip_extra import resolve_central, zip64_field
from creamery.limits import Limits

STORED, DEFLATED = 0, 8
DESCRIPTOR_FOLLOWS = 1 << 3

_UTF8 = 1 << 11
_KNOWN_FLAGS = 0b110 | DESCRIPTOR_FOLLOWS | _UTF8  # the first two say how hard a compressor tried
_ENCRYPTED = 1 | 1 << 6 | 1 << 13
_NEWEST = 45  # "version needed": zip64; later ones are for encryption and other compressors

_MAKERS = frozenset({0, 3, 10, 11, 14, 19})
"""Systems that zips of distributions are made on: FAT, Unix, NTFS (by both its numbers), VFAT, macOS. Readers take a
member's attributes and the letters of its name as the others have them; all that build wheels write the first two."""

_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_LOCAL_BYTES = 30
_LONGEST_COMMENT = 0xFFFF
_DOS_FOLDER, _DOS_VOLUME = 0x10, 0x08

_REBUILD = "Build the archive with a build tool, `python -m build`."


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the central directory has it."""

    name: bytes
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    offset: int

    @property
    def is_folder(self) -> bool:
        """Folders end in a slash, and only they."""
        return self.name.endswith(b"/")

    @property
    def path(self) -> bytes:
        """The name without that slash."""
        return self.name[:-1] if self.is_folder else self.name


@dataclass(frozen=True, slots=True)
class Directory:
    """A zip's members in the order of their bytes, and where the last of these ends."""

    members: list[Member]
    start: int


def read_directory(stream: BinaryIO, size: int, limits: Limits) -> Directory:
    """The directory of a zip of `size` bytes.

    Raises:
        BadArchive: there is none, or it can be read in two ways, or what it lists may not be unpacked.
    """
    start, length, count = _find_directory(stream, size)
    check_members(count, limits)
    check_names(length, limits)
    members = _read_headers(Tape(stream, start, size).take(length), count)
    for member in members:
        check_path(member.path, limits)
    members.sort(key=lambda member: member.offset)
    _check_overlap(members, start)
    compressed = sum(member.compressed for member in members)
    check_inflated(sum(member.size for member in members), compressed, limits)
    Tree((member.path, member.is_folder) for member in members)
    return Directory(members, start)


def _find_directory(stream: BinaryIO, size: int) -> tuple[int, int, int]:
    """Where the central directory begins, how long it is, how many members it has."""
    tail_bytes = min(size, _LONGEST_COMMENT + _END.size + _LOCATOR.size + _END64.size)
    tail = Tape(stream, size - tail_bytes, size).take(tail_bytes)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise BadArchive(f"The file is no zip, or was cut off: it has no end record. {_REBUILD}")
    _, disk, first_disk, count_here, count, length, start, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        raise BadArchive(
            "The zip does not end with its end record: something follows, or a second end hides in its comment."
            f" {_REBUILD}"
        )
    if disk or first_disk or count_here != count:
        raise BadArchive(f"The zip is a part of a split archive. {_REBUILD}")
    end = size - len(tail) + at
    if at >= _LOCATOR.size and tail[at - _LOCATOR.size :].startswith(b"PK\x06\x07"):
        end, start, length, count = _read_zip64(tail, at, end, (start, length, count))
    if start + length != end:
        raise BadArchive(
            "The zip's central directory does not stand directly before its end: bytes hide there, stand before the"
            f" zip, or were lost. {_REBUILD}"
        )
    return start, length, count


def _read_zip64(tail: bytes, at: int, end: int, short: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The same from the zip64 end record, and where that begins; what the end record says itself must agree."""
    _, locator_disk, offset, disks = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
    record = at - _LOCATOR.size - _END64.size
    expected = end - _LOCATOR.size - _END64.size
    if record < 0 or locator_disk or disks != 1 or offset != expected:
        raise BadArchive(f"The zip64 end record is not where the zip says. {_REBUILD}")
    signature, length64, _, needed, disk, first_disk, count_here, count, length, start = _END64.unpack_from(
        tail, record
    )
    values = (start, length, count)
    agrees = all(
        brief in {full, limit}
        for brief, full, limit in zip(short, values, (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF), strict=True)
    )
    if signature != b"PK\x06\x06" or length64 != _END64.size - 12 or needed > _NEWEST:
        raise BadArchive(f"The zip64 end record is none, or has parts that not every reader knows. {_REBUILD}")
    if disk or first_disk or count_here != count or not agrees:
        raise BadArchive(f"The zip's end record and its zip64 end record contradict each other. {_REBUILD}")
    return expected, start, length, count


def _read_headers(directory: bytes, count: int) -> list[Member]:
    headers = io.BytesIO(directory)
    members = []
    for _ in range(count):
        header = headers.read(_CENTRAL.size)
        if len(header) != _CENTRAL.size or not header.startswith(b"PK\x01\x02"):
            raise BadArchive(f"The zip's central directory has fewer members than its end record says. {_REBUILD}")
        members.append(_read_header(header, headers))
    if headers.read(1):
        raise BadArchive(f"The zip's central directory has more members than its end record says. {_REBUILD}")
    return members


def _read_header(header: bytes, rest: io.BytesIO) -> Member:
    (_, made, needed, flags, method, _, _, crc, compressed, size, *lengths, disk, _, attributes, offset) = (
        _CENTRAL.unpack(header)
    )
    name, extra, comment = (rest.read(length) for length in lengths)
    if [len(name), len(extra), len(comment)] != lengths:
        raise BadArchive(f"The zip's central directory was cut off. {_REBUILD}")
    if comment:
        raise BadArchive(f"{shown(name)} has a comment, where bytes can hide. {_REBUILD}")
    if disk:
        raise BadArchive(f"{shown(name)} lies in another part of a split archive. {_REBUILD}")
    size, compressed, offset = resolve_central(name, zip64_field(extra, name), (size, compressed, offset))
    member = Member(name, flags, method, crc, compressed, size, offset)
    check_needed(member, needed)
    if made >> 8 not in _MAKERS:
        raise BadArchive(
            f"{shown(name)} was made on a system that readers do not know alike (number {made >> 8}). {_REBUILD}"
        )
    _check_kind(member)
    _check_attributes(member, attributes)
    return member


def check_needed(member: Member, needed: int) -> None:
    """See that every reader has what a header says is needed for a member.

    Its high byte is 0 wherever zips are built; where it says VMS, Info-ZIP's unzip passes the member over.

    Raises:
        BadArchive: it needs another version, or another system.
    """
    if needed > _NEWEST:
        raise BadArchive(
            f"{shown(member.name)} needs a newer zip, or another system, than readers of wheels know"
            f" (version {needed & 0xFF}, system {needed >> 8}). {_REBUILD}"
        )


def _check_kind(member: Member) -> None:
    name = shown(member.name)
    if member.flags & _ENCRYPTED:
        raise BadArchive(f"{name} is encrypted; distributions are not. {_REBUILD}")
    if member.method not in {STORED, DEFLATED}:
        raise BadArchive(
            f"{name} is compressed with method {member.method}; stored and deflated ones are read everywhere."
        )
    if member.flags & ~_KNOWN_FLAGS:
        raise BadArchive(
            f"{name} needs a newer zip than readers of wheels know (flags {member.flags:#06x}). {_REBUILD}"
        )
    if not member.flags & _UTF8 and not member.name.isascii():
        raise BadArchive(f"The name {name} does not say that it is UTF-8, so that readers guess. {_REBUILD}")
    if member.method == STORED and member.compressed != member.size:
        raise BadArchive(f"{name} is stored, in {member.compressed} bytes, and has {member.size}. {_REBUILD}")
    if member.method == STORED and member.flags & DESCRIPTOR_FOLLOWS and member.size:
        raise BadArchive(f"{name} is stored and streamed: its end can only be guessed. {_REBUILD}")
    if member.is_folder and (member.size or member.crc):
        raise BadArchive(f"{name} is a folder and has content. {_REBUILD}")


def _check_attributes(member: Member, attributes: int) -> None:
    """A member is what its name says: not a link or a device, which only the attributes tell."""
    kind = stat.S_IFMT(attributes >> 16)
    folder = bool(attributes & _DOS_FOLDER) or kind == stat.S_IFDIR
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR} or attributes & _DOS_VOLUME:
        raise BadArchive(
            f"{shown(member.name)} is a symbolic link, a device or the like; wheels and sdists in zips have files only."
            " Put the file itself there."
        )
    if (folder and not member.is_folder) or (kind == stat.S_IFREG and member.is_folder):
        raise BadArchive(f"{shown(member.name)} is a file by its name or its attributes, and a folder by the other.")


def _check_overlap(members: list[Member], end: int) -> None:
    """Each member ends before the next begins; that nothing stands between them is seen when they are read."""
    offsets = [*(member.offset for member in members), end]
    for member, after in zip(members, offsets[1:], strict=True):
        if member.offset + _LOCAL_BYTES + len(member.name) + member.compressed > after:
            raise BadArchive(
                f"{shown(member.name)} shares bytes with what follows it, as a bomb's members do. {_REBUILD}"
            )
