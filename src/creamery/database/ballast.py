"""A little space beside SQLite's file that is given up when the disk is full.

On a disk without a free byte SQLite cannot even be opened (it needs room for its log and index), so a hub that was
stopped there would not start again, and nothing could be evicted, because that too is written down first.
"""

from __future__ import annotations

import os
from pathlib import Path

from creamery.limits import KIB, MIB
from creamery.telemetry import log

BALLAST_BYTES = 4 * MIB
FULL_BYTES = 64 * KIB
LAID_FROM_BYTES = 10 * BALLAST_BYTES


class Ballast:
    """The file. May be used from any thread, and by several processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "ballast"

    def lay(self) -> None:
        """Set the space aside, where it is not and there is plenty."""
        if self._path.exists() or _free(self._folder) < LAID_FROM_BYTES:
            return
        try:
            with self._path.open("xb") as file:
                os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
        except FileExistsError:
            pass  # another process has just done so
        except OSError as error:
            log.warning("database.no_ballast", file=str(self._path), reason=error.strerror)

    def give_up(self) -> None:
        """Free the space, if the disk has none left; nothing happens where it has, or was given up before."""
        if not self._path.exists() or not self.disk_is_full():
            return
        self._path.unlink(missing_ok=True)
        remedy = "free some space: the hub has given up what it had set aside, and goes on reading"
        log.warning("database.disk_full", folder=str(self._folder), remedy=remedy)

    def disk_is_full(self) -> bool:
        """Is there not even room for SQLite's log? No, where there is no folder."""
        try:
            return _free(self._folder) < FULL_BYTES
        except FileNotFoundError:
            return False


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
