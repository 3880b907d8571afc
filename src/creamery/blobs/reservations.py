"""Space is promised before bytes move: a counter in the process, measured against what the disk has free."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from creamery.blobs.store import NoSpace
from creamery.clock import Clock
from creamery.limits import MIB, Limits

REMEMBERED_SECONDS = 600.0
MOST_REMEMBERED = 100

ALLOCATED_BYTES = MIB
"""Of smaller files no other process needs to know so early."""

_KEEP_SIZE = 1  # linux/falloc.h
_CANNOT = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


def _nothing() -> None:
    """Nobody listens."""


class Reservation:
    """Space for one part file, made by `Reservations.reserve`. May be called from any thread.

    Attributes:
        set_aside: bytes that the file system has set aside for it.
    """

    def __init__(self, reservations: Reservations, owner: str) -> None:
        self._reservations = reservations
        self._owner = owner
        self._outstanding = 0
        self.set_aside = 0

    def need(self, count: int) -> None:
        """`count` bytes are about to be written: take more where less is left of the promise.

        Raises:
            NoSpace: the disk has not so much above its reserve.
        """
        with self._reservations.lock:
            if count > self._outstanding and not self.set_aside:
                self._reservations.promise(count - self._outstanding, self._owner)
                self._outstanding = count

    def allocate(self, descriptor: int) -> None:
        """Have the file system set aside what is promised, for other processes to see; its length stays as it is.

        Raises:
            OSError: ENOSPC, another process was quicker.
        """
        count = self._outstanding
        if count < ALLOCATED_BYTES:
            return
        try:
            self.set_aside = count if _allocate(descriptor, count) else 0
        except OSError:
            self._reservations.did_not_fit(count, self._owner)
            raise
        if self.set_aside:
            self.release()

    def used(self, count: int) -> None:
        """`count` bytes are written: from now on the disk itself counts them."""
        with self._reservations.lock:
            given_back = min(count, self._outstanding)
            self._outstanding -= given_back
            self._reservations.outstanding -= given_back

    def release(self) -> None:
        """Nothing more will be written. May be called twice."""
        self.used(self._outstanding)


@dataclass(frozen=True, slots=True)
class _Refused:
    """So many bytes did not fit, which is remembered for a while."""

    count: int
    until: float


class Reservations:
    """What this process has promised and not yet written.

    Attributes:
        outstanding: the sum, in bytes.
        lock: held while it changes.
        on_refused: called after something did not fit, in whichever thread that was.
    """

    def __init__(self, folder: Path, limits: Limits, clock: Clock) -> None:
        self.outstanding = 0
        self.lock = threading.RLock()
        self.on_refused: Callable[[], None] = _nothing
        self._clock = clock
        self._refused: dict[str, _Refused] = {}
        self._folder = folder
        self._limits = limits

    def reserve(self, count: int, owner: str) -> Reservation:
        """Promise `count` bytes to `owner`, who is known again by that word.

        Raises:
            NoSpace: the disk has not so much above its reserve.
        """
        reservation = Reservation(self, owner)
        reservation.need(count)
        return reservation

    def promise(self, count: int, owner: str) -> None:
        """Count `count` further bytes as promised.

        Raises:
            NoSpace: as `reserve`.
        """
        with self.lock:
            free = self.free()
            if count <= free:
                self.outstanding += count
                self._refused.pop(owner, None)
                return
        self.did_not_fit(count, owner)
        raise NoSpace(count, max(free, 0))

    def did_not_fit(self, count: int, owner: str) -> None:
        """Remember it, so that the cache gives way."""
        now = self._clock.monotonic()
        with self.lock:
            self._refused = {each: refused for each, refused in self._refused.items() if refused.until > now}
            if owner in self._refused or len(self._refused) < MOST_REMEMBERED:
                self._refused[owner] = _Refused(count, now + REMEMBERED_SECONDS)
        self.on_refused()

    def wanted(self, most: int) -> int:
        """The bytes of all that was refused lately and fits into `most` together, the oldest first."""
        now, wanted = self._clock.monotonic(), 0
        with self.lock:
            for refused in self._refused.values():
                if refused.until > now and wanted + refused.count <= most:
                    wanted += refused.count
        return wanted

    def reserve_bytes(self) -> int:
        """What is left free: `limits.reserve_bytes`, or `limits.reserve_share` of the disk, whichever is less."""
        disk = os.statvfs(self._folder)
        return min(self._limits.reserve_bytes, int(disk.f_blocks * disk.f_frsize * self._limits.reserve_share))

    def free(self) -> int:
        """Bytes that can still be promised; below zero where the reserve itself is touched."""
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize - self.reserve_bytes() - self.outstanding


def _allocate(descriptor: int, count: int) -> bool:
    """fallocate(2), which Python has only in the form that makes the file longer; False: the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(descriptor, _KEEP_SIZE, ctypes.c_longlong(0), ctypes.c_longlong(count)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number))
