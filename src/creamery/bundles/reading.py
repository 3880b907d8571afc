"""A bundle's bytes in their order, out of the files that they lie in. For threads: every step may wait for a disk.

What is small travels together: headers, and members below 64 KiB, in chunks of about 256 KiB; and small members that
lie close to each other in one segment are read together. What is large passes through as it is read, or is handed out
as the place where it lies, for sendfile(2): joining 256 KiB reads to larger chunks made the whole seven times slower.

Files are opened when the reading comes near them and stay open while it is: the disk is told of the next few, so that
it never waits for us. What a file lacks is never made up: the reading ends with an error, and the client sees that
bytes are missing. Who reads holds the blobs' leases.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

from creamery.blobs import Extent
from creamery.bundles.layout import Checksum, Layout
from creamery.contract import Digest
from creamery.faults import reach
from creamery.limits import KIB, MIB

T = TypeVar("T")

Locate = Callable[[range], Sequence[Extent]]
"""Where the bytes of these members lie, by their places, in order: many at once, so that it may be one query.

It is asked for up to `LOCATED_TOGETHER` members, a little before they are read, and for some once more when their file
is away: segments are compacted while somebody reads. What it raises ends the reading.
"""

CHUNK = 256 * KIB
SMALL = 64 * KIB
"""Members from here on are not copied together with others."""

GAP = 4 * KIB
"""What may lie between two members in a segment that are read at once; a page costs less than another call."""

LOCATED_TOGETHER = 1_024
_LOCATED_FIRST = 64
"""So that the first byte does not wait for a thousand looks at the disk."""

BYTES_AHEAD = 8 * MIB
RUNS_AHEAD = 16
"""So many files are open as well, and the one that is read: a hub may have a thousand clients."""

_advise = getattr(os, "posix_fadvise", None)  # Linux
_WILL_NEED = getattr(os, "POSIX_FADV_WILLNEED", 0)


class MemberUnreadable(Exception):
    """A member's bytes are not what the manifest says: the bundle ends before them.

    Attributes:
        path: the member's, in the bundle.
        digest: of what should be there.
        reason: what is there instead.
    """

    def __init__(self, path: str, digest: Digest, reason: str) -> None:
        super().__init__(f"{path[:200]!r} (SHA-256 {digest}) cannot be read: {reason}")
        self.path = path
        self.digest = digest
        self.reason = reason


def parts(
    layout: Layout,
    locate: Locate,
    start: int = 0,
    stop: int | None = None,
    *,
    checksum: Checksum | None = None,
) -> Iterator[bytes | Extent]:
    """The bytes from `start` to before `stop` (None: the end): those of large members as where they lie.

    An `Extent` has 64 KiB to 8 MiB, and its file has been opened and found long enough; who sends it looks again.
    Close the iterator (`contextlib.closing`) when it is not read to its end.

    Raises:
        ValueError: the range does not lie in the bundle.
        ChecksumUnknown: as `Layout.pieces`.
        MemberUnreadable: a file is away, has another length than it must have, or its disk fails.
        Exception: what `locate` or `checksum` raised.
    """
    return _closed_after(_Reading(layout, locate, start, stop, checksum), _Reading.parts)


def chunks(
    layout: Layout,
    locate: Locate,
    start: int = 0,
    stop: int | None = None,
    *,
    checksum: Checksum | None = None,
) -> Iterator[bytes]:
    """`parts`, with the bytes of large members read: chunks of at most 320 KiB.

    Raises:
        Exception: as `parts`.
    """
    return _closed_after(_Reading(layout, locate, start, stop, checksum), _Reading.chunks)


def _closed_after(reading: _Reading, walk: Callable[[_Reading], Iterator[T]]) -> Iterator[T]:
    with closing(reading):
        yield from walk(reading)


class _Run:
    """Members one after the other that lie close together in one file, and are read at once; or a large one alone.

    Attributes:
        path, start, stop: where.
        first, offsets: the first member's place, and where in the run each of them begins (of empty ones: anything).
        is_large: it is one large member.
        bytes: what was read; None for a large one.
        advised: where in the file ends what the disk was told of.
        relocated: it was asked for twice already.
    """

    __slots__ = ("advised", "bytes", "first", "is_large", "offsets", "path", "relocated", "start", "stop")

    def __init__(self, first: int, extent: Extent, *, relocated: bool) -> None:
        self.path = extent.path
        self.start = extent.offset
        self.stop = extent.offset + extent.length
        self.advised = extent.offset
        self.first = first
        self.offsets = [0]
        self.is_large = extent.length >= SMALL
        self.bytes: memoryview | None = None
        self.relocated = relocated

    @property
    def last(self) -> int:
        return self.first + len(self.offsets) - 1

    @property
    def length(self) -> int:
        return self.stop - self.start


class _Reading:
    """One pass over a range of a bundle."""

    def __init__(self, layout: Layout, locate: Locate, start: int, stop: int | None, checksum: Checksum | None) -> None:
        stop = layout.length if stop is None else stop
        self._members = layout.manifest.members
        self._pieces = layout.pieces(start, stop, checksum)
        self._locate = locate
        read = layout.members_in(start, stop)
        if read and layout.offset(read[-1]) >= stop:  # of the last only the header
            read = read[:-1]
        self._to_locate = iter(read)
        self._located_together = _LOCATED_FIRST
        self._runs: deque[_Run] = deque()
        self._near = 0  # so many of the runs, from the left, with so many bytes, have their files open
        self._near_bytes = 0
        self._files = _Files()

    def close(self) -> None:
        """Let go of the files."""
        self._files.close()

    def chunks(self) -> Iterator[bytes]:
        """As the function."""
        for part in self.parts():
            if isinstance(part, bytes):
                yield part
                continue
            offset, stop = part.offset, part.offset + part.length
            while offset < stop:
                length = stop - offset if stop - offset < CHUNK + SMALL else CHUNK
                yield self._read(self._runs[0], offset, length)
                offset += length

    def parts(self) -> Iterator[bytes | Extent]:
        """As the function."""
        held: list[bytes | memoryview] = []
        held_bytes = 0
        first, last = 0, -1
        offsets: list[int] = []
        together: memoryview | None = None
        for piece in self._pieces:
            if type(piece) is bytes:
                held.append(piece)
                held_bytes += len(piece)
            else:
                member, offset, length = piece
                if member > last:
                    run = self._run_of(member)
                    first, last, offsets, together = run.first, run.last, run.offsets, run.bytes
                if together is not None:
                    begin = offsets[member - first] + offset
                    held.append(together[begin : begin + length])
                elif length < SMALL:
                    run = self._runs[0]
                    held.append(self._read(run, run.start + offset, length))
                else:
                    if held:
                        yield b"".join(held)
                        held, held_bytes = [], 0
                    run = self._runs[0]
                    yield from self._extents(run, run.start + offset, run.start + offset + length)
                    continue
                held_bytes += length
            if held_bytes >= CHUNK:
                yield b"".join(held)
                held, held_bytes = [], 0
        if held:
            yield b"".join(held)

    def _extents(self, run: _Run, start: int, stop: int) -> Iterator[Extent]:
        """In steps, so that the disk hears of the next one while one is sent."""
        for offset in range(start, stop, BYTES_AHEAD):
            self._advise(run, offset, min(offset + 2 * BYTES_AHEAD, stop))
            yield Extent(run.path, offset, min(BYTES_AHEAD, stop - offset))

    def _run_of(self, member: int) -> _Run:
        """The run that a member lies in: the first one, those before it being done, and the next ones advised of."""
        while self._runs and self._runs[0].last < member:
            run = self._runs.popleft()
            self._near -= 1
            self._near_bytes -= run.length
            self._files.leave(run.path)
        self._look_ahead()
        run = self._runs[0]
        try:
            self._check(run)
        except FileNotFoundError:
            run = self._relocated(run)
        if not run.is_large:
            run.bytes = memoryview(self._read(run, run.start, run.length))
        return run

    def _look_ahead(self) -> None:
        """Open the next runs, as many as may wait in memory, and tell the disk of them."""
        while self._near <= RUNS_AHEAD and self._near_bytes <= BYTES_AHEAD:
            if self._near == len(self._runs) and not self._locate_more():
                return
            run = self._runs[self._near]
            self._files.enter(run.path)
            if self._near:  # the first is about to be read, and perhaps not from its beginning
                self._advise(run, run.start, min(run.start + BYTES_AHEAD, run.stop))
            self._near += 1
            self._near_bytes += run.length

    def _advise(self, run: _Run, start: int, stop: int) -> None:
        start = max(start, run.advised)
        if _advise is None or start >= stop:
            return
        run.advised = stop
        with suppress(OSError):  # only advice: what hinders the reading is met, and told, when it comes there
            _advise(self._files.descriptor(run.path), start, stop - start, _WILL_NEED)

    def _locate_more(self) -> bool:
        """Make runs of the next members; False when there are no more."""
        while members := list(islice(self._to_locate, self._located_together)):
            self._located_together = min(2 * self._located_together, LOCATED_TOGETHER)
            runs = self._grouped(range(members[0], members[-1] + 1), relocated=False)
            if runs:  # else all of them are empty
                self._runs.extend(runs)
                return True
        return False

    def _grouped(self, members: range, *, relocated: bool) -> list[_Run]:
        sizes = self._members.sizes
        runs: list[_Run] = []
        run: _Run | None = None
        for member, extent in zip(members, self._locate(members), strict=True):
            size, offset = sizes[member], extent.offset
            if extent.length != size:
                raise self._unreadable(member, f"{extent.length} bytes lie there instead of {size}")
            if run is not None and not size:
                run.offsets.append(0)
            elif (
                run is not None
                and not run.is_large
                and size < SMALL
                and 0 <= offset - run.stop <= GAP
                and offset + size - run.start <= CHUNK
                and (extent.path is run.path or extent.path == run.path)
            ):
                run.stop = offset + size
                run.offsets.append(offset - run.start)
            elif size:
                run = _Run(member, extent, relocated=relocated)
                runs.append(run)
        return runs

    def _relocated(self, run: _Run) -> _Run:
        """Ask once more where a run's members lie, whose file is away; the first of what it is now."""
        reason = f"{run.path} is not there"
        if run.relocated:
            raise self._unreadable(run.first, reason)
        fresh = self._grouped(range(run.first, run.last + 1), relocated=True)
        self._runs.popleft()
        self._runs.extendleft(reversed(fresh))
        self._near += len(fresh) - 1
        self._near_bytes += sum([each.length for each in fresh]) - run.length
        self._files.leave(run.path)
        for each in fresh:
            self._files.enter(each.path)
        try:
            self._check(fresh[0])
        except FileNotFoundError as error:
            raise self._unreadable(run.first, reason) from error
        return fresh[0]

    def _check(self, run: _Run) -> None:
        """Open its file and see that it is as long as it must be.

        Raises:
            FileNotFoundError: it is away.
            MemberUnreadable: it is not as long, or cannot be opened.
        """
        try:
            size = os.fstat(self._files.descriptor(run.path)).st_size
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unreadable(run.first, f"{run.path} cannot be opened: {error.strerror}") from error
        if size < run.stop:
            raise self._ended(run, size)
        if not run.start and size != run.stop:  # a segment begins with a header: this file is one member's alone
            raise self._unreadable(run.first, f"{run.path} has {size} bytes instead of {run.stop}")

    def _read(self, run: _Run, offset: int, length: int) -> bytes:
        try:
            reach("bundles.read")
            descriptor = self._files.descriptor(run.path)
            data = os.pread(descriptor, length, offset)
            while len(data) < length:
                more = os.pread(descriptor, length - len(data), offset + len(data))
                if not more:
                    raise self._ended(run, offset + len(data))
                data += more
        except OSError as error:
            raise self._unreadable(run.first, f"reading {run.path} failed: {error.strerror}") from error
        return data

    def _ended(self, run: _Run, end: int) -> MemberUnreadable:
        """The first member of the run that the file's end cuts off."""
        sizes = self._members.sizes
        cut = next(at for at, offset in enumerate(run.offsets, run.first) if run.start + offset + sizes[at] > end)
        return self._unreadable(cut, f"{run.path} ends after {end} bytes, before the member does")

    def _unreadable(self, member: int, reason: str) -> MemberUnreadable:
        return MemberUnreadable(self._members.path(member), self._members.digest(member), reason)


class _Files:
    """Files that are open while a run that is near lies in them, each once, however many do."""

    def __init__(self) -> None:
        self._runs: Counter[Path] = Counter()
        self._open: dict[Path, int] = {}

    def enter(self, path: Path) -> None:
        """A run in it has come near."""
        self._runs[path] += 1

    def leave(self, path: Path) -> None:
        """A run in it is done."""
        self._runs[path] -= 1
        if not self._runs[path]:
            del self._runs[path]
            if path in self._open:
                os.close(self._open.pop(path))

    def descriptor(self, path: Path) -> int:
        """The file's, opened where it is not.

        Raises:
            OSError: it cannot be.
        """
        descriptor = self._open.get(path)
        if descriptor is None:
            descriptor = self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return descriptor

    def close(self) -> None:
        """Close all."""
        while self._open:
            os.close(self._open.popitem()[1])
