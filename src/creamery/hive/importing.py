"""A folder of this machine into a tree: `creamery hive import`.

Small files become blobs and nodes by hundreds in one transaction, large ones one by one; several are read at once. What
is there already, with the same size, time and bytes, is left alone, so that an import which was killed goes on when it
is run again. Other bytes under a taken name become the file's new content, and the old ones a version: nothing is lost.

A name that can be none here gets another one, always the same: bad characters become `_`; of twins, which differ by
their form (or case, where the space ignores it) alone, the later ones in order get ` (2)`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, update

from creamery.blobs import Blobs, Body, Part
from creamery.contract import Digest
from creamery.database import Database, Prepared
from creamery.hive import tree
from creamery.hive.acts import Act
from creamery.hive.errors import Refused, Taken
from creamery.hive.folders import DiskFolder, Entry
from creamery.hive.ledger import Space, space_row
from creamery.hive.names import MAX_NAME_BYTES, MAX_SEGMENTS, CasePolicy, NameRefused, check_name, key_of
from creamery.hive.nodes import Node, every_child
from creamery.hive.tables import node
from creamery.hive.tree import Content, Place

BATCH_FILES = 256
BATCH_BYTES = 4 * 1024 * 1024
CHUNK = 1024 * 1024

_BAD = re.compile("[\x00-\x1f/\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
_SET_MTIME = Prepared(update(node).where(node.c.id == bindparam("id_")).values(mtime=bindparam("mtime_")))


class Note(NamedTuple):
    """Something that people should hear of.

    Attributes:
        path: on the disk.
        name: what it is called here; None where it was not taken.
        reason: why.
    """

    path: str
    name: str | None
    reason: str


@dataclass(slots=True)
class Imported:
    """How much came.

    Attributes:
        files, bytes, folders: that were taken.
        unchanged: files that were here already.
        seen_bytes, done_bytes: of files that were found, and that are dealt with.
        renamed, refused: what people should hear of.
    """

    files: int = 0
    bytes: int = 0
    folders: int = 0
    unchanged: int = 0
    seen_bytes: int = 0
    done_bytes: int = 0
    renamed: list[Note] = field(default_factory=list)
    refused: list[Note] = field(default_factory=list)


class _Named(NamedTuple):
    """Something on the disk, and its name here."""

    entry: Entry
    name: str


class _File(NamedTuple):
    """A file that is to come."""

    folder: DiskFolder
    entry: Entry
    place: Place
    known: Node | None


class _Small(NamedTuple):
    """One that was read."""

    file: _File
    body: Body


class Importer:
    """Brings one folder into one space. Its coroutines belong to one event loop.

    Args:
        blobs: where bytes go.
        database: to see what is there.
        space_id: into which space.
        act: makes the act of a moment: who, by which rules.
        small_bytes: see `limits.small_bytes`.
        write: the committer's.
        progress: is told how far it is, with `done_bytes` and `seen_bytes`.
    """

    def __init__(
        self,
        blobs: Blobs,
        database: Database,
        space: Space,
        act: Callable[[], Act],
        small_bytes: int,
        write: Callable[[Callable[[Connection], None]], None],
        progress: Callable[[int, int], None],
    ) -> None:
        self._blobs = blobs
        self._database = database
        self._space_id = space.id
        self._policy = space.case_policy
        self._act = act
        self._small_bytes = min(small_bytes, BATCH_BYTES)
        self._write = write
        self._progress = progress
        self._batch: list[_Small] = []
        self._batch_bytes = 0
        self.done = Imported()

    async def run(self, top: DiskFolder, names: tuple[str, ...], jobs: int) -> Imported:
        """Bring everything in `top` into the folder `names`, which is made with all above it.

        Raises:
            Refused: that folder cannot be made.
            BlobError: the disk is full, or fails: what was taken so far is here.
            DatabaseUnavailable, DiskFull, WritesBusy: likewise.
        """
        await asyncio.to_thread(self._make_way, names)
        files: asyncio.Queue[_File] = asyncio.Queue(2 * jobs)
        try:
            async with asyncio.TaskGroup() as tasks:
                readers = [tasks.create_task(self._take_files(files)) for _ in range(jobs)]
                await self._walk(top, names, files)
                await files.join()
                for reader in readers:
                    reader.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        await self._flush()
        return self.done

    # Folders

    async def _walk(self, top: DiskFolder, names: tuple[str, ...], files: asyncio.Queue[_File]) -> None:
        waiting: list[tuple[DiskFolder, str | None, tuple[str, ...]]] = [(top, None, names)]
        while waiting:
            folder, name, path = waiting.pop()
            try:
                if name is not None:  # opened only now, so that few are open at once
                    folder = folder.open_folder(name)
                entries = await asyncio.to_thread(_listed, folder)
            except OSError as error:
                shown = folder.path if name is None else folder.shown(name)
                self._refuse(shown or ".", f"cannot be listed: {error.strerror}")
                continue
            if entries and len(path) == MAX_SEGMENTS:
                self._refuse(folder.path, f"holds what would be more than {MAX_SEGMENTS} folders deep")
                continue
            known = await asyncio.to_thread(self._children, path)
            named = list(self._named(folder, entries))
            made = await asyncio.to_thread(self._make_folders, folder, path, known, named)
            waiting += [(folder, each.entry.name, (*path, each.name)) for each in made]
            for each in named:
                if each.entry.is_file:
                    self.done.seen_bytes += each.entry.size
                    place = Place(self._space_id, (*path, each.name))
                    known_here = known.get(key_of(each.name, self._policy))
                    await files.put(_File(folder, each.entry, place, known_here))

    def _named(self, folder: DiskFolder, entries: Sequence[Entry]) -> Iterator[_Named]:
        """What can be taken, with the name that it has here; names that can stay are given first."""
        taken = {key_of(each.name, self._policy) for each in entries if not _why_not(each.name)}
        seen: set[str] = set()
        for entry in entries:
            if not (entry.is_folder or entry.is_file):
                self._refuse(folder.shown(entry.name), "is a link or a device, which are not followed")
                continue
            reason = _why_not(entry.name)
            name = _legal(entry.name) if reason else entry.name
            key = key_of(name, self._policy)
            if key in seen or (reason and key in taken):
                reason = reason or "is another's name by its form or case alone"
                name, key = _free(name, taken | seen, self._policy)
            seen.add(key)
            if reason:
                self.done.renamed.append(Note(folder.shown(entry.name), name, reason))
            yield _Named(entry, name)

    def _make_way(self, names: tuple[str, ...]) -> None:
        def make(connection: Connection) -> None:
            for depth in range(1, len(names) + 1):
                _make_folder(connection, self._act(), Place(self._space_id, names[:depth]))

        self._write(make)

    def _make_folders(
        self,
        folder: DiskFolder,
        path: tuple[str, ...],
        known: dict[str, Node],
        named: Sequence[_Named],
    ) -> list[_Named]:
        """Those that are here afterwards."""
        here: list[_Named] = []
        wanted: list[_Named] = []
        for each in named:
            there = known.get(key_of(each.name, self._policy))
            if each.entry.is_folder:
                (here if there is not None and there.is_folder else wanted).append(each)
        for start in range(0, len(wanted), BATCH_FILES):
            some = wanted[start : start + BATCH_FILES]
            refusals: list[Exception | None] = []
            self._write(partial(self._make_some, path, some, refusals))
            for each, refusal in zip(some, refusals, strict=True):
                if refusal is None:
                    self.done.folders += 1
                    here.append(each)
                else:
                    self._refuse(folder.shown(each.entry.name), str(refusal))
        return here

    def _make_some(
        self, path: tuple[str, ...], some: Sequence[_Named], refusals: list[Exception | None], connection: Connection
    ) -> None:
        """In one transaction, which may run twice: each by itself, as for files."""
        refusals.clear()
        for each in some:
            try:
                made = _make_folder(connection, self._act(), Place(self._space_id, (*path, each.name)))
            except (Refused, NameRefused) as refusal:
                refusals.append(refusal)
                continue
            refusals.append(None)
            if made is not None:
                _SET_MTIME.run(connection, {"id_": made.id, "mtime_": each.entry.mtime})

    def _children(self, path: tuple[str, ...]) -> dict[str, Node]:
        """What a folder has, by key; nothing where there is none."""

        def look(connection: Connection) -> dict[str, Node]:
            row = space_row(connection, self._space_id)
            there = None if row is None else tree.follow(connection, row, path).node
            return {} if there is None else {each.name_key: each for each in every_child(connection, there.id)}

        return self._database.read(look)

    # Files

    async def _take_files(self, files: asyncio.Queue[_File]) -> None:
        while True:
            file = await files.get()
            try:
                await self._take(file)
            except (OSError, Refused, NameRefused) as error:
                self._refuse(file.folder.shown(file.entry.name), _said(error))
            finally:
                files.task_done()
            self.done.done_bytes += file.entry.size
            self._progress(self.done.done_bytes, self.done.seen_bytes)

    async def _take(self, file: _File) -> None:
        if file.entry.size <= self._small_bytes:
            body = await asyncio.to_thread(_read_small, file, self._small_bytes)
            if body is not None:
                if _is_here(file, body.digest, len(body.data)):
                    self.done.unchanged += 1
                    return
                self._batch.append(_Small(file, body))
                self._batch_bytes += len(body.data)
                if len(self._batch) >= BATCH_FILES or self._batch_bytes >= BATCH_BYTES:
                    await self._flush()
                return
        await self._take_large(file)

    async def _flush(self) -> None:
        """Make blobs and files of what was read."""
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if not batch:
            return
        refusals = await asyncio.to_thread(
            self._blobs.keep_small, [each.body for each in batch], lambda connection: self._put(connection, batch)
        )
        for each, refusal in zip(batch, refusals, strict=True):
            if refusal is None:
                self._count(len(each.body.data))
            else:
                self._refuse(each.file.folder.shown(each.file.entry.name), str(refusal))

    def _put(self, connection: Connection, batch: Sequence[_Small]) -> list[Exception | None]:
        """Each by itself: a refusal comes before anything is written, and keeps no other out."""
        refusals: list[Exception | None] = []
        for each in batch:
            content = Content(each.body.digest, len(each.body.data), each.file.entry.mtime)
            try:
                tree.put(connection, self._act(), each.file.place, content)
            except (Refused, NameRefused) as refusal:
                refusals.append(refusal)
            else:
                refusals.append(None)
        return refusals

    async def _take_large(self, file: _File) -> None:
        descriptor = await asyncio.to_thread(file.folder.open_file, file.entry.name)
        try:
            size = os.fstat(descriptor).st_size
            if file.known is not None and file.known.size == size:
                digest = await asyncio.to_thread(_digest_of, descriptor)
                if _is_here(file, digest, size):
                    self.done.unchanged += 1
                    return
            part = self._blobs.begin(size, f"hive import {file.entry.name[:80]!a}")
            try:
                await _send(descriptor, size, part)
                await part.finish(None)
                await self._blobs.keep(part, lambda connection, digest: self._put_one(connection, file, digest, size))
            except BaseException:
                part.abort(ConnectionError("the import ended"))
                raise
        finally:
            os.close(descriptor)
        self._count(size)

    def _put_one(self, connection: Connection, file: _File, digest: Digest, size: int) -> None:
        tree.put(connection, self._act(), file.place, Content(digest, size, file.entry.mtime))

    def _count(self, size: int) -> None:
        self.done.files += 1
        self.done.bytes += size

    def _refuse(self, path: str, reason: str) -> None:
        self.done.refused.append(Note(path, None, reason))


def _listed(folder: DiskFolder) -> list[Entry]:
    return list(folder.entries())


def _make_folder(connection: Connection, act: Act, place: Place) -> Node | None:
    """A new folder; None: it is here already.

    Raises:
        Refused: a file has its name, or another reason.
    """
    try:
        return tree.make_folder(connection, act, place).node
    except Taken:
        row = space_row(connection, place.space_id)
        there = None if row is None else tree.follow(connection, row, place.names).node
        if there is None or not there.is_folder:
            raise
        return None


def _is_here(file: _File, digest: Digest, size: int) -> bool:
    known = file.known
    return known is not None and (known.digest, known.size, known.mtime) == (digest, size, file.entry.mtime)


def _read_small(file: _File, most: int) -> Body | None:
    """Its bytes; None where it has become too large for that."""
    descriptor = file.folder.open_file(file.entry.name)
    try:
        with os.fdopen(descriptor, "rb") as stream:
            data = stream.read(most + 1)
    except IsADirectoryError as error:
        raise OSError("it is no file any more") from error
    return Body(data) if len(data) <= most else None


async def _send(descriptor: int, size: int, part: Part) -> None:
    at = 0
    while at <= size and (piece := await asyncio.to_thread(os.pread, descriptor, CHUNK, at)):
        at += len(piece)
        if at <= size:
            await part.write(piece)
    if at != size:
        raise OSError(f"it had {size} bytes, and was changed while it was read")


def _digest_of(descriptor: int) -> Digest:
    hashed, at = hashlib.sha256(), 0
    while piece := os.pread(descriptor, CHUNK, at):
        hashed.update(piece)
        at += len(piece)
    return Digest(hashed.hexdigest())


def _why_not(name: str) -> str | None:
    """Why a name can be none here."""
    try:
        check_name(name)
    except NameRefused as refused:
        return refused.reason
    return None


def _legal(name: str) -> str:
    """The nearest name that something can have. A disk's is never empty, `.` or `..`."""
    return _shortened(_BAD.sub("_", name), MAX_NAME_BYTES)


def _free(name: str, taken: set[str], policy: CasePolicy) -> tuple[str, str]:
    """A name with a number in it that nothing has, before what looks like a suffix; and its key."""
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    number = 2
    while True:
        end = f" ({number}){dot}{suffix}"
        found = _shortened(stem, MAX_NAME_BYTES - len(end.encode())) + end
        if (key := key_of(found, policy)) not in taken:
            return found, key
        number += 1


def _shortened(name: str, most: int) -> str:
    return name.encode()[:most].decode("utf-8", "ignore")


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return str(error)
