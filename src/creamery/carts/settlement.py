"""What has come is told to the files that wait for it, and so are the carts that wait for those."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from creamery.blobs import BlobError
from creamery.carts import sources
from creamery.carts.sources import Source
from creamery.carts.verdicts import Fetched, judge, lost
from creamery.contract import Digest
from creamery.door import Hub
from creamery.telemetry import log


class Settlement:
    """Settles sources, and what waits for them. For threads."""

    def __init__(self, hub: Hub) -> None:
        self._blobs = hub.blobs
        self._database = hub.database
        self._committer = hub.committer
        self._clock = hub.clock
        self._staged = hub.telemetry.counter("carts_staged", "Files that carts waited for.", ["outcome"])
        self._staged_bytes = hub.telemetry.counter("carts_staged_bytes", "Bytes that archives sent for carts.")

    def settle_known(self, found: Sequence[Source]) -> None:
        """Files whose sources were fetched for another cart; what must be hashed otherwise is hashed here."""
        if not found:
            return
        wanted = self.algorithms(found)
        digests = [source.digest for source in found if source.digest is not None]
        noted = self._database.read(lambda connection: self._blobs.other_digests(connection, digests))
        fetched = []
        for source in found:
            assert source.digest is not None  # noqa: S101 - it is here
            known = dict(noted.get(source.digest, {}))
            missing = wanted.get(source.id, set()) - known.keys() - {"sha256"}
            try:
                known |= self._hash(source.digest, missing)
            except BlobError as error:
                log.warning("carts.source_lost", archive=source.archive, item=source.item, reason=str(error))
                self._committer.write(partial(sources.set_sources, sources=[lost(source, self._clock.now())]))
                continue
            fetched.append(Fetched(source, source.digest, known))
        self._committer.write(lambda connection: self.settle(connection, fetched, is_kept=False))

    def _hash(self, digest: Digest, algorithms: set[str]) -> dict[str, str]:
        hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
        if hashes:
            for piece in self._blobs.reader.open(digest):
                for each in hashes.values():
                    each.update(piece)
        return {name: each.hexdigest() for name, each in hashes.items()}

    def algorithms(self, some: Sequence[Source]) -> dict[int, set[str]]:
        """The algorithms of the digests that the files which wait for these sources must have, by source."""
        wanted: dict[int, set[str]] = {}
        for number, name in self._database.read(partial(sources.wanted_hashes, sources=[each.id for each in some])):
            wanted.setdefault(number, set()).add(name)
        return wanted

    def settle(self, connection: Connection, fetched: Sequence[Fetched], *, is_kept: bool = True) -> None:
        """Sources are here, or never will be: so are the files that wait for them."""
        now = self._clock.now()
        digests = [each.digest for each in fetched if each.digest is not None]
        here = set(digests) if is_kept else self._blobs.refer_all(connection, digests)
        by_source = {each.source.id: each for each in fetched}
        changed = []
        for each in fetched:
            if each.digest is None:
                changed.append(each.source._replace(state="error"))
            elif each.digest in here:
                changed.append(each.source._replace(state="here", near=True, digest=each.digest))
                if each.others:
                    self._blobs.note_digests(connection, each.digest, each.others)
            else:
                changed.append(lost(each.source, now))
        sources.set_sources(connection, changed)
        gone = {source.id for source in changed if source.state == "waiting"}
        waiting = sources.waiting_for(connection, [number for number in by_source if number not in gone])
        settled = [judge(each, by_source[each.source_id]) for each in waiting]
        sources.settle(connection, [each for each in settled if each is not None], now)

    def count(self, fetched: Sequence[Fetched]) -> None:
        """For the metrics."""
        here = [each.source.size for each in fetched if each.digest is not None]
        self._staged.labels("here").inc(len(here))
        self._staged.labels("refused").inc(len(fetched) - len(here))
        self._staged_bytes.inc(sum(here))
