"""Whether rows, files and references agree: `creamery fsck`, without its repairs (`repair.py`).

An audit only reads and may run beside a hub: what differs because something happens this moment is looked at again,
and what a sweep collects by itself (part files, files without a row) is a finding only when no sweep has done so for
twice its time.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from creamery.blobs import tables
from creamery.blobs.findings import PATIENCE, Depth, Finding, Kind
from creamery.blobs.holders import Holder, held_by, kept_by
from creamery.blobs.incoming import abandoned
from creamery.blobs.local import LocalStore, look
from creamery.blobs.ownership import Layout, read_owner
from creamery.blobs.segment_audit import SegmentAudit
from creamery.blobs.store import BlobMissing, StoreMismatch
from creamery.blobs.verification import hash_of
from creamery.clock import SECOND, Clock
from creamery.contract import Digest
from creamery.database import Database
from creamery.limits import Limits

P = ParamSpec("P")
T = TypeVar("T")

BATCH = 500
NAMES_SHOWN = 10


@dataclass(slots=True)
class Summary:
    """How much was looked at, and how much of it a sweep will still collect by itself."""

    blobs: int = 0
    bytes: int = 0
    references: int = 0
    young: int = 0
    findings: Counter[Kind] = field(default_factory=Counter)


class NotAStore(Exception):
    """The directory is none that a hub has made, or belongs to another hub's database."""


class Audit:
    """One look at everything."""

    def __init__(self, data: Path, database: Database, holders: Sequence[Holder], limits: Limits, clock: Clock) -> None:
        self.summary = Summary()
        self._layout = Layout(data)
        self._store = LocalStore(self._layout.blobs, self._layout.quarantine)
        self._segments = SegmentAudit(self._layout, database, limits, clock)
        self._database = database
        self._holders = holders
        self._limits = limits
        self._clock = clock

    def check_owner(self) -> str:
        """Is it a store, and this database's? Returns its hub's instance.

        Raises:
            NotAStore: it is not.
        """
        data = self._layout.data
        try:
            on_disk = read_owner(self._layout)
        except StoreMismatch as error:
            raise NotAStore(str(error)) from error
        if on_disk is None:
            raise NotAStore(
                f"{data} is no data directory of a hub: it has no store.json; name the right one with --data"
            )
        in_database = self._read(tables.owner)
        if in_database is None or in_database[0] != on_disk.instance:
            raise NotAStore(
                f"{data} and the database {self._database.url} belong to different hubs: `data` and `database_url` must"
                " name the same hub's"
            )
        return on_disk.instance

    def size(self) -> int:
        """How many bytes the rows name: what `progress` will have been told in the end."""
        return self._read(tables.total_bytes)

    def run(self, depth: Depth, progress: Callable[[int], None]) -> Iterator[Finding]:
        """Everything that is wrong; `summary` counts along.

        Raises:
            OSError: a file or directory cannot be read, so nothing can be said about it.
            DatabaseUnavailable: the database does not answer.
        """
        bad: dict[Digest, Finding] = {}
        for finding in self._compare(depth, progress):
            if finding.kind is Kind.ORPHAN:
                yield self._count(finding)
            else:
                bad[Digest(finding.subject)] = finding
        for placed in self._segments.placed():
            self.summary.blobs += 1
            self.summary.bytes += placed.place.length
            for finding in self._segments.judge(placed, depth):
                bad[placed.digest] = finding
            progress(placed.place.length)
        names = self._read(self._names, bad)
        for digest in names:
            if digest not in bad and self._dangles(digest):
                bad[digest] = Finding(Kind.DANGLING, digest, "it is referred to, and no row knows it")
        for digest, finding in bad.items():
            shown = tuple(names.get(digest, ())[:NAMES_SHOWN])
            kept = self._read(tables.holds, kept_by(self._holders, tables.this(digest)))
            yield self._count(replace(finding, names=shown, kept=kept))
        for finding in (*self._strangers(bad), *self._segments.strangers(), *self._parts()):
            yield self._count(finding)

    def _count(self, finding: Finding) -> Finding:
        self.summary.findings[finding.kind] += 1
        return finding

    # Rows against files

    def _compare(self, depth: Depth, progress: Callable[[int], None]) -> Iterator[Finding]:
        """Both in order of digest, side by side, so that memory stays flat."""
        files = self._store.digests()
        file = next(files, None)
        for row in self._rows():
            while file is not None and file < row.digest:
                yield from self._judge_orphan(file)
                file = next(files, None)
            is_here = file == row.digest
            yield from self._judge(row, depth, is_here=is_here)
            progress(row.size)
            if is_here:
                file = next(files, None)
        while file is not None:
            yield from self._judge_orphan(file)
            file = next(files, None)

    def _rows(self) -> Iterator[tables.Row]:
        last: Digest | None = None
        while batch := self._read(tables.in_files, BATCH, last):
            yield from batch
            last = batch[-1].digest

    def _judge(self, row: tables.Row, depth: Depth, *, is_here: bool) -> Iterator[Finding]:
        self.summary.blobs += 1
        self.summary.bytes += row.size
        if row.state == tables.CORRUPT:
            yield Finding(Kind.CORRUPT, row.digest, "it was found wrong before, and moved to quarantine")
        elif row.state == tables.GONE:
            return  # a sweep is at work, or was killed at it; the next one ends it
        elif is_here and depth is Depth.QUICK:
            return
        else:
            yield from self._judge_file(row, depth)

    def _judge_file(self, row: tables.Row, depth: Depth) -> Iterator[Finding]:
        size = self._store.size(row.digest)
        if size is None:
            if self._read(tables.state_of, row.digest) not in {tables.OK, tables.DELETING}:
                return  # swept this moment
            if self._store.is_obstructed(row.digest):
                yield Finding(Kind.CORRUPT, row.digest, "what lies at its name is no plain file")
            else:
                yield Finding(Kind.MISSING, row.digest, f"there is no file of {row.size} bytes")
        elif size != row.size:
            yield Finding(Kind.WRONG_SIZE, row.digest, f"the file has {size} bytes instead of {row.size}")
        elif depth is Depth.DATA:
            try:
                found = hash_of(self._store, row.digest)
            except BlobMissing:
                return  # swept this moment
            if found != row.digest:
                yield Finding(Kind.CORRUPT, row.digest, f"the SHA-256 of the file is {found}")

    def _judge_orphan(self, digest: Digest) -> Iterator[Finding]:
        if self._read(tables.state_of, digest) is not None:
            return  # its row came this moment
        if self._store.linked(digest) > self._clock.now() - PATIENCE * self._limits.sweep_grace_seconds * SECOND:
            self.summary.young += 1
            return
        yield Finding(Kind.ORPHAN, digest, "no row knows this file, and no sweep has taken it")

    # References against rows

    def _names(self, connection: Connection, bad: dict[Digest, Finding]) -> dict[Digest, list[str]]:
        """What refers to bad blobs, and to digests that have no row; one pass over all references."""
        names: dict[Digest, list[str]] = {}
        for holder in self._holders:
            references = holder.audit(connection)
            while batch := list(islice(references, BATCH)):
                self.summary.references += len(batch)
                known = set(tables.those_known(connection, [digest for digest, _ in batch]))
                for digest, name in batch:
                    if digest in bad or digest not in known:
                        names.setdefault(digest, []).append(name)
        return names

    def _dangles(self, digest: Digest) -> bool:
        """Looked at again: a blob may have come, or its reference gone, while the others were read."""
        return self._read(tables.state_of, digest) is None and self._read(
            tables.holds, held_by(self._holders, tables.this(digest))
        )

    # Files that are no blobs

    def _strangers(self, bad: Collection[Digest]) -> Iterator[Finding]:
        """What lies in the tree and is no blob; what lies at the name of one that is bad is found already."""
        for entry in self._store.entries():
            digest = self._store.digest_at(entry)
            if digest is None:
                yield Finding(Kind.STRANGER, self._name(entry.path), "its name is not that of a blob at this place")
            elif digest not in bad and not entry.is_file(follow_symlinks=False):
                yield Finding(Kind.STRANGER, self._name(entry.path), "it is no plain file")

    def _parts(self) -> Iterator[Finding]:
        before = self._clock.now() // SECOND - PATIENCE * self._limits.part_seconds
        for path, changed in abandoned(self._layout.incoming):
            found = look(path)
            if found is None:
                continue  # finished this moment
            if not stat.S_ISREG(found.st_mode):
                yield Finding(
                    Kind.STRANGER, self._name(path), "it is no plain file, and no hub makes anything else there"
                )
            elif changed < before:
                yield Finding(Kind.STALE_PART, self._name(path), "nobody writes it any more, and no sweep has taken it")
            else:
                self.summary.young += 1

    def _name(self, path: str | Path) -> str:
        return str(Path(path).relative_to(self._layout.data))

    def _read(self, question: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self._database.read(lambda connection: question(connection, *args, **kwargs))
