"""The members of a zip, one after the other: each as its central header says, and nothing between them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from creamery.index.archives.refusal import BadArchive, shown
from creamery.index.archives.tape import Tape
from creamery.index.archives.zip_directory import DESCRIPTOR_FOLLOWS, STORED, Member, check_needed
from creamery.index.archives.zip_extra import resolve_local, zip64_field
from creamery.limits import KIB, MIB

if TYPE_CHECKING:
    from zlib import _Decompress

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_INPUT_BYTES = 256 * KIB
_REBUILD = "Build the archive with a build tool, `python -m build`."


def read_member(tape: Tape, member: Member) -> Iterator[bytes | memoryview]:
    """The content of the member that begins here, in pieces; the tape stands behind it afterwards.

    Raises:
        BadArchive: another header, size or checksum than the central directory has.
    """
    if tape.position != member.offset:
        raise BadArchive(f"Bytes that belong to no member stand before {shown(member.name)}. {_REBUILD}")
    is_zip64 = _check_local_header(tape, member)
    crc, size = 0, 0
    packed = tape.pieces(member.compressed)
    for piece in packed if member.method == STORED else _inflated(packed, member):
        crc = zlib.crc32(piece, crc)
        size += len(piece)
        yield piece
    if size != member.size:
        raise BadArchive(f"{shown(member.name)} inflates to {size} bytes instead of {member.size}. {_REBUILD}")
    if crc != member.crc:
        raise BadArchive(f"{shown(member.name)} has another checksum than the zip says: it was damaged. Send it again.")
    if member.flags & DESCRIPTOR_FOLLOWS:
        _check_descriptor(tape, member, is_zip64=is_zip64)


def _check_local_header(tape: Tape, member: Member) -> bool:
    """See that it says what the central header says; the answer is whether its sizes have 64 bits."""
    signature, needed, flags, method, _, _, crc, compressed, size, name_bytes, extra_bytes = _LOCAL.unpack(
        tape.take(_LOCAL.size)
    )
    if signature != b"PK\x03\x04":
        raise BadArchive(f"{shown(member.name)} is not where the zip's central directory says. {_REBUILD}")
    check_needed(member, needed)
    name, extra = tape.take(name_bytes), tape.take(extra_bytes)
    field = zip64_field(extra, name)
    size, compressed = resolve_local(name, field, (size, compressed))
    said = (crc, compressed, size)
    known = (member.crc, member.compressed, member.size)
    is_streamed = bool(flags & DESCRIPTOR_FOLLOWS)
    if (name, flags, method) != (member.name, member.flags, member.method) or not (
        said == known or (is_streamed and said == (0, 0, 0))
    ):
        raise BadArchive(
            f"{shown(member.name)} has one header in the zip's central directory and another before its content"
            f" ({shown(name)}): readers would see different files. {_REBUILD}"
        )
    return field is not None


def _inflated(packed: Iterable[memoryview], member: Member) -> Iterator[bytes]:
    """What a deflated member holds: at most a byte more than it says, and its stream must end where the zip says."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    room = member.size + 1
    for piece in packed:
        for at in range(0, len(piece), _INPUT_BYTES):
            rest: bytes | memoryview = piece[at : at + _INPUT_BYTES]
            if inflater.eof:
                raise BadArchive(f"The stream of {shown(member.name)} ends before its bytes do. {_REBUILD}")
            while not inflater.eof:
                most = min(room, MIB)
                out = _inflate(inflater, rest, most, member)
                rest = inflater.unconsumed_tail
                room -= len(out)
                if not room:
                    raise BadArchive(
                        f"{shown(member.name)} inflates to more than the {member.size} bytes that it says, as a bomb"
                        f" does. {_REBUILD}"
                    )
                yield out
                if not rest and len(out) < most:
                    break  # it has given all that it can of this input
    if inflater.unused_data or not inflater.eof:
        raise BadArchive(f"The stream of {shown(member.name)} does not end where its bytes do. {_REBUILD}")


def _inflate(inflater: _Decompress, data: bytes | memoryview, most: int, member: Member) -> bytes:
    try:
        return inflater.decompress(data, most)
    except zlib.error as error:
        raise BadArchive(
            f"{shown(member.name)} cannot be inflated ({error}): it was damaged. Send it again."
        ) from error


def _check_descriptor(tape: Tape, member: Member, *, is_zip64: bool) -> None:
    layout = struct.Struct("<4sIQQ" if is_zip64 else "<4sIII")
    expected = layout.pack(b"PK\x07\x08", member.crc, member.compressed, member.size)
    if tape.take(layout.size) != expected:
        raise BadArchive(f"The descriptor behind {shown(member.name)} says another size or checksum. {_REBUILD}")
