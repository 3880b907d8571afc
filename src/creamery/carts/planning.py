"""Finding out what a cart's files are and where: what is here already is settled, the rest has its space promised.

`carts.plan` is a kind of jobs, each of which goes on where any crash left it; `staging.py` has what comes next. An
archive that is down makes carts wait, with the reason; what an archive refuses is that file's error, and no other's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from creamery.carts import sources, tables
from creamery.carts.archives import Archive, ArchiveDown, ArchiveError, InHub, ItemStat
from creamery.carts.quotas import quota_of
from creamery.carts.room import LOOK_SECONDS, NoSpaceForCart, Room, SpaceIsPromised
from creamery.carts.settlement import Settlement
from creamery.carts.sources import Planned, Settled, Source
from creamery.clock import SECOND, Micros
from creamery.door import Hub
from creamery.jobs import Job, MoreWanted, Postpone, enqueue

T = TypeVar("T")

PLAN_JOB = "carts.plan"
STAGE_JOB = "carts.stage"

AHEAD = 500
"""Files of a cart that may be ready before its POST is answered."""
TOGETHER = 2_000
"""Files that are planned, or read and kept, in one transaction: their rows lie all over the indices' pages, and a page
that many of them share is written once."""
DOWN_SECONDS = 10.0
"""When an archive that has not said so itself is asked again."""


def enqueue_plan(connection: Connection, cart_id: int, now: Micros) -> None:
    """Have a cart planned, unless that waits already."""
    enqueue(connection, PLAN_JOB, {"cart": cart_id, "since": now}, now=now, key=f"{PLAN_JOB}:{cart_id}")


def enqueue_stage(connection: Connection, archive: str, now: Micros) -> None:
    """Have an archive's files staged, unless that waits already."""
    enqueue(connection, STAGE_JOB, {"archive": archive}, now=now, key=f"{STAGE_JOB}:{archive}")


class Planning:
    """The handler of `PLAN_JOB`. For threads."""

    def __init__(self, hub: Hub, archives: Mapping[str, Archive], settlement: Settlement, room: Room) -> None:
        self._archives = archives
        self._room = room
        self._egress = hub.egress
        self._database = hub.database
        self._committer = hub.committer
        self._clock = hub.clock
        self._limits = hub.settings.limits
        self._settings = hub.settings.carts
        self._settlement = settlement

    def plan(self, job: Job) -> None:
        """Find out what a cart's files are and where they are."""
        cart_id = int(job.payload["cart"])
        self._plan_all(cart_id, lambda: True)
        if self._read(lambda connection: tables.cart_by_id(connection, cart_id)) is None:
            return
        if self._read(partial(tables.unplanned, cart_id=cart_id, after=-1, limit=1)):
            since = int(job.payload.get("since", self._clock.now()))
            if self._clock.now() - since <= self._limits.cart_stage_seconds * SECOND:
                raise Postpone(DOWN_SECONDS)
            self._give_up(cart_id)
        total, away = self._read(lambda connection: sources.sizes(connection, cart_id))
        try:
            self._read(lambda connection: self._refuse_beyond_quota(connection, cart_id, total))
            self._room.make(cart_id, away)
            self._committer.write(lambda connection: self._planned(connection, cart_id, total, away))
        except NoSpaceForCart as error:
            reason = str(error)
            self._committer.write(lambda connection: sources.fail(connection, cart_id, reason, self._clock.now()))
        except SpaceIsPromised as error:
            message = str(error)
            self._committer.write(lambda connection: tables.set_message(connection, cart_id, message))
            raise Postpone(LOOK_SECONDS) from error

    def _give_up(self, cart_id: int) -> None:
        """What no archive has said anything of in all that time has failed."""
        reason = f"its archive has not said what it is in {self._limits.cart_stage_seconds:g} s"
        while left := self._read(partial(tables.unplanned, cart_id=cart_id, after=-1, limit=TOGETHER)):
            refused = [Settled(cart_id, file.position, 0, None, reason) for file in left]
            now = self._clock.now()
            self._committer.write(partial(sources.settle, settled=refused, now=now))

    def plan_ahead(self, cart_id: int) -> None:
        """Plan a small cart, before anybody sees it, of which all is here already and nobody has to be asked."""
        files = self._read(partial(tables.unplanned, cart_id=cart_id, after=-1, limit=AHEAD + 1))
        names = {file.archive for file in files}
        if len(files) > AHEAD or len(names) != 1:
            return
        archive = self._archives[names.pop()]
        if isinstance(archive, InHub):
            here = self._egress.call(archive.here([file.item for file in files]))
            if here.keys() == {file.item for file in files}:
                self._write_down(cart_id, [(file, here[file.item]) for file in files])

    def is_much_to_plan(self, job: Job) -> bool:
        """Is it a child's work? What is a part of this hub is asked in its own process, which knows its rules."""
        cart_id, count = int(job.payload["cart"]), self._limits.cart_child_files
        if not self._read(partial(tables.are_unplanned, cart_id=cart_id, count=count)):
            return False
        names = self._read(partial(tables.archives_of, cart_id=cart_id))
        return not any(isinstance(self._archives.get(name), InHub) for name in names)

    def plan_much(self, job: Job, is_more_wanted: MoreWanted) -> None:
        """What `plan` asks and writes of a cart's files, in a child; `plan` makes the room for them."""
        self._plan_all(int(job.payload["cart"]), is_more_wanted)

    def _plan_all(self, cart_id: int, is_more_wanted: MoreWanted) -> None:
        after = -1
        while is_more_wanted():
            batch = self._read(partial(tables.unplanned, cart_id=cart_id, after=after, limit=TOGETHER))
            if not batch or self._read(lambda connection: tables.cart_by_id(connection, cart_id)) is None:
                return
            self._plan_some(cart_id, batch)
            after = batch[-1].position

    def _refuse_beyond_quota(self, connection: Connection, cart_id: int, total: int) -> None:
        """How large a cart is turns out here; a former plan of it, before it was tried once more, is no other's."""
        found = tables.cart_by_id(connection, cart_id)
        if found is None or found.planned:
            return
        others = tables.usage(connection, found.owner)[1] - found.bytes
        quota = quota_of(connection, found.owner, self._settings)
        if others + total > quota.bytes:
            raise NoSpaceForCart(
                f"its {total} bytes and the {others} of its owner's other carts are more than the {quota.bytes}"
                f" that may be ({quota.said_by[1]})"
            )

    def _planned(self, connection: Connection, cart_id: int, total: int, away: int) -> None:
        now = self._clock.now()
        found = tables.cart_by_id(connection, cart_id)
        if found is None or found.planned:
            return
        self._refuse_beyond_quota(connection, cart_id, total)  # once more: others were planned meanwhile
        self._room.refuse_if_promised(connection, cart_id, away)
        sources.set_planned(connection, cart_id, total, now)
        tables.set_state(connection, cart_id, "staging", "", now)
        sources.finish(connection, cart_id, now)
        for name in tables.archives_of(connection, cart_id):
            enqueue_stage(connection, name, now)

    def _plan_some(self, cart_id: int, batch: Sequence[tables.CartFile]) -> None:
        """Ask about some files; where nothing can be said of one now, the cart says why."""
        answers: list[tuple[tables.CartFile, ItemStat | ArchiveError]] = []
        reasons: list[str] = []
        for name in {file.archive: None for file in batch}:
            files = [file for file in batch if file.archive == name]
            stats = self._stat(name, [file.item for file in files], reasons)
            answers += [(file, stats[file.item]) for file in files if file.item in stats]
        reasons += [str(answer) for _, answer in answers if isinstance(answer, ArchiveDown)]
        if reasons:
            message = f"waiting for an archive: {reasons[0]}"
            self._committer.write(lambda connection: tables.set_message(connection, cart_id, message))
        self._write_down(cart_id, answers)

    def _write_down(self, cart_id: int, answers: Sequence[tuple[tables.CartFile, ItemStat | ArchiveError]]) -> None:
        """What archives have said; what is here already is settled."""
        planned: list[Planned] = []
        refused: list[Settled] = []
        for file, answer in answers:
            if isinstance(answer, ItemStat):
                planned.append(self._source_of(cart_id, file, answer))
            elif not isinstance(answer, ArchiveDown):
                refused.append(Settled(cart_id, file.position, 0, None, str(answer)))
        found = self._committer.write(lambda connection: self._write_plan(connection, cart_id, planned, refused))
        self._settlement.settle_known(found)

    def _stat(self, archive: str, items: Sequence[str], reasons: list[str]) -> Mapping[str, ItemStat | ArchiveError]:
        found = self._archives.get(archive)
        if found is None:
            return {item: ArchiveError(f"no archive is called {archive}") for item in items}
        try:
            return self._egress.call(found.stat(items))
        except ArchiveDown as error:
            reasons.append(f"{archive}: {error}")
            return {}

    @staticmethod
    def _source_of(cart_id: int, file: tables.CartFile, stat: ItemStat) -> Planned:
        version = stat.version
        if not version and not stat.mtime:  # nothing says that another cart's bytes were the same
            version = f"cart {cart_id}"
        elif len(version) > sources.MAX_VERSION:
            version = hashlib.sha256(version.encode()).hexdigest()
        place = (file.position, file.archive, file.item)
        return Planned(*place, stat.size, stat.mtime, version, stat.is_near, stat.digest)

    def _write_plan(
        self, connection: Connection, cart_id: int, planned: Sequence[Planned], refused: Sequence[Settled]
    ) -> list[Source]:
        now = self._clock.now()
        found = sources.plan(connection, cart_id, planned, now)
        again = [
            source._replace(state="waiting", asked=None, due=now, attempts=0)
            for source in found
            if source.state == "error"
        ]
        sources.set_sources(connection, again)
        sources.settle(connection, refused, now)
        own = {(each.archive, each.item): each.digest for each in planned if each.digest is not None}
        digests = ((source, own.get((source.archive, source.item), source.digest)) for source in found)
        return [source._replace(digest=digest) for source, digest in digests if digest is not None]

    def _read(self, question: Callable[[Connection], T]) -> T:
        return self._database.read(question)
