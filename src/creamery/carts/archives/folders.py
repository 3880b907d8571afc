"""Walking down a folder of this machine, and never out of it, whatever others do there meanwhile.

Read first: openat(2), O_NOFOLLOW; openat2(2), RESOLVE_BENEATH, which is what this does by hand: nobody keeps a binding
of it for Python. Each folder is opened by its plain name below the one that is open already, so what was looked at is
what is opened. A link is read and walked part by part in the same way; its `..` goes back to the folder that the walk
came from, which is held open, and never above the first.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from creamery.carts.archives.archive import ArchiveDown, ArchiveError
from creamery.carts.archives.names import refusal

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MOST_LINKS = 40  # as Linux, path_resolution(7)
_DEEPEST = 200  # each level is a descriptor that is held
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM})
_NOT_NOW = frozenset(
    getattr(errno, name)
    for name in (
        *("EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EINTR"),  # the hub's own troubles
        *("ESTALE", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),  # a network's file system
        *("ENOTCONN", "ECONNABORTED", "ECONNRESET", "ECONNREFUSED", "ENODEV"),
    )
)


@dataclass(frozen=True, slots=True)
class Found:
    """Where a path ends: a name in a folder that is held open, and what it was a moment ago."""

    folder: int
    name: str
    status: os.stat_result


class LeadsOut(Exception):
    """A link on the way leads out of the folder, or in a circle; the text says which."""


class Folders:
    """The folders that were walked last, held open: many paths of one folder cost one walk. For one thread."""

    def __init__(self, root: Path) -> None:
        """Begin in that folder.

        Raises:
            OSError: it cannot be opened.
        """
        self._held = [("", os.open(root, _FOLDER))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(0)

    def find(self, parts: list[str]) -> Found:
        """Walk down. The last part may be anything, but it is no link.

        Raises:
            OSError: it is not there, or may not be looked at.
            LeadsOut: see there.
        """
        waiting = parts[::-1]
        depth = links = 0
        while waiting:
            part = waiting.pop()
            if part in {"", "."}:  # of a link
                continue
            if part == "..":
                if depth == 0:
                    raise LeadsOut("a link on the way leads out of the archive")
                depth -= 1
                continue
            if waiting and self._is_held(depth + 1, part):
                depth += 1
                continue
            folder = self._held[depth][1]
            status = os.stat(part, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                waiting += _link(part, folder, links)
            elif waiting:
                self._enter(depth, part)
                depth += 1
            else:
                return Found(folder, part, status)
        folder = self._held[depth][1]
        return Found(folder, ".", os.fstat(folder))

    def _is_held(self, depth: int, name: str) -> bool:
        return depth < len(self._held) and self._held[depth][0] == name

    def _enter(self, depth: int, name: str) -> None:
        if depth >= _DEEPEST:
            raise OSError(errno.ENAMETOOLONG, f"it lies deeper than {_DEEPEST} folders")
        opened = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self._held[depth][1])
        self._leave(depth + 1)
        self._held.append((name, opened))

    def _leave(self, depth: int) -> None:
        while len(self._held) > depth:
            os.close(self._held.pop()[1])


def open_file(item: str, found: Found) -> tuple[int, os.stat_result]:
    """The descriptor of a plain file, and what it is now. What is none is not opened: that of a tape would rewind it.

    Raises:
        OSError: it cannot be opened.
        ItemRefused: it is no file.
    """
    refuse_all_but_files(item, found.status)
    descriptor = os.open(found.name, _FILE, dir_fd=found.folder)
    try:
        status = os.fstat(descriptor)
        refuse_all_but_files(item, status)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def refuse_all_but_files(item: str, status: os.stat_result) -> None:
    """Folders, devices, sockets and fifos are nothing to be read.

    Raises:
        ItemRefused: it is one of them.
    """
    if stat.S_ISDIR(status.st_mode):
        raise refusal(item, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise refusal(item, "it is no file")


def explained(archive: str, item: str, error: OSError | LeadsOut) -> ArchiveError:
    """The system's word as an archive's: is it about this item, or does it pass?"""
    if isinstance(error, LeadsOut):
        return refusal(item, str(error))
    said = error.strerror or "it cannot be read"
    if error.errno in _NOT_NOW:
        return ArchiveDown(f"the archive {archive} cannot be read at the moment ({said})")
    if error.errno in _NOT_THERE:
        return refusal(item, "it is not there")
    if error.errno in _NOT_ALLOWED:
        return refusal(item, "the hub may not read it")
    if error.errno == errno.ELOOP:  # it became a link between look and open
        return refusal(item, "it changed while it was opened")
    return refusal(item, f"it cannot be read ({said})")


def _link(name: str, folder: int, links: int) -> list[str]:
    """The parts that a link adds to the walk, the last first."""
    if links > _MOST_LINKS:
        raise LeadsOut("its links lead in a circle")
    target = os.readlink(name, dir_fd=folder)
    if target.startswith("/"):
        raise LeadsOut("a link on the way leads out of the archive")
    return target.split("/")[::-1]
