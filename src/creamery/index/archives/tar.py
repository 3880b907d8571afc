"""The members of a tar, header after header (POSIX ustar and pax, and GNU's long names), read strictly.

Readers disagree about tars: which of two names or sizes counts, whether a folder has content, what a sparse file is.
Whatever they could disagree about is refused. Python's own `tarfile` is no judge here: it takes numbers with
underscores, ends at the first empty block, and lets a pax header change a size that other readers go by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from creamery.index.archives.budget import check_names
from creamery.index.archives.gunzip import Gunzip
from creamery.index.archives.refusal import BadArchive, shown
from creamery.limits import Limits

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")
_NUMBER = re.compile(rb" *[0-7]*[ \0]*")
_NUMBERS = ((100, 108), (108, 116), (116, 124), (136, 148), (329, 337), (337, 345))
"""Where mode, owner, group, time and device stand; also in 256s, for owners beyond two millions."""
_USUAL = re.compile(
    rb".{100}(?:[0-7]{7}[ \0]){3}([0-7]{11})[ \0][0-7]{11}[ \0]([0-7]{6})\0 .{173}(?:[0-7]{7}[ \0]|\0{8}){2}", re.DOTALL
)
"""A header whose numbers stand as nearly all write them: its size and its checksum, in one look instead of eight."""
_BINARY = frozenset({0x80, 0xFF})
_TIME, _MOST_SECONDS, _MOST_OTHERS = 136, 10**12, 2**32
"""GNU tar and `tarfile` give up on a time beyond 64 bits, GNU tar on an owner beyond 32."""
_PAX_LENGTH = re.compile(rb"([1-9][0-9]{0,6}) ")

_USTAR, _GNU, _V7 = b"ustar\x0000", b"ustar  \0", bytes(8)
_KINDS: dict[bytes, Literal["file", "folder", "hard link", "symbolic link"]] = {
    b"0": "file",
    b"\0": "file",
    b"1": "hard link",
    b"2": "symbolic link",
    b"5": "folder",
}
_DEVICES = {b"3": "a device", b"4": "a device", b"6": "a pipe", b"7": "a contiguous file", b"S": "a sparse file"}

_PAX_USED = frozenset({b"path", b"linkpath", b"size"})
_PAX_HARMLESS = frozenset({b"atime", b"ctime", b"mtime", b"comment", b"gid", b"gname", b"uid", b"uname"})
_PAX_VENDORS = frozenset({b"SCHILY.dev", b"SCHILY.ino", b"SCHILY.nlink", b"LIBARCHIVE.creationtime"})
"""What bsdtar writes of any file. Of its other keys SCHILY.realsize is the member's size to libarchive, and to nobody
else; the rest gives a file attributes and flags, which a source distribution has no use for."""
_PAX_KNOWN = _PAX_USED | _PAX_HARMLESS | _PAX_VENDORS
_PAX_TIMES = frozenset({b"atime", b"ctime", b"mtime", b"LIBARCHIVE.creationtime"})
_PAX_TIME = re.compile(rb"-?[0-9]{1,12}(\.[0-9]*)?")
_PAX_OWNERS = frozenset({b"uid", b"gid"})
_REBUILD = "Build the sdist with a build tool, `python -m build --sdist`."


@dataclass(frozen=True, slots=True)
class TarMember:
    """A member, its content still to come."""

    path: bytes
    kind: Literal["file", "folder", "hard link", "symbolic link"]
    size: int
    target: bytes


@dataclass(slots=True)
class _Extended:
    """What headers before a member say about it."""

    path: bytes | None = None
    target: bytes | None = None
    size: int | None = None
    seen: set[bytes] = field(default_factory=set)

    def add(self, kind: bytes) -> None:
        if kind in self.seen or (self.seen and b"x" in {kind, *self.seen}):
            raise BadArchive(f"A member has two headers that name it: readers would choose differently. {_REBUILD}")
        self.seen.add(kind)


def read_tar(stream: Gunzip, limits: Limits) -> Iterator[TarMember]:
    """The members; each one's content must be taken, padding included (`padded`), before the next is asked for.

    Raises:
        BadArchive: the tar can be read in two ways, or has members that no sdist has.
    """
    extended = _Extended()
    is_first, said = True, 0
    while (header := stream.take(_BLOCK)) != _ZEROS:
        kind, size = header[156:157], _check_header(header)
        if kind in {b"x", b"g", b"L", b"K"}:
            body = _take_extension(stream, size, limits)
            said += size
            check_names(said, limits)
            if kind == b"g":
                _check_global(body, is_first=is_first)
            elif kind == b"x":
                extended.add(kind)
                _read_pax(body, extended)
            else:
                extended.add(kind)
                _read_long(body, kind, extended)
        else:
            yield _member(header, kind, size, extended)
            extended = _Extended()
        is_first = False
    if extended.seen:
        raise BadArchive(f"The tar ends with a header that belongs to no member. {_REBUILD}")
    _check_end(stream)


def padded(size: int) -> int:
    """How many bytes a content of this size takes in a tar."""
    return -(-size // _BLOCK) * _BLOCK


def _check_header(header: bytes) -> int:
    """See that it is one; the answer is the size that it says."""
    usual = _USUAL.match(header)
    size, said = usual.groups() if usual is not None else _odd_numbers(header)
    if said is None or int(said, 8) != sum(header) - sum(header[148:156]) + 8 * 0x20:
        raise BadArchive(f"The file is no tar, or was damaged: a header has a wrong checksum. {_REBUILD}")
    if usual is None:
        _check_numbers(header)
    magic = header[257:265]
    if magic not in {_USTAR, _GNU, _V7} or (magic != _USTAR and header[345:500].strip(b"\0")):
        raise BadArchive(f"The tar has a header that readers take for different kinds. {_REBUILD}")
    if size is None:
        raise BadArchive(
            f"The size of {shown(_text(header[:100]))} is not written as every reader knows it. {_REBUILD}"
        )
    return int(size, 8)


def _odd_numbers(header: bytes) -> tuple[bytes | None, bytes | None]:
    """The octal digits of the size and of the checksum, however they are padded; None: there are none."""
    size, said = _OCTAL.fullmatch(header, 124, 136), _OCTAL.fullmatch(header, 148, 156)
    return None if size is None else size[1], None if said is None else said[1]


def _check_numbers(header: bytes) -> None:
    for start, end in _NUMBERS:
        if not (_NUMBER.fullmatch(header, start, end) or _is_binary(header, start, end)):  # tarfile silently ends there
            raise BadArchive(
                f"The tar has a number that not every reader can read: {shown(header[start:end])}. {_REBUILD}"
            )


def _is_binary(header: bytes, start: int, end: int) -> bool:
    """Is it a number in 256s that every reader takes?"""
    if header[start] not in _BINARY:
        return False
    number = int.from_bytes(header[start + 1 : end]) - (256 ** (end - start - 1) if header[start] == 0xFF else 0)  # noqa: PLR2004
    return abs(number) < _MOST_SECONDS if start == _TIME else 0 <= number < _MOST_OTHERS


def _member(header: bytes, kind: bytes, size: int, extended: _Extended) -> TarMember:
    name, prefix = _text(header[:100]), _text(header[345:500])
    path = extended.path if extended.path is not None else b"/".join(part for part in (prefix, name) if part)
    target = extended.target if extended.target is not None else _text(header[157:257])
    if kind in _DEVICES:
        raise BadArchive(f"{shown(path)} is {_DEVICES[kind]}; sdists have files, folders and links only. Leave it out.")
    if kind not in _KINDS:
        raise BadArchive(f"{shown(path)} is of a kind {shown(kind)} that not every reader knows. {_REBUILD}")
    if extended.size is not None and extended.size != size:
        raise BadArchive(
            f"{shown(path)} has {size} bytes by one header and {extended.size} by another: readers would see different"
            f" archives. {_REBUILD}"
        )
    if kind in {b"0", b"\0"} and name.endswith(b"/"):  # also where another header names it: tarfile makes it a folder
        raise BadArchive(f"{shown(path)} is a file by one sign and a folder by another. {_REBUILD}")
    if kind in {b"1", b"2", b"5"} and size:
        raise BadArchive(f"{shown(path)} is a {_KINDS[kind]} and has content, which readers skip or do not. {_REBUILD}")
    if (kind in {b"1", b"2"}) != bool(target):
        raise BadArchive(f"{shown(path)} is a link to nowhere, or a file with the target of a link. {_REBUILD}")
    return TarMember(path.removesuffix(b"/") if kind == b"5" else path, _KINDS[kind], size, target)


def _take_extension(stream: Gunzip, size: int, limits: Limits) -> bytes:
    if size > limits.archive_header_bytes:
        raise BadArchive(
            f"The tar has a header of {size} bytes; limits.archive_header_bytes are {limits.archive_header_bytes}."
            " Give its files shorter names."
        )
    body = stream.take(padded(size))
    if body[size:].strip(b"\0"):  # tarfile reads on here
        raise BadArchive(f"The tar has a header with something behind its end. {_REBUILD}")
    return body[:size]


def _read_long(body: bytes, kind: bytes, extended: _Extended) -> None:
    name = body[:-1]
    if not body.endswith(b"\0"):  # some readers go by the length, others, as tarfile, look for the zero
        raise BadArchive(f"The tar has a long name without an end: {shown(body)}. {_REBUILD}")
    if kind == b"L":
        extended.path = name
    else:
        extended.target = name


def _check_global(body: bytes, *, is_first: bool) -> None:
    """`git archive` begins with one, for its commit; whatever else it could say would change every member."""
    if not is_first or set(_pax_records(body)) - {b"comment"}:
        raise BadArchive(f"The tar has a global header that changes what its members are. {_REBUILD}")


def _read_pax(body: bytes, extended: _Extended) -> None:
    records = _pax_records(body)
    for key, value in records.items():
        if key not in _PAX_KNOWN:
            raise BadArchive(f"The tar has a header {shown(key)} that not every reader knows. {_REBUILD}")
        if (key in _PAX_TIMES and not _PAX_TIME.fullmatch(value)) or (key in _PAX_OWNERS and not _is_owner(value)):
            raise BadArchive(f"The tar has a {shown(key)} that not every reader can read: {shown(value)}. {_REBUILD}")
        if key == b"size":
            if not value.isdigit() or len(value) > 18:  # noqa: PLR2004 - digits that a file's size can have
                raise BadArchive(f"The tar has a size {shown(value)} that is none. {_REBUILD}")
            extended.size = int(value)
    extended.path = records.get(b"path")
    extended.target = records.get(b"linkpath")


def _is_owner(value: bytes) -> bool:
    return re.fullmatch(rb"[0-9]{1,10}", value) is not None and int(value) < _MOST_OTHERS


def _pax_records(body: bytes) -> dict[bytes, bytes]:
    """`LENGTH KEY=VALUE`, a line each, where the length counts the whole line."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(body):
        length = _PAX_LENGTH.match(body, at)
        end = at + int(length[1]) if length else 0
        key, separator, value = body[length.end() : end - 1].partition(b"=") if length else (b"", b"", b"")
        if not separator or not key or end > len(body) or body[end - 1 : end] != b"\n" or key in records:
            raise BadArchive(f"The tar has a pax header that is broken, or says one thing twice. {_REBUILD}")
        records[key] = value
        at = end
    return records


def _check_end(stream: Gunzip) -> None:
    if stream.take(_BLOCK) != _ZEROS:
        raise BadArchive(f"The tar goes on after its end: some readers would go on with it. {_REBUILD}")
    for piece in stream.rest():
        if piece.tobytes().strip(b"\0"):
            raise BadArchive(f"Something follows the tar's end: some readers would go on with it. {_REBUILD}")


def _text(field_: bytes) -> bytes:
    return field_.partition(b"\0")[0]
