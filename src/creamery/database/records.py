"""Rows of JSON in a file: written and read one by one, so that memory stays flat however many there are.

One JSON value a line, compressed with gzip, which every machine can read without us (`zcat`).
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

COMPRESSION = 3
"""A fifth of the time of gzip's usual 6, for a tenth more bytes."""
PIECE = 1024 * 1024


class RecordsDamaged(Exception):
    """A file of records is not what was written."""


@dataclass(frozen=True, slots=True)
class Records:
    """What must be there when it is read again: how many records, and the SHA-256 of the file."""

    count: int
    sha256: str


def write_records(path: Path, records: Iterable[Any]) -> Records:
    """Write a new file, durably.

    Raises:
        FileExistsError: there is one.
        OSError: the disk refuses.
    """
    count = 0
    with path.open("xb") as file:
        with gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0) as packed:
            for record in records:
                packed.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
                count += 1
        file.flush()
        os.fsync(file.fileno())
    return Records(count, _sha256(path))


def read_records(path: Path, expected: Records) -> Iterator[Any]:
    """What was written. The file is hashed before its first record is handed out.

    Raises:
        RecordsDamaged: it is away, or is not the file that was written.
    """
    try:
        found = _sha256(path)
    except OSError as error:
        raise RecordsDamaged(f"{path} cannot be read: {error.strerror}") from error
    if found != expected.sha256:
        raise RecordsDamaged(f"{path} is damaged: its SHA-256 is {found} instead of {expected.sha256}")
    with gzip.open(path, "rb") as lines:
        for line in lines:
            yield orjson.loads(line)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
