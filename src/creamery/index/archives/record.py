"""RECORD: every file of a wheel, with its hash (PEP 376, PEP 427)."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from creamery.index.archives.refusal import BadArchive, shown
from creamery.index.archives.zip_directory import Member
from creamery.limits import Limits

_LONGEST_HASH = 256
_STRONG = frozenset({"sha256", "sha384", "sha512"})
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
_ANEW = "Build the wheel anew; if it was changed by hand, `wheel unpack` and `wheel pack` write a true RECORD."


class Hash(Protocol):
    """What hashlib makes."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """What RECORD says about a file's bytes."""

    algorithm: str
    digest: str

    def begin(self) -> Hash:
        """The hash to be fed with the file."""
        return hashlib.new(self.algorithm, usedforsecurity=True)

    def check(self, member: Member, done: Hash) -> None:
        """See that the file is what RECORD says.

        Raises:
            BadArchive: it is not.
        """
        if base64.urlsafe_b64encode(done.digest()).rstrip(b"=").decode() != self.digest:
            raise BadArchive(f"{shown(member.name)} has another {self.algorithm} than RECORD says. {_ANEW}")


def read_record(body: bytes, folder: bytes, members: Mapping[bytes, Member], limits: Limits) -> dict[bytes, Recorded]:
    """What RECORD in a `.dist-info` folder says of each file; signatures of RECORD itself may go without.

    Raises:
        BadArchive: a file has no row, two, or one without a strong hash; a row has no file; RECORD is no CSV.
    """
    own, unsigned = folder + b"/RECORD", {folder + b"/RECORD.jws", folder + b"/RECORD.p7s"}
    rows: dict[bytes, Recorded | None] = {}
    try:
        for row in csv.reader(_lines(body, 2 * limits.archive_path_bytes + _LONGEST_HASH), strict=True):
            path, recorded = _read_row(row, own, members)
            if path in rows:
                raise BadArchive(f"RECORD has two rows for {shown(path)}. {_ANEW}")
            rows[path] = recorded
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadArchive(f"RECORD is no CSV in UTF-8: {error}. {_ANEW}") from error
    for path, member in members.items():
        if path not in rows and path not in unsigned and not member.is_folder:
            raise BadArchive(f"{shown(path)} is in the wheel and not in RECORD. {_ANEW}")
    return {path: recorded for path, recorded in rows.items() if recorded is not None}


def _lines(body: bytes, longest: int) -> Iterator[str]:
    """Its lines; one that is much longer than a path and a hash fills the memory with empty fields."""
    text = io.TextIOWrapper(io.BytesIO(body), "utf-8", newline="")
    while line := text.readline(longest):
        if len(line) == longest:
            raise BadArchive(f"RECORD has a line that is no path with its hash: {shown(line)}. {_ANEW}")
        yield line


def _read_row(row: list[str], own: bytes, members: Mapping[bytes, Member]) -> tuple[bytes, Recorded | None]:
    if len(row) != 3:  # noqa: PLR2004 - path, hash, size
        raise BadArchive(f"RECORD has a row that is not path, hash and size: {shown(','.join(row))}. {_ANEW}")
    name, hashed, size = row
    path = name.encode()
    member = members.get(path)
    if member is None or member.is_folder:
        raise BadArchive(f"RECORD lists {shown(name)}, which is no file of the wheel. {_ANEW}")
    if size and not (_NUMBER.fullmatch(size) and int(size) == member.size):
        raise BadArchive(f"RECORD says {shown(size)} bytes of {shown(name)}, which has {member.size}. {_ANEW}")
    if path == own:
        if hashed:
            raise BadArchive(f"RECORD holds a hash of itself, which cannot be true. {_ANEW}")
        return path, None
    algorithm, _, digest = hashed.partition("=")
    if algorithm not in _STRONG:
        raise BadArchive(
            f"RECORD has no hash of {shown(name)} that is sha256 or stronger (PEP 427), but {shown(hashed)}. {_ANEW}"
        )
    return path, Recorded(algorithm, digest)
