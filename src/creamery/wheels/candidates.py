"""The built wheels as the merged pages weigh them, and when there may be others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from functools import partial

from creamery.contract import ProjectName
from creamery.door import Hub
from creamery.wheels import tables
from creamery.wheels.chain import Chain
from creamery.wheels.clients import Libc
from creamery.wheels.offering import Candidate
from creamery.wheels.place import Sight
from creamery.wheels.tables import CHANGED, Entry

MOST_COUNTED = 20_000
"""Projects whose changes are counted apart; beyond them all are doubted once."""

_LIBC = re.compile(r"(glibc|musl) (\d+)\.(\d+)", re.ASCII)


class Candidates:
    """Used on the event loop, but for what the committer and other processes' changes call."""

    def __init__(self, hub: Hub, chain: Chain) -> None:
        self._chain = chain
        self._database = hub.database
        self._pools = hub.pools
        self._changes: Counter[str] = Counter()
        self._doubts = 0
        hub.generations.on_change("wheels", self._doubt)
        hub.committer.on_commit(self._hear)

    def revision(self, project: str) -> Hashable:
        """As promised."""
        return self._doubts, self._changes[project]

    async def candidates(self, project: ProjectName, sight: Sight) -> Sequence[Candidate]:
        """As promised: those whose tags are true, as far as they can be; what upstreams have comes the next time."""
        self._chain.follow(project)
        entries = await self._pools.database.run(
            self._database.read, partial(tables.entries_of, project=project, sight=sight)
        )
        return [_candidate(entry, sight) for entry in entries if entry.state == "listed"]

    def _hear(self, announced: frozenset[str]) -> None:
        for each in announced:
            if each.startswith(CHANGED):
                self._changes[each.removeprefix(CHANGED)] += 1
        if len(self._changes) > MOST_COUNTED:
            self._changes = Counter()
            self._doubts += 1

    def _doubt(self) -> None:
        self._doubts += 1


def _candidate(entry: Entry, sight: Sight) -> Candidate:
    return Candidate(
        filename=entry.listed_name,
        project=entry.file.project,
        version=entry.file.version,
        digest=entry.listed_digest,
        size=entry.listed_size,
        metadata_digest=entry.metadata_digest,
        metadata_size=entry.metadata_size,
        requires_python=entry.requires_python,
        source=entry.source,
        ring=entry.ring,
        rank=sight.index(entry.ring),
        is_neutral=entry.neutral,
        libc=_libc(entry.libc),
        pushed=entry.pushed,
        id=entry.id,
    )


def _libc(text: str | None) -> Libc | None:
    found = None if text is None else _LIBC.fullmatch(text)
    return None if found is None else (found[1], int(found[2]), int(found[3]))
