"""Bringing near what carts were planned to have (`planning.py`), by jobs that go on where any crash left them.

`carts.stage`, one for each archive, has what lies on slow media brought near, some at a time, and fetches what is near;
a file is fetched once for all carts that wait for it. An archive that is down makes carts wait, with the reason; what
an archive refuses, or what is not what was expected, is that file's error, and no other's.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from creamery.blobs import Body, LengthMismatch, NoSpace, NotDurable, ReadOnly, TooLong
from creamery.carts import sources, tables
from creamery.carts.archives import Archive, ArchiveDown, ArchiveError, InHub, ItemStat, OnDisk
from creamery.carts.planning import DOWN_SECONDS, STAGE_JOB, TOGETHER, enqueue_plan, enqueue_stage
from creamery.carts.room import Room
from creamery.carts.settlement import Settlement
from creamery.carts.sources import Source
from creamery.carts.verdicts import CHANGED, Fetched, hashed, known
from creamery.clock import SECOND, Micros
from creamery.door import Hub
from creamery.jobs import Job, MoreWanted, Postpone
from creamery.limits import MIB
from creamery.telemetry import log

T = TypeVar("T")

TIDY_JOB = "carts.tidy"
TIDY_SECONDS = 300.0

BATCH = 500
TOGETHER_BYTES = 16 * MIB
NEAR_AT_ONCE = 2 * TOGETHER
TURN_SECONDS = 5.0
"""How long one archive has a job's thread before others have their turn."""

BUSY_SECONDS = 0.5
FIRST_POLL_SECONDS = 1.0
LONGEST_POLL_SECONDS = 300.0
BROKEN_TIMES = 5
"""So often is a connection made anew that brought nothing, before the file is put off."""


class Staging:
    """The handler of `STAGE_JOB`, and what sees that every cart has its job. For threads."""

    def __init__(self, hub: Hub, archives: Mapping[str, Archive], settlement: Settlement, room: Room) -> None:
        self._archives = archives
        self._room = room
        self._egress = hub.egress
        self._blobs = hub.blobs
        self._database = hub.database
        self._committer = hub.committer
        self._clock = hub.clock
        self._pools = hub.pools
        self._limits = hub.settings.limits
        self._settlement = settlement

    def stage(self, job: Job) -> None:
        """Go on with an archive, for a turn; then again, as long as a cart waits for it."""
        name = str(job.payload["archive"])
        archive = self._archives.get(name)
        if archive is None:
            self._refuse_all(name, f"no archive is called {name} any more")
            return
        with self._claimed(archive):
            self._stage_for_a_turn(archive)

    def is_much_to_stage(self, job: Job) -> bool:
        """Is it a child's work? As for planning."""
        name, now, count = str(job.payload["archive"]), self._clock.now(), self._limits.cart_child_files
        archive = self._archives.get(name)
        if archive is None or isinstance(archive, InHub):
            return False
        return self._read(lambda connection: sources.are_due(connection, name, now, count))

    def stage_much(self, job: Job, is_more_wanted: MoreWanted) -> None:
        """Fetch what is near, in a child, until something hinders it: `stage` meets that, too, and says so."""
        archive = self._archives[str(job.payload["archive"])]
        with self._claimed(archive), suppress(ArchiveDown, NoSpace, NotDurable, ReadOnly):
            while is_more_wanted() and (near := self._near(archive)):
                self._fetch_some(archive, near)

    @contextmanager
    def _claimed(self, archive: Archive) -> Iterator[None]:
        """Alone with an archive: a file must not be fetched twice."""
        claim = self._blobs.claim(f"{STAGE_JOB}:{archive.name}")
        try:
            if not self._egress.call(claim.take()):
                raise Postpone(BUSY_SECONDS)  # another process is at it
            yield
        finally:
            claim.release()

    def _stage_for_a_turn(self, archive: Archive) -> None:
        until = self._clock.monotonic() + TURN_SECONDS
        self._settlement.settle_known(self._read(lambda c: sources.here_and_waited_for(c, archive.name, BATCH)))
        try:
            self._egress.call(self._ask_and_poll(archive))
            while self._clock.monotonic() < until and (near := self._near(archive)):
                self._fetch_some(archive, near)
        except ArchiveDown as error:
            self._say(archive, f"waiting for an archive: {archive.name}: {error}")
            raise Postpone(error.retry_seconds or DOWN_SECONDS) from error
        except (NoSpace, NotDurable, ReadOnly) as error:
            if isinstance(error, NoSpace):
                self._room.give_way(error.needed)
            self._say(archive, f"waiting: {error}")
            raise Postpone(DOWN_SECONDS) from error
        due = self._read(lambda connection: sources.next_due(connection, archive.name))
        if due is not None:
            raise Postpone(max(0.0, (due - self._clock.now()) / SECOND))

    def _refuse_all(self, archive: str, reason: str) -> None:
        """Nothing of it will come: it is configured no more."""
        while left := self._read(lambda c: sources.waited_for(c, archive, BATCH)):
            fetched = [Fetched(source, None, {}, reason) for source in left]
            self._committer.write(partial(self._settlement.settle, fetched=fetched))

    def wake(self) -> None:
        """See that each cart that waits has a job: one that failed too often, or was taken back, is no cart's end."""

        def write(connection: Connection) -> None:
            now = self._clock.now()
            for cart in tables.unfinished(connection):
                if not cart.planned:
                    enqueue_plan(connection, cart.id, now)
                    continue
                for name in tables.archives_of(connection, cart.id):
                    enqueue_stage(connection, name, now)

        self._committer.write(write)

    def _near(self, archive: Archive) -> list[Source]:
        now = self._clock.now()
        return self._read(lambda c: sources.due_sources(c, archive.name, "waiting", now, NEAR_AT_ONCE, near=True))

    async def _ask_and_poll(self, archive: Archive) -> None:
        """Have what is far brought near, within the window; see what has come, and let go of what nobody wants."""
        unwanted = await self._ask(lambda c: sources.unwanted_asked(c, archive.name, BATCH))
        if unwanted:
            await archive.cancel([source.item for source in unwanted])
            now = self._clock.now()
            await self._write([source._replace(state="waiting", asked=None, due=now) for source in unwanted])
        now = self._clock.now()
        asked = await self._ask(lambda c: sources.due_sources(c, archive.name, "asked", now, BATCH, near=False))
        await self._poll(archive, asked)
        free = archive.window - await self._ask(lambda c: sources.asked_count(c, archive.name))
        new = await self._ask(lambda c: sources.due_sources(c, archive.name, "waiting", now, BATCH, near=False))
        await self._stage(archive, new[: max(free, 0)])
        later = Micros(self._clock.now() + int(FIRST_POLL_SECONDS * SECOND))
        await self._write([source._replace(due=later) for source in new[max(free, 0) :]])

    async def _stage(self, archive: Archive, new: Sequence[Source]) -> None:
        if not new:
            return
        answers = await archive.stage([source.item for source in new])
        now = self._clock.now()
        changed = []
        for source in new:
            answer = answers.get(source.item)
            if isinstance(answer, ArchiveDown) and not self._is_overdue(source, now):
                wait = Micros(now + int((answer.retry_seconds or DOWN_SECONDS) * SECOND))
                changed.append(source._replace(due=wait, asked=source.asked or now))
            elif answer is not None:
                await self._refuse(source, str(answer))
            else:
                soon = Micros(now + int(FIRST_POLL_SECONDS * SECOND))
                changed.append(source._replace(state="asked", asked=now, due=soon, attempts=0))
        await self._write(changed)

    async def _poll(self, archive: Archive, asked: Sequence[Source]) -> None:
        if not asked:
            return
        stats = await archive.stat([source.item for source in asked])
        now = self._clock.now()
        changed = []
        for source in asked:
            stat = stats.get(source.item)
            if isinstance(stat, ItemStat) and stat.is_near:
                changed.append(source._replace(state="waiting", near=True, asked=None, due=now, attempts=0))
            elif isinstance(stat, ArchiveError) and not isinstance(stat, ArchiveDown):
                await self._refuse(source, str(stat))
            elif self._is_overdue(source, now):
                seconds = self._limits.cart_stage_seconds
                await self._refuse(source, f"the archive has not brought it near in {seconds:g} s")
            else:
                pause = min(FIRST_POLL_SECONDS * 1.5**source.attempts, LONGEST_POLL_SECONDS)
                comes = Micros(now + int(pause * SECOND))
                changed.append(source._replace(due=comes, attempts=min(source.attempts + 1, 30)))
        await self._write(changed)

    # Fetching

    def _fetch_some(self, archive: Archive, near: Sequence[Source]) -> None:
        wanted = self._settlement.algorithms(near)
        small = [source for source in near if source.size <= self._limits.small_bytes]
        if isinstance(archive, OnDisk) and small:
            self._fetch_small(archive, small, wanted)
            near = [source for source in near if source.size > self._limits.small_bytes]
        self._egress.call(self._fetch_all(archive, near, wanted))

    def _fetch_small(self, archive: OnDisk, small: Sequence[Source], wanted: Mapping[int, set[str]]) -> None:
        """Many at once: some are kept together while the next ones are read."""
        batches = list(_batches(small))
        with ThreadPoolExecutor(1, thread_name_prefix="cart-reader") as reader:
            read = reader.submit(self._read_small, archive, batches[0], wanted)
            for batch in [*batches[1:], None]:
                bodies, fetched = read.result()
                if batch is not None:
                    read = reader.submit(self._read_small, archive, batch, wanted)
                self._keep_small(bodies, fetched)

    def _keep_small(self, bodies: Sequence[Body], fetched: Sequence[Fetched]) -> None:
        if bodies:
            self._blobs.keep_small(bodies, lambda connection: self._settlement.settle(connection, fetched))
        else:
            self._committer.write(lambda connection: self._settlement.settle(connection, fetched))
        self._settlement.count(fetched)

    @staticmethod
    def _read_small(
        archive: OnDisk, small: Sequence[Source], wanted: Mapping[int, set[str]]
    ) -> tuple[list[Body], list[Fetched]]:
        bodies: list[Body] = []
        fetched: list[Fetched] = []
        for source in small:
            try:
                with archive.descriptor(source.item, known(source)) as descriptor:
                    content = os.pread(descriptor, source.size + 1, 0)
            except ArchiveDown:
                raise
            except ArchiveError as error:
                fetched.append(Fetched(source, None, {}, str(error)))
                continue
            if len(content) != source.size:
                fetched.append(Fetched(source, None, {}, CHANGED))
                continue
            bodies.append(Body(content))
            fetched.append(Fetched(source, bodies[-1].digest, hashed(content, wanted.get(source.id, set()))))
        return bodies, fetched

    async def _fetch_all(self, archive: Archive, near: Sequence[Source], wanted: Mapping[int, set[str]]) -> None:
        """These, and what becomes due while they come: one that is slow keeps no other cart waiting."""
        places, turns = asyncio.Semaphore(archive.at_once), asyncio.Semaphore(2 * archive.at_once)
        under_way: dict[int, asyncio.Task[None]] = {}

        async def in_turn(source: Source, algorithms: set[str]) -> None:
            try:
                async with turns:  # as many are made durable while the next ones come
                    await self._fetch(archive, source, algorithms, places)
            finally:
                del under_way[source.id]

        async with asyncio.TaskGroup() as group:
            while True:
                for source in near:
                    task = group.create_task(in_turn(source, wanted.get(source.id, set())))
                    under_way[source.id] = task
                if under_way:
                    await asyncio.wait([*under_way.values()], timeout=FIRST_POLL_SECONDS)
                if not under_way:
                    return
                near, wanted = [], {}
                if len(under_way) < archive.at_once:
                    near, wanted = await self._meanwhile(archive, under_way.keys())

    async def _meanwhile(
        self, archive: Archive, under_way: Collection[int]
    ) -> tuple[Sequence[Source], Mapping[int, set[str]]]:
        """What can be fetched beside what is under way; the small ones of a folder are fetched at once.

        What hinders it hinders nothing that is under way: it is met again, and said, by the next turn.
        """
        with suppress(ArchiveDown, NoSpace, NotDurable, ReadOnly):
            await self._ask_and_poll(archive)
            busy = set(under_way)  # before the rows are read: they may say of one that has just ended that it waits
            near = [each for each in await self._pools.database.run(self._near, archive) if each.id not in busy]
            wanted = await self._pools.database.run(self._settlement.algorithms, near)
            if isinstance(archive, OnDisk):
                small = [source for source in near if source.size <= self._limits.small_bytes]
                if small:
                    await self._pools.disk.run(self._fetch_small, archive, small, wanted)
                near = [source for source in near if source.size > self._limits.small_bytes]
            return near, wanted
        return [], {}

    async def _fetch(self, archive: Archive, source: Source, algorithms: set[str], places: asyncio.Semaphore) -> None:
        """Bring one file; what became of it is written down. Whatever can pass is tried again later."""
        try:
            if isinstance(archive, InHub):
                digest = await archive.bring(source.item, known(source))
                await self._pools.disk.run(self._settlement.settle_known, [source._replace(digest=digest)])
            else:
                await self._bring(archive, source, algorithms, places)
        except ArchiveDown as error:
            await self._put_off(source, error.retry_seconds or DOWN_SECONDS, f"{archive.name}: {error}")
        except NoSpace as error:
            await self._pools.disk.run(self._room.give_way, source.size)
            await self._put_off(source, DOWN_SECONDS, str(error))
        except (NotDurable, ReadOnly) as error:
            await self._put_off(source, DOWN_SECONDS, str(error))
        except ArchiveError as error:
            await self._refuse(source, str(error))
        except (TooLong, LengthMismatch):
            await self._refuse(source, CHANGED)

    async def _bring(self, archive: Archive, source: Source, algorithms: set[str], places: asyncio.Semaphore) -> None:
        part = self._blobs.begin(source.size, f"{source.item} of {archive.name}")
        hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
        try:
            async with places, aclosing(self._pieces(archive, source)) as pieces:
                async for piece in pieces:
                    await part.write(piece)
                    for each in hashes.values():
                        each.update(piece)
            digest = await part.finish(None)
        except BaseException as error:
            part.abort(error if isinstance(error, Exception) else ConnectionError("the hub is ending"))
            raise
        fetched = Fetched(source, digest, {name: each.hexdigest() for name, each in hashes.items()})
        await self._blobs.keep(part, lambda connection, _: self._settlement.settle(connection, [fetched]))
        self._settlement.count([fetched])
        await archive.release([source.item])

    async def _pieces(self, archive: Archive, source: Source) -> AsyncGenerator[bytes]:
        """A file's bytes; a connection that breaks is made anew, and goes on where it broke."""
        broken, offset = 0, 0
        while True:
            before = offset
            try:
                async with archive.open(source.item, offset, known(source)) as pieces:
                    async for piece in pieces:
                        offset += len(piece)
                        yield piece
            except ArchiveDown:
                broken = 0 if offset > before else broken + 1
                if broken >= BROKEN_TIMES:
                    raise
                await self._clock.pause(0.1 * 2**broken)
            else:
                return

    def _is_overdue(self, source: Source, now: Micros) -> bool:
        """Has it been tried for so long that nobody need hope any more?"""
        return source.asked is not None and now - source.asked > self._limits.cart_stage_seconds * SECOND

    async def _refuse(self, source: Source, reason: str) -> None:
        fetched = [Fetched(source, None, {}, reason)]
        await self._committer.commit(lambda connection: self._settlement.settle(connection, fetched))
        self._settlement.count(fetched)

    async def _put_off(self, source: Source, seconds: float, reason: str) -> None:
        now = self._clock.now()
        if self._is_overdue(source, now):
            await self._refuse(source, f"it has not come in {self._limits.cart_stage_seconds:g} s: {reason}")
            return
        seconds = max(seconds, min(DOWN_SECONDS * 1.5**source.attempts, LONGEST_POLL_SECONDS))
        later = Micros(now + int(seconds * SECOND))
        log.info("carts.put_off", archive=source.archive, item=source.item, reason=reason, seconds=seconds)
        put_off = source._replace(due=later, asked=source.asked or now, attempts=min(source.attempts + 1, 30))

        def write(connection: Connection) -> None:
            sources.set_sources(connection, [put_off])
            for cart_id in {each.cart_id for each in sources.waiting_for(connection, [source.id])}:
                tables.set_message(connection, cart_id, f"waiting: {reason}")

        await self._committer.commit(write)

    def _say(self, archive: Archive, message: str) -> None:
        """Tell every cart that waits for this archive why."""

        def write(connection: Connection) -> None:
            for cart_id in sources.carts_waiting(connection, archive.name):
                tables.set_message(connection, cart_id, message)

        self._committer.write(write)

    # Asking

    def _read(self, question: Callable[[Connection], T]) -> T:
        return self._database.read(question)

    async def _ask(self, question: Callable[[Connection], T]) -> T:
        return await self._pools.database.run(self._database.read, question)

    async def _write(self, changed: Sequence[Source]) -> None:
        if changed:
            await self._committer.commit(lambda connection: sources.set_sources(connection, changed))


def _batches(small: Sequence[Source]) -> Iterator[Sequence[Source]]:
    """What is kept together."""
    start, size = 0, 0
    for number, source in enumerate(small):
        if number - start == TOGETHER or (size and size + source.size > TOGETHER_BYTES):
            yield small[start:number]
            start, size = number, 0
        size += source.size
    yield small[start:]
