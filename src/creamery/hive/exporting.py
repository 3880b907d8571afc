"""A tree as a folder of this machine: `creamery hive export`.

Bytes come out of blobs, sharing the disk's blocks where its file system can, and are hashed on their way. A file has
its name when it is whole: before, it is called `.creamery-export-...`. Times are those of the tree.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from creamery.blobs import Extent, copy_out
from creamery.contract import Digest
from creamery.database import Database
from creamery.hive.folders import DiskFolder
from creamery.hive.nodes import Node, children

AT_ONCE = 256
LISTED_AT_ONCE = 1_000
PART = ".creamery-export-"


class Source(Protocol):
    """Where blobs are found: `blobs.blobs_of`."""

    def locate(self, digest: Digest) -> Extent | None:
        """Where the bytes lie; None where nowhere."""
        ...


class Lack(NamedTuple):
    """What is not there.

    Attributes:
        path: in the tree, from the folder that is exported.
        reason: why.
    """

    path: str
    reason: str


@dataclass(slots=True)
class Exported:
    """How much went out.

    Attributes:
        files, bytes, folders: that are there.
        lacks: what is not.
    """

    files: int = 0
    bytes: int = 0
    folders: int = 0
    lacks: list[Lack] = field(default_factory=list)


class _File(NamedTuple):
    folder: DiskFolder
    node: Node


class _Folder(NamedTuple):
    """One that was made: the names that lead to it, and its time in the tree."""

    names: tuple[str, ...]
    mtime: int


class Exporter:
    """Writes one folder of a tree into one of the disk. For threads.

    Args:
        database: whose tree it is.
        source: where bytes are.
        progress: is told of bytes, from any thread.
    """

    def __init__(self, database: Database, source: Source, progress: Callable[[int], None]) -> None:
        self._database = database
        self._source = source
        self._progress = progress
        self.done = Exported()

    def run(self, top: Node, target: DiskFolder, jobs: int) -> Exported:
        """Write what is in the folder `top`, several files at once.

        Raises:
            OSError: the target's disk is full, or fails.
            DatabaseUnavailable: the tree cannot be read.
        """
        folders: list[_Folder] = []
        files = self._walk(top, target, folders)
        with ThreadPoolExecutor(jobs, thread_name_prefix="export") as threads:
            while batch := list(islice(files, AT_ONCE)):
                for each, reason in zip(batch, threads.map(self._write, batch), strict=True):
                    self._note(each, reason)
        for made in reversed(folders):  # a folder's time is that of the last name made in it
            at = target
            for name in made.names:
                at = at.open_folder(name)
            _set_time(at.descriptor, made.mtime)
        return self.done

    def _walk(self, top: Node, target: DiskFolder, folders: list[_Folder]) -> Iterator[_File]:
        """Files, after the folders that they lie in were made; those are appended to `folders`.

        Few folders are open at once: those that what is left lies in, and those of files that are not written yet.
        """
        waiting: list[tuple[Node, DiskFolder, tuple[str, ...]]] = [(top, target, ())]
        while waiting:
            node, at, names = waiting.pop()
            if names:
                try:
                    at = at.make_folder(node.name)
                except OSError as error:
                    self.done.lacks.append(Lack(at.shown(node.name), f"cannot be made: {error.strerror}"))
                    continue
                self.done.folders += 1
                folders.append(_Folder(names, node.mtime))
            for each in self._children(node.id):
                if each.is_file:
                    yield _File(at, each)
                elif each.is_folder:
                    waiting.append((each, at, (*names, each.name)))

    def _children(self, node_id: int) -> Iterator[Node]:
        after = ""
        while some := self._some(node_id, after):
            yield from some
            after = some[-1].name_key

    def _some(self, node_id: int, after: str) -> list[Node]:
        def look(connection: Connection) -> list[Node]:
            return children(connection, node_id, after, LISTED_AT_ONCE)

        return self._database.read(look)

    def _write(self, file: _File) -> str | None:
        """Why it is not there."""
        node, folder = file.node, file.folder.descriptor
        assert node.digest is not None, "a file has bytes"  # noqa: S101
        found = self._source.locate(node.digest)
        if found is None or found.length != node.size:
            return "its bytes are not here; run creamery fsck"
        part = f"{PART}{secrets.token_hex(8)}"
        target = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
        try:
            lack = copy_out(found, node.digest, target, self._progress)
            if lack is None:
                _set_time(target, node.mtime)
                os.replace(part, node.name, src_dir_fd=folder, dst_dir_fd=folder)
                return None
        except IsADirectoryError:
            lack = None
        finally:
            os.close(target)
        os.unlink(part, dir_fd=folder)
        return "a folder has its name there" if lack is None else f"{lack}; run creamery fsck"

    def _note(self, file: _File, reason: str | None) -> None:
        if reason is not None:
            self.done.lacks.append(Lack(file.folder.shown(file.node.name), reason))
            return
        self.done.files += 1
        self.done.bytes += file.node.size


def _set_time(descriptor: int, mtime: int) -> None:
    os.utime(descriptor, ns=(mtime * 1000, mtime * 1000))
