"""A disk whose power can be cut: an image file with ext4 on it, mounted through a loop device. Needs root.

The cut is ext4's own shutdown ioctl: from then on nothing reaches the disk, and what had not been synced is lost, as if
the power had gone. `unmount` and `mount` are the reboot; mounting replays the journal.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from enum import IntEnum
from pathlib import Path

FS_IOC_SHUTDOWN = 0x8004587D
SIZE = 64 * 1024 * 1024


class Cut(IntEnum):
    """What happens to the journal in the last moment (linux/fs: EXT4_GOING_FLAGS)."""

    LOG_FLUSHED = 1
    LOG_LOST = 2


class Disk:
    """One image. `folder` is where it is mounted."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "mounted"
        self._image = place / "image"
        self._is_mounted = False
        self.folder.mkdir(parents=True)
        with self._image.open("wb") as file:
            file.truncate(SIZE)
        _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(self._image))

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.folder))
        self._is_mounted = True

    def cut_power(self, how: Cut) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(descriptor)

    def unmount(self) -> None:
        if self._is_mounted:
            _run("umount", str(self.folder))
            self._is_mounted = False

    def remove(self) -> None:
        self.unmount()
        self._image.unlink()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
