"""Folders of this machine's disk, opened step by step: no link leads anywhere, whoever changes them meanwhile.

A folder is a descriptor, and everything in it is opened by its last name from there. It closes with the last that
refers to it: those below, and reads that are under way.
"""

from __future__ import annotations

import contextlib
import os
import stat
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER_MODE = 0o755
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a folder.

    Attributes:
        name: as the disk has it; bytes that are not UTF-8 are surrogates.
        is_folder, is_file: it is one; neither: a link, a device, a socket.
        size: bytes of a file.
        mtime: microseconds since 1970.
    """

    name: str
    is_folder: bool
    is_file: bool
    size: int
    mtime: int


class DiskFolder:
    """An open folder.

    Attributes:
        path: from the first one down, for people.
        descriptor: of it.
    """

    def __init__(self, descriptor: int, path: str, parent: DiskFolder | None = None) -> None:
        self.path = path
        self.descriptor = descriptor
        self._parent = parent
        weakref.finalize(self, os.close, descriptor)

    def entries(self) -> Iterator[Entry]:
        """Everything in it, in the order of names.

        Raises:
            OSError: it cannot be listed. What goes meanwhile is left out.
        """
        with os.scandir(self.descriptor) as listed:
            for name in sorted(each.name for each in listed):
                try:
                    found = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                mode = found.st_mode
                mtime = found.st_mtime_ns // 1000
                yield Entry(name, stat.S_ISDIR(mode), stat.S_ISREG(mode), found.st_size, mtime)

    def open_folder(self, name: str) -> DiskFolder:
        """A folder in it.

        Raises:
            OSError: it is none (any more), or may not be read.
        """
        descriptor = os.open(name, _READ | os.O_DIRECTORY, dir_fd=self.descriptor)
        return DiskFolder(descriptor, f"{self.path}/{name}" if self.path else name, self)

    def make_folder(self, name: str) -> DiskFolder:
        """The same, made where nothing has the name."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, FOLDER_MODE, dir_fd=self.descriptor)
        return self.open_folder(name)

    def open_file(self, name: str) -> int:
        """A descriptor of a file in it.

        Raises:
            OSError: it is none (any more), or may not be read.
        """
        descriptor = os.open(name, _READ | os.O_NONBLOCK, dir_fd=self.descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError("it is no file any more")
        return descriptor

    def shown(self, name: str) -> str:
        """A name in it with its path, for people."""
        return f"{self.path}/{name}" if self.path else name


def open_top(path: Path) -> DiskFolder:
    """The folder that somebody named; links on the way to it are theirs.

    Raises:
        OSError: there is none, or it may not be read.
    """
    return DiskFolder(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), "")
