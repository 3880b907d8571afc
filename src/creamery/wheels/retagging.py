"""A wheel written anew with other platform tags: the rest of it stays as it is, to the byte.

Read first: the binary distribution format (PEP 427, PEP 491), and PKWARE's APPNOTE 4.3 for the frame of a zip. What is
not rewritten is copied compressed as it lies, so the same wheel always becomes the same bytes, whichever zlib is here.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import struct
import zipfile
from collections.abc import Sequence
from typing import BinaryIO

from packaging.utils import parse_wheel_filename

PIECE = 1024 * 1024
_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_SIGNATURES = (".dist-info/RECORD.jws", ".dist-info/RECORD.p7s")
_HAS_DESCRIPTOR = 0x08


def retag(source: BinaryIO, filename: str, platform_tags: Sequence[str], out: BinaryIO) -> str:
    """Write a wheel for other platforms.

    Args:
        source: a wheel that was found sound.
        filename: its name.
        platform_tags: what it is for; interpreter and ABI stay.
        out: an empty file, to be written and sought in.

    Returns:
        Its new name.
    """
    name = retagged_name(filename, platform_tags)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w") as new:
        changed = _changed(old, name)
        for member in old.infolist():
            if member.filename.endswith(_SIGNATURES):
                continue  # they sign what RECORD was
            body = changed.get(member.filename)
            if body is None:
                _copy(source, member, new)
            else:
                new.writestr(_same_but_stored(member), body)
    return name


def retagged_name(filename: str, platform_tags: Sequence[str]) -> str:
    """A wheel's name with other platform tags, sorted."""
    stem = filename.removesuffix(".whl").rsplit("-", 1)[0]
    return f"{stem}-{'.'.join(sorted(platform_tags))}.whl"


def _changed(archive: zipfile.ZipFile, name: str) -> dict[str, bytes]:
    """The members that say what the wheel is for, and what is in it, as they are to be."""
    info = next(each for each in archive.namelist() if each.endswith(".dist-info/WHEEL") and each.count("/") == 1)
    record = info.removesuffix("WHEEL") + "RECORD"
    said = _with_tags(archive.read(info), name)
    return {info: said, record: _with_line(archive.read(record), info, said)}


def _with_tags(wheel: bytes, name: str) -> bytes:
    """WHEEL with the tags of a name, where its own were; without `Build`'s neighbours being touched."""
    lines = wheel.decode("utf-8").splitlines()
    tags = [f"Tag: {tag}" for tag in sorted(map(str, parse_wheel_filename(name)[3]))]
    first = next(number for number, line in enumerate(lines) if line.lower().startswith("tag:"))
    rest = [line for line in lines[first:] if not line.lower().startswith("tag:")]
    return ("\n".join([*lines[:first], *tags, *rest]).rstrip("\n") + "\n").encode()


def _with_line(record: bytes, info: str, said: bytes) -> bytes:
    """RECORD with the new digest and size of WHEEL, and without the signatures."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(said).digest()).rstrip(b"=").decode()
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    for row in csv.reader(io.StringIO(record.decode("utf-8"), newline="")):
        if row and row[0].endswith(_SIGNATURES):
            continue
        writer.writerow([info, f"sha256={digest}", str(len(said))] if row and row[0] == info else row)
    return written.getvalue().encode()


def _same_but_stored(member: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """The same file, uncompressed: other zlibs would compress it to other bytes."""
    same = zipfile.ZipInfo(member.filename, member.date_time)
    same.external_attr, same.create_system = member.external_attr, member.create_system
    return same


def _copy(source: BinaryIO, member: zipfile.ZipInfo, target: zipfile.ZipFile) -> None:
    """A member's compressed bytes as they are, behind a header of its own."""
    source.seek(member.header_offset)
    header = _LOCAL.unpack(source.read(_LOCAL.size))
    source.seek(header[9] + header[10], os.SEEK_CUR)
    same = zipfile.ZipInfo(member.filename, member.date_time)
    same.compress_type, same.external_attr, same.create_system = (
        member.compress_type,
        member.external_attr,
        member.create_system,
    )
    same.CRC, same.compress_size, same.file_size = member.CRC, member.compress_size, member.file_size
    same.flag_bits = member.flag_bits & ~_HAS_DESCRIPTOR
    out = target.fp
    assert out is not None  # noqa: S101 - it is open
    out.seek(target.start_dir)
    same.header_offset = out.tell()
    out.write(same.FileHeader())
    left = member.compress_size
    while left:
        piece = source.read(min(PIECE, left))
        if not piece:
            raise EOFError(f"{member.filename} ends before its bytes do")
        out.write(piece)
        left -= len(piece)
    target.filelist.append(same)
    target.NameToInfo[same.filename] = same
    target.start_dir = out.tell()
    target._didModify = True  # type: ignore[attr-defined]  # noqa: SLF001 - or its directory is not written
