"""What a wheel's compiled code needs, as its platform tags should say (PEP 600 manylinux, PEP 656 musllinux).

The look at the code is `examiner.py`'s, a program of its own: what it reads was made by somebody else, so it runs with
little memory, for a short time, and knows nothing of the hub. Whatever it reads, there is a verdict; when this machine
is in the way, there is none, and the question is asked again.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from creamery.limits import Limits

EXAMINER = Path(__file__).with_name("examiner.py")
MAGIC = b"\x7fELF"
MOST_SAID = 64 * 1024

_LOCAL_HEADER = struct.Struct("<26xHH")
_PIECE = 512
"""Compressed bytes that nearly always hold at least the first four."""

_FAULTS_OF_CODE = {
    signal.SIGXCPU: "took too long",
    signal.SIGSEGV: "crashed",
    signal.SIGBUS: "crashed",
    signal.SIGABRT: "crashed",
    signal.SIGFPE: "crashed",
    signal.SIGILL: "crashed",
}
"""Other signals are sent by who stops the hub, or by a machine without memory."""


class CannotExamine(Exception):
    """This machine is in the way (memory, disk, an installation in pieces); the wheel may be examined again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found.

    Attributes:
        tags: the platform tags that are true, where the wheel's own are not; None: its own are, or it is refused.
        reason: why no page may list it; None: one may.
        libc: which its code is made for; None: it needs neither, or it was refused before that was known.
        floor: the least version of glibc that it needs, or of musl that its new tags claim.
        libraries: what it needs besides that is on no policy's list; the first hundred of them.
    """

    tags: tuple[str, ...] | None = None
    reason: str | None = None
    libc: Literal["glibc", "musl"] | None = None
    floor: tuple[int, int] | None = None
    libraries: tuple[str, ...] = ()


def has_elf(stream: BinaryIO) -> bool:
    """Is there compiled code for Linux in a wheel that is a sound zip? By its first bytes, whatever a file is called.

    For a thread: about 6 us a file in it.
    """
    with zipfile.ZipFile(stream) as archive:
        return any(_begins_as_elf(stream, member) for member in archive.infolist())


def examine(path: Path, filename: str, limits: Limits, folder: Path | None = None) -> Verdict:
    """Hold a wheel's platform tags against its code. For a thread: a fifth of a second, and what the code takes.

    Args:
        path: a wheel that was found sound.
        filename: its name.
        limits: how long it may take, and how much memory.
        folder: on a disk with room for the largest file in it; the system's for temporary files by default. What is
            written there is in a folder of its own, and gone afterwards.

    Raises:
        CannotExamine: nothing can be said, for a reason of this machine.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="examined-", dir=folder) as private:
            return _run(path.absolute(), filename, limits, Path(private))
    except OSError as error:
        raise CannotExamine(f"{filename} cannot be examined: {error}") from error


def _run(path: Path, filename: str, limits: Limits, private: Path) -> Verdict:
    bounds = map(str, (limits.elf_bytes, int(limits.elf_seconds) + 1, limits.archive_bytes))
    said, errors = private / "said", private / "errors"  # not pipes: it might say more than fits into memory
    with said.open("wb") as output, errors.open("wb") as complaints:
        try:
            done = subprocess.run(  # noqa: S603 - our own program; what it is given are names
                [sys.executable, "-I", str(EXAMINER), str(path), filename, *bounds],
                cwd=private,
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=complaints,
                timeout=limits.elf_seconds,
                check=False,
                start_new_session=True,  # Ctrl-C in the hub's terminal is not meant for it
            )
        except subprocess.TimeoutExpired:
            return Verdict(reason=f"its compiled code could not be looked through in {limits.elf_seconds:g} s")
    if done.returncode:
        return _failure(done.returncode, _begin_of(errors))
    return _verdict(_begin_of(said))


def _failure(returncode: int, complaint: bytes) -> Verdict:
    fault = _FAULTS_OF_CODE.get(signal.Signals(-returncode)) if returncode < 0 else None
    if fault is None:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise CannotExamine(f"looking through compiled code ended with {returncode}: {last[:500]}")
    return Verdict(reason=f"looking through its compiled code {fault} (signal {-returncode})")


def _verdict(said: bytes) -> Verdict:
    try:
        told = json.loads(said)
        libc, floor = told["libc"], told["floor"]
        return Verdict(
            None if told["tags"] is None else tuple(map(str, told["tags"])),
            None if told["reason"] is None else str(told["reason"]),
            libc if libc in {"glibc", "musl"} else None,
            None if floor is None else (int(floor[0]), int(floor[1])),
            tuple(map(str, told["libraries"])),
        )
    except (ValueError, KeyError, TypeError, IndexError):
        return Verdict(reason="looking through its compiled code told nothing that can be read")


def _begin_of(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(MOST_SAID)


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
