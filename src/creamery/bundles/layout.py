"""Where each byte of an archive is, without the archive: one promise for every format.

An archive is a row of members, each with what the format puts before its bytes (for a tar the padding of the member
before it as well), and an end. `tar.py` and `zip.py` say how long all of that is and what it reads; here a range of
bytes is found in it by bisection.

In memory a layout is the manifest and 8 bytes a member (a zip's: 16). It never changes, may be sent to another process
and can always be made anew, so a cache may drop it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from creamery.bundles.manifest import UNKNOWN, Manifest, Members
from creamery.bundles.tar import Tar
from creamery.bundles.zip import Zip


class Slice(NamedTuple):
    """Some bytes of a member: which one by its place, and where in it."""

    member: int
    offset: int
    length: int


_new = tuple.__new__
"""Makes a `Slice` in half the time that calling its class takes; there is one for each member."""

Piece = bytes | Slice
"""What an archive is made of."""

Checksum = Callable[[int], int]
"""The CRC-32 of a member's content, by its place."""


class ChecksumUnknown(Exception):
    """A zip's header was read whose member's CRC-32 the manifest does not know, and nobody could be asked."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path[:200]!r}: the zip's header needs its CRC-32, which nobody knows yet")
        self.path = path


class _Form(Protocol):
    """What a format puts around members.

    Attributes:
        ends: where each member's bytes end in the archive.
        length: of the archive.
    """

    @property
    def ends(self) -> array[int]: ...
    @property
    def length(self) -> int: ...

    def heads(self, first: int, last: int, checksum: Checksum) -> Iterator[bytes]:
        """What lies between the bytes of the member before and those of each from `first` to before `last`."""
        ...

    def tail(self, start: int, stop: int, checksum: Checksum) -> Iterator[bytes]:
        """What lies from `start` to before `stop`, both of them behind the last member's bytes."""
        ...


class Layout:
    """An archive's arithmetic.

    Attributes:
        manifest: what it follows from.
        etag: the manifest's.
        length: the archive's bytes, exactly.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.etag = manifest.etag
        form = Tar if manifest.format == "tar" else Zip
        self._form: _Form = form(manifest.members, manifest.folder)
        self.length = self._form.length

    def offset(self, member: int) -> int:
        """Where a member's bytes begin in the archive."""
        return self._form.ends[member] - self.manifest.members.sizes[member]

    def offsets(self) -> Iterator[int]:
        """The same for all, in order."""
        return (end - size for end, size in zip(self._form.ends, self.manifest.members.sizes, strict=True))

    def members_in(self, start: int, stop: int) -> range:
        """The members of which at least one byte, header included, lies in these bytes."""
        ends = self._form.ends
        first = bisect_right(ends, start)
        return range(first, max(first, min(bisect_left(ends, stop) + 1, len(ends)))) if start < stop else range(0)

    def pieces(self, start: int = 0, stop: int | None = None, checksum: Checksum | None = None) -> Iterator[Piece]:
        """What the bytes from `start` to before `stop` (None: the end) are made of, in order, no piece empty.

        Args:
            start: the first byte.
            stop: the one after the last.
            checksum: is asked for what the manifest does not know, when a zip's header is reached that has it.

        Raises:
            ValueError: the range does not lie in the archive.
            ChecksumUnknown: nobody knows one that is needed.
        """
        stop = self.length if stop is None else stop
        if not 0 <= start <= stop <= self.length:
            raise ValueError(f"{start} to {stop} is no range of {self.length} bytes")
        if start == stop:
            return iter(())
        return self._pieces(start, stop, _known_first(self.manifest.members, checksum))

    def _pieces(self, start: int, stop: int, checksum: Checksum) -> Iterator[Piece]:
        ends, sizes = self._form.ends, self.manifest.members.sizes
        behind = ends[-1] if ends else 0
        members = self.members_in(start, min(stop, behind))
        first = members.start
        if members and start >= ends[first] - sizes[first]:  # it begins among a member's bytes: no header is made
            data = ends[first] - sizes[first]
            yield Slice(first, start - data, min(stop, ends[first]) - start)
            start, first = ends[first], first + 1
        skipped = start - ends[first - 1] if first else start
        for member, head in enumerate(self._form.heads(first, members.stop, checksum), first):
            end = ends[member]
            size = sizes[member]
            data = end - size
            if stop <= data:  # the last: it ends among a header's bytes
                yield head[skipped : len(head) - (data - stop)]
                return
            yield head[skipped:] if skipped else head
            skipped = 0
            if size:
                yield _new(Slice, (member, 0, size if end <= stop else stop - data))
        if stop > behind:
            yield from self._form.tail(max(start, behind), stop, checksum)


def lay_out(manifest: Manifest) -> Layout:
    """Work out where each byte of a bundle is. Takes about 0.5 us a member; for threads when there are many."""
    return Layout(manifest)


def _known_first(members: Members, checksum: Checksum | None) -> Checksum:
    known = members.crc32s

    def ask(member: int) -> int:
        crc32 = known[member]
        if crc32 != UNKNOWN:
            return crc32
        if checksum is None:
            raise ChecksumUnknown(members.path(member))
        return checksum(member)

    return ask
