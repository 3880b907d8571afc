"""Blobs with all that they need, put together for tests as `hub.py` does it for the hub."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from creamery.blobs import Blobs, places, tables
from creamery.clock import Clock
from creamery.contract import Digest, digest_of
from creamery.database import Committer, Database, Generations, metadata
from creamery.limits import Limits
from creamery.sections import Cache
from creamery.telemetry import Telemetry
from creamery.threads import Pools
from tests.doubles import shelf

TABLES: list[Table] = [tables.blob, tables.blob_digest, tables.store, tables.blob_pause, metadata.tables["generation"]]


def make_tables(url: str) -> None:
    """The schema, as far as blobs and the shelf need it."""
    database = Database(url, Limits())
    metadata.create_all(database.write, tables=TABLES)
    shelf.metadata.create_all(database.write)
    with database.write.begin() as connection:
        connection.execute(insert(metadata.tables["generation"]).values(id=1))
    database.close()


class Cellar:
    """One process's view of a data directory. Several of them may share one, as processes do."""

    def __init__(self, data: Path, url: str, clock: Clock, *, cache: Cache | None = None, **limits: Any) -> None:
        self.data = data
        self.clock = clock
        self.limits = Limits(**{"small_bytes": 0, **limits})  # a file for each, unless a test is about segments
        self.telemetry = Telemetry()
        self.pools = Pools(self.limits)
        self.database = Database(url, self.limits, self.telemetry)
        self.generations = Generations(self.database)
        self.committer = Committer(self.database, self.generations, self.limits, clock, self.telemetry)
        self.blobs = Blobs(
            data, self.database, self.committer, self.limits, cache or Cache(), clock, self.telemetry, self.pools
        )
        self.blobs.hold([shelf.SHELF])
        self._is_closed = False

    def open(self) -> Cellar:
        """Begin."""
        self.committer.start()
        try:
            self.blobs.open()
        except BaseException:
            self.close(clean=False)
            raise
        return self

    def close(self, *, clean: bool = True) -> None:
        """End, as a process does that is asked to; or leaving the mark of one that was killed. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        if clean:
            self.blobs.close()
        self.committer.close()
        self.generations.close()
        self.pools.close()
        self.database.close()

    def put(self, data: bytes, name: str, *, kept: bool = True) -> Digest:
        """Keep bytes under a name."""
        self.blobs.keep_bytes(data, shelf.shelve(name, kept=kept))
        return digest_of(data)

    def scatter(self, bodies: Sequence[bytes], *, rows: bool = True) -> list[Digest]:
        """Many blobs that nobody holds, without a sync for each."""
        fresh = [tables.Fresh(digest_of(body), len(body), 0) for body in bodies]
        for one, body in zip(fresh, bodies, strict=True):
            path = self.blobs.store.path(one.digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        if rows:
            now = self.clock.now()
            self.committer.write(lambda connection: [tables.add(connection, one, now) for one in fresh])
        return [one.digest for one in fresh]

    def take_away(self, name: str) -> None:
        """Remove a name."""
        self.committer.write(shelf.take_away(name))

    def names(self) -> dict[str, tuple[Digest, bool]]:
        """What the shelf refers to."""
        return self.database.read(shelf.references)

    def states(self) -> dict[Digest, str]:
        """Every blob's state."""

        def ask(connection: Connection) -> dict[Digest, str]:
            rows = connection.execute(select(tables.blob.c.digest, tables.blob.c.state))
            return {digest: state for digest, state in rows}  # noqa: C416 - a Row is no pair of these types

        return self.database.read(ask)

    def stored(self) -> set[Digest]:
        """Every blob that lies in the store: in a file of its own, or where its row says in a segment."""
        last, placed = None, set()
        while batch := self.database.read(partial(places.in_segments, limit=100, after=last)):
            placed |= {each.digest for each in batch if self.blobs.reader.segments.holds(each.place)}
            last = batch[-1].place
        return placed | {digest for digest, _ in self.blobs.store.list()}

    def sweep_all(self) -> None:
        """Let every grace pass and sweep until nothing is left to do."""
        for _ in range(4):
            self.clock.advance(self.limits.sweep_grace_seconds + 1)  # type: ignore[attr-defined]  # a HandClock
            self.blobs.sweep(slices=16)
