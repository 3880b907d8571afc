"""What a wheel's compiled code needs, as its platform tags should say (PEP 600 manylinux, PEP 656 musllinux).

The look at the code is `examiner.py`'s, a program of its own: what it reads was made by somebody else, so it runs with
little memory, for a short time, and knows nothing of the hub.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from creamery.limits import Limits

EXAMINER = Path(__file__).with_name("examiner.py")
MAGIC = b"\x7fELF"
MOST_SAID = 64 * 1024

_LOCAL_HEADER = struct.Struct("<26xHH")
_PIECE = 512
"""Compressed bytes that nearly always hold at least the first four."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found.

    Attributes:
        tags: the platform tags that are true, where the wheel's own are not; None: its own are, or it is refused.
        reason: why no page may list it; None: one may.
        libc: `glibc` or `musl`; None: it needs neither.
        floor: the least version of that libc.
        libraries: what it needs besides that is on no policy's list.
    """

    tags: tuple[str, ...] | None = None
    reason: str | None = None
    libc: str | None = None
    floor: tuple[int, int] | None = None
    libraries: tuple[str, ...] = ()


def has_elf(stream: BinaryIO) -> bool:
    """Is there compiled code for Linux in a wheel that is a sound zip? By its first bytes, whatever a file is called.

    For a thread: about 6 us a file in it.
    """
    with zipfile.ZipFile(stream) as archive:
        return any(_begins_as_elf(stream, member) for member in archive.infolist())


def examine(path: Path, filename: str, limits: Limits) -> Verdict:
    """Hold a wheel's platform tags against its code. For a thread: a third of a second, and what the code takes.

    Raises:
        OSError: the program cannot be run, for a reason of this machine.
    """
    with tempfile.TemporaryDirectory(prefix="creamery-elf-") as folder:
        bounds = [str(limits.elf_bytes), str(int(limits.elf_seconds) + 1)]
        command = [sys.executable, "-I", str(EXAMINER), str(path), filename, *bounds]
        try:
            done = subprocess.run(  # noqa: S603 - our own program; what it is given are names
                command,
                cwd=folder,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "TMPDIR": folder},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limits.elf_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Verdict(reason=f"its compiled code could not be looked through in {limits.elf_seconds:g} s")
    return _verdict(done.returncode, done.stdout[:MOST_SAID])


def _verdict(returncode: int, said: bytes) -> Verdict:
    if returncode < 0:
        return Verdict(reason=f"looking through its compiled code ended with signal {-returncode}")
    try:
        told = json.loads(said)
        floor = told["floor"]
        return Verdict(
            None if told["tags"] is None else tuple(map(str, told["tags"])),
            None if told["reason"] is None else str(told["reason"]),
            told["libc"],
            None if floor is None else (int(floor[0]), int(floor[1])),
            tuple(map(str, told["libraries"])),
        )
    except (ValueError, KeyError, TypeError, IndexError):
        return Verdict(reason=f"looking through its compiled code ended with {returncode}, and told nothing")


def _begins_as_elf(stream: BinaryIO, member: zipfile.ZipInfo) -> bool:
    """The local header says where its bytes begin (APPNOTE 4.3.7)."""
    if member.file_size < len(MAGIC):
        return False
    stream.seek(member.header_offset)
    name, extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    stream.seek(name + extra, os.SEEK_CUR)
    if member.compress_type == zipfile.ZIP_STORED:
        return stream.read(len(MAGIC)) == MAGIC
    return _first_inflated(stream, member.compress_size) == MAGIC


def _first_inflated(stream: BinaryIO, left: int) -> bytes:
    """The first four bytes; a deflated stream may begin with any number of blocks that hold none (RFC 1951)."""
    inflater, first = zlib.decompressobj(-zlib.MAX_WBITS), b""
    while left and len(first) < len(MAGIC) and not inflater.eof:
        piece = stream.read(min(_PIECE, left))
        if not piece:
            break
        left -= len(piece)
        first += inflater.decompress(piece, len(MAGIC) - len(first))
    return first
