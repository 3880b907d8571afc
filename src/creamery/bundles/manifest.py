"""What lies in a bundle: its members in their order, the folder around them, and the format.

BadBundle        what was named can be no bundle (400)
`-- BadMember    because of one of its entries, which it names

Names are text that has a UTF-8 form: a tar's pax records and a zip's flag 11 promise UTF-8, so bytes that are none
(a lone surrogate in Python's text) are refused and not replaced; two names that were replaced could become one.
Everything else but NUL is taken as it is: newlines, other control characters, both Unicode forms of one word.

Times are whole seconds since 1970, of any sign; what a format cannot say of them is in `tar.py` and `zip.py`.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise
from operator import index as index_of
from operator import itemgetter
from typing import Literal, NamedTuple, overload

from creamery.contract import Digest, parse_digest

Format = Literal["tar", "zip"]

VERSION = 1
"""Of the layout. Other bytes for the same manifest are another version, or a resumed download would be torn."""

MOST_NAME_BYTES = 65_535
"""Folder, slash and path together: a zip counts them in 16 bits."""

MOST_BYTES = 2**62
"""Of all members together; far beyond any disk, and every offset still fits its 64 bits."""

UNKNOWN = -1
"""In place of a CRC-32."""

_AT_ONCE = 10_000
_DIGEST_BYTES = 32
_LEAST, _MOST = -(2**63), 2**63 - 1


class BadBundle(ValueError):
    """What was named can be no bundle."""


class BadMember(BadBundle):
    """An entry can be no member of one.

    Attributes:
        index: the entry's place in the list, from 0.
        path: as it was given.
        reason: what is wrong with it.
    """

    def __init__(self, index: int, path: str, reason: str) -> None:
        super().__init__(f"entry {index}, {path[:200]!r}: {reason}")
        self.index = index
        self.path = path
        self.reason = reason


class Member(NamedTuple):
    """A file in a bundle.

    Attributes:
        path: below the bundle's folder, its parts joined by `/`.
        size: in bytes.
        mtime: whole seconds since 1970.
        digest: of its content.
        crc32: of its content, where it is known; a zip wants it when its headers are read.
    """

    path: str
    size: int
    mtime: int
    digest: Digest
    crc32: int | None = None


class Members(Sequence[Member]):
    """Members in their order, in columns: about 65 bytes for each and its path, where objects would take 400.

    It never changes, and may be sent to another process.

    Attributes:
        sizes, mtimes: by place.
        crc32s: by place, `UNKNOWN` where it is.
        names: all paths in UTF-8, one after the other.
        name_ends: where each of them ends.
    """

    def __init__(self, members: Iterable[Member] = ()) -> None:
        """Take the members and see that they can lie in one archive.

        Raises:
            BadMember: a path has an empty, `.` or `..` part, NUL, no UTF-8 form or too many bytes; it comes twice, or
                is a file and a folder at once; a size, time, digest or checksum is none.
        """
        self.sizes, self.mtimes, self.crc32s = array("q"), array("q"), array("q")
        self.name_ends = array("Q")
        names, digests = bytearray(), bytearray()
        seen: set[str] = set()
        waiting = iter(members)
        while batch := list(islice(waiting, _AT_ONCE)):
            self._append(batch, names, digests)
            seen.update(map(itemgetter(0), batch))
        self.names, self._digests = bytes(names), bytes(digests)
        if len(seen) < len(self) or (_folders(seen) & seen):
            _refuse_clash(self)
        if sum(self.sizes) > MOST_BYTES:
            raise BadBundle(f"its members have {sum(self.sizes)} bytes together; a bundle may have {MOST_BYTES}")

    def _append(self, batch: Sequence[Member], names: bytearray, digests: bytearray) -> None:
        """Look at all of them at once, and at each only to name the one that is wrong."""
        try:
            packed = _packed(batch)
        except (ValueError, OverflowError, TypeError):
            packed = None
        if packed is None:
            for index, member in enumerate(batch, len(self)):
                _check(index, member)
            raise BadBundle("its entries cannot be read")
        paths, sizes, mtimes, crc32s, digest_bytes = packed
        self.sizes += sizes
        self.mtimes += mtimes
        self.crc32s += crc32s
        end = len(names)
        names += "".join(paths).encode()
        digests += digest_bytes
        are_ascii = len(names) - end == sum(map(len, paths))
        for length in map(len, paths if are_ascii else [path.encode() for path in paths]):
            end += length
            self.name_ends.append(end)

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, index: int) -> Member: ...
    @overload
    def __getitem__(self, index: slice) -> Members: ...
    def __getitem__(self, index: int | slice) -> Member | Members:
        if isinstance(index, slice):
            return self.select(range(*index.indices(len(self))))
        index = range(len(self))[index]
        crc32 = self.crc32s[index]
        return Member(
            self.path(index),
            self.sizes[index],
            self.mtimes[index],
            self.digest(index),
            None if crc32 == UNKNOWN else crc32,
        )

    def __iter__(self) -> Iterator[Member]:
        return map(self.__getitem__, range(len(self)))

    def path(self, index: int) -> str:
        """One member's path."""
        return self.name(index).decode()

    def name(self, index: int) -> bytes:
        """The same in UTF-8."""
        return self.names[self.name_ends[index - 1] if index else 0 : self.name_ends[index]]

    def name_lengths(self) -> Iterator[int]:
        """How many bytes each has, in order."""
        return (after - before for before, after in pairwise((0, *self.name_ends)))

    def digest(self, index: int) -> Digest:
        """One member's digest."""
        return Digest(self._digests[index * _DIGEST_BYTES : (index + 1) * _DIGEST_BYTES].hex())

    def paths(self) -> Iterator[str]:
        """All paths, in order."""
        return map(self.path, range(len(self)))

    def select(self, chosen: Iterable[int]) -> Members:
        """Some of them, by their places, each once and in the order that is named; nothing is checked anew."""
        places = array("Q", chosen)
        some = Members()
        some.sizes = array("q", map(self.sizes.__getitem__, places))
        some.mtimes = array("q", map(self.mtimes.__getitem__, places))
        some.crc32s = array("q", map(self.crc32s.__getitem__, places))
        names = list(map(self.name, places))
        some.names = b"".join(names)
        end = 0
        for name in names:
            end += len(name)
            some.name_ends.append(end)
        of = self._digests
        some._digests = b"".join([of[place * _DIGEST_BYTES : (place + 1) * _DIGEST_BYTES] for place in places])
        return some

    @cached_property
    def fingerprint(self) -> bytes:
        """A hash over all that makes the archive's bytes: paths, sizes, times, digests, and their order."""
        hashed = hashlib.sha256(b"%d members\n" % len(self))
        for column in (self.name_ends, self.sizes, self.mtimes):
            hashed.update(_little_endian(column))
        hashed.update(self._digests)
        hashed.update(self.names)
        return hashed.digest()


@dataclass(frozen=True, eq=False)
class Manifest:
    """All that a bundle's bytes follow from.

    Attributes:
        members: what lies in it.
        root: the folder that they lie in.
        format: tar or zip.
        version: of the layout; an old one stays known as long as somebody may resume a download of it.
    """

    members: Members
    root: str
    format: Format = "tar"
    version: int = field(default=VERSION, kw_only=True)

    def __post_init__(self) -> None:
        if self.format not in {"tar", "zip"}:
            raise BadBundle(f"{self.format!r} is no format of bundles; there are tar and zip")
        if self.version != VERSION:
            raise BadBundle(f"there is no layout {self.version!r}; there is {VERSION}")
        reason = "it has more than one part" if "/" in self.root else what_hinders(self.root)
        if reason is not None:
            raise BadBundle(f"{self.root[:200]!r} can be no bundle's folder: {reason}; name one folder")
        longest = max(self.members.name_lengths(), default=0) + len(self.folder)
        if longest > MOST_NAME_BYTES:
            index = next(i for i, n in enumerate(self.members.name_lengths()) if n + len(self.folder) == longest)
            reason = f"with its folder it has {longest} bytes in UTF-8; {MOST_NAME_BYTES} are possible"
            raise BadMember(index, self.members.path(index), reason)

    @property
    def folder(self) -> bytes:
        """What stands before each path in the archive, in UTF-8."""
        return b"%b/" % self.root.encode()

    @cached_property
    def etag(self) -> str:
        """A strong validator, not quoted: it changes with every input that the bytes follow from, and with no other.

        Costs one hash over the members (once, whatever is made of them), and no layout.
        """
        told = b"creamery bundle %d\n%b\n%d\n%b" % (
            self.version,
            self.format.encode(),
            len(self.folder),
            self.folder,
        )
        return hashlib.sha256(told + self.members.fingerprint).hexdigest()


def what_hinders(path: str) -> str | None:
    """Why this can be no path in an archive; None where it can."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "it has no form in UTF-8"
    if not path:
        return "it is empty"
    if "\0" in path:
        return "it has a NUL"
    if path.startswith("/"):
        return "it begins with a slash"
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            return f"it has a part {part!r}"
    return None


def _are_paths(paths: Sequence[str]) -> bool:
    """Would `what_hinders` take all of them? Five searches for ten thousand."""
    together = "/" + "/\0/".join(paths) + "/"
    together.encode()
    return together.count("\0") == len(paths) - 1 and not any(bad in together for bad in ("//", "/./", "/../"))


def _packed(
    batch: Sequence[Member],
) -> tuple[list[str], array[int], array[int], array[int], bytes] | None:
    """A batch's columns; None, or whatever error it is, where one of its members is none."""
    paths = [member[0] for member in batch]
    sizes = array("q", [member[1] for member in batch])
    mtimes = array("q", [member[2] for member in batch])
    crc32s = array("q", [UNKNOWN if member[4] is None else member[4] for member in batch])
    digests = [member[3] for member in batch]
    digest_bytes = bytes.fromhex("".join(digests))
    is_right = (
        _are_paths(paths)
        and min(sizes) >= 0
        and min(crc32s) >= UNKNOWN
        and max(crc32s) < 2**32
        and crc32s.count(UNKNOWN) == sum([member[4] is None for member in batch])
        and set(map(len, digests)) == {2 * _DIGEST_BYTES}
        and len(digest_bytes) == len(batch) * _DIGEST_BYTES
    )
    return (paths, sizes, mtimes, crc32s, digest_bytes) if is_right else None


def _check(index: int, member: Member) -> None:
    """Raise what is wrong with one entry, if it is the one."""
    checks: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: 0 <= index_of(member.size) <= MOST_BYTES, f"its size {member.size!r} is none"),
        (lambda: _LEAST <= index_of(member.mtime) <= _MOST, f"its time {member.mtime!r} is none"),
        (lambda: parse_digest(member.digest) is not None, f"{member.digest!r} is no SHA-256"),
        (lambda: member.crc32 is None or 0 <= index_of(member.crc32) < 2**32, f"its CRC-32 {member.crc32!r} is none"),
    )
    reason = what_hinders(member.path)
    if reason is not None:
        raise BadMember(index, member.path, reason)
    for is_met, otherwise in checks:
        try:
            met = is_met()
        except (TypeError, ValueError):
            met = False
        if not met:
            raise BadMember(index, member.path, otherwise)


def _folders(paths: Iterable[str]) -> set[str]:
    """All folders that these paths lie in, at any depth."""
    found = {path.rpartition("/")[0] for path in paths}
    waiting = found
    while waiting := {folder.rpartition("/")[0] for folder in waiting} - found:
        found |= waiting
    return found - {""}


def _refuse_clash(members: Members) -> None:
    first: dict[str, int] = {}
    for index, path in enumerate(members.paths()):
        if path in first:
            raise BadMember(index, path, f"it comes twice, first as entry {first[path]}")
        first[path] = index
    folders = _folders(first)
    path, index = next((path, index) for path, index in first.items() if path in folders)
    raise BadMember(index, path, "it is a file, and a folder of other entries")


def _little_endian(column: array[int]) -> array[int]:
    """The same on every machine, so that two hubs tell one bundle by one ETag."""
    if sys.byteorder == "little":
        return column
    turned = column[:]
    turned.byteswap()
    return turned
