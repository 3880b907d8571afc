"""The whole check of an upload, step by step."""

from __future__ import annotations

import io
from contextlib import nullcontext
from dataclasses import dataclass
from typing import BinaryIO, Literal

from creamery.contract import ProjectName
from creamery.index.archives.core_metadata import CoreMetadata
from creamery.index.archives.filename import Promise, read_promise
from creamery.index.archives.record import Recorded
from creamery.index.archives.sdist import read_sdist_tar, read_sdist_zip
from creamery.index.archives.tape import Tape, WholeHashes
from creamery.index.archives.wheel import read_wheel
from creamery.index.archives.zip_directory import Directory, read_directory
from creamery.index.archives.zip_members import read_member
from creamery.limits import Limits


@dataclass(frozen=True, slots=True)
class Artefact:
    """An upload that was found sound, and what it is. Its SHA-256 was made while it came."""

    filename: str
    kind: Literal["wheel", "sdist"]
    project: ProjectName
    name: str
    """As METADATA writes it."""
    version: str
    """As METADATA writes it."""
    metadata: bytes
    """METADATA of a wheel, PKG-INFO of an sdist, byte for byte."""
    metadata_version: str
    requires_python: str | None
    md5: str
    blake2b_256: str
    """Both are empty where nobody asked for them."""


def check(stream: BinaryIO, filename: str, limits: Limits, *, is_hashed: bool = True) -> Artefact:
    """See that an uploaded file is the distribution that its name promises, and sound.

    The file is read once, and its directory, METADATA, WHEEL and RECORD once more before. Memory stays below 64 MiB
    with the default limits. For a thread: it takes as long as inflating and hashing do.

    Args:
        stream, filename, limits: the file, its name, and how much there may be of anything.
        is_hashed: whether MD5 and BLAKE2b of the whole are wanted, which an index says of its files.

    Raises:
        BadArchive: it is not, for a reason that its packager can act on.
    """
    promise = read_promise(filename)
    size = stream.seek(0, io.SEEK_END)
    with WholeHashes(size) if is_hashed else nullcontext() as hashes:
        if promise.container == "zip":
            body, metadata = _check_zip(stream, size, promise, limits, hashes)
        else:
            body, metadata = read_sdist_tar(Tape(stream, 0, size, hashes), size, promise, limits)
        md5, blake2b_256 = ("", "") if hashes is None else hashes.results()
    return Artefact(
        filename=filename,
        kind=promise.kind,
        project=promise.project,
        name=metadata.name,
        version=metadata.version_text,
        metadata=body,
        metadata_version=metadata.metadata_version,
        requires_python=metadata.requires_python,
        md5=md5,
        blake2b_256=blake2b_256,
    )


def _check_zip(
    stream: BinaryIO, size: int, promise: Promise, limits: Limits, hashes: WholeHashes | None
) -> tuple[bytes, CoreMetadata]:
    directory = read_directory(stream, size, limits)
    record: dict[bytes, Recorded] = {}
    if promise.kind == "wheel":
        wheel = read_wheel(stream, directory, promise, limits)
        body, metadata, record = wheel.body, wheel.metadata, wheel.record
    else:
        body, metadata = read_sdist_zip(stream, directory, promise, limits)
    _check_members(Tape(stream, 0, size, hashes), directory, record)
    return body, metadata


def _check_members(tape: Tape, directory: Directory, record: dict[bytes, Recorded]) -> None:
    """Read every member, each from the byte where the one before it ended, and hash it as RECORD does."""
    for member in directory.members:
        recorded = record.get(member.name)
        if recorded is None:
            for _ in read_member(tape, member):
                pass
            continue
        hashed = recorded.begin()
        for piece in read_member(tape, member):
            hashed.update(piece)
        recorded.check(member, hashed)
    tape.run_out(directory.start)
