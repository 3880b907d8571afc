"""Named points where tests make the process fail.

A point costs one look into an empty dictionary. What may happen there is armed by a test, or for a child
process by the setting `faults` (`"blobs.after_link=kill,blobs.before_file_sync@3=EIO"`): `kill` ends the process as
`kill -9` does, an errno's name raises that `OSError`, `sleep:SECONDS` waits; `@N` strikes at the N-th visit, `@+N` at
the N-th since the hub listens, for a start passes some points as often as its jobs happen to.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
import time
from dataclasses import dataclass, field

POINTS = frozenset(
    {
        "backup.before_manifest",
        "backup.named",
        "backup.snapshot_taken",
        "blobs.after_dir_sync",
        "blobs.after_file_sync",
        "blobs.after_link",
        "blobs.before_dir_sync",
        "blobs.before_file_sync",
        "blobs.before_link",
        "blobs.created",
        "blobs.mid_body",
        "blobs.reserved",
        "bundles.read",
        "database.after_commit",
        "database.before_commit",
        "database.migration_step",
        "egress.read",
        "egress.request",
        "jobs.claimed",
        "jobs.done_not_recorded",
        "quarantine.moved",
        "restore.copied",
        "restore.loaded",
        "segments.after_sync",
        "segments.before_sync",
        "segments.begun",
        "segments.emptied",
        "segments.mid_write",
        "segments.removed",
        "sweep.deleting",
        "sweep.gone",
        "sweep.marked",
        "sweep.unlinked",
    }
)
"""Every point that the code passes; tests/house/test_reference.py holds the list to that."""

_ACTION = re.compile(rf"kill|sleep:[0-9]+(\.[0-9]+)?|{'|'.join(sorted(errno.errorcode.values()))}")
_VISIT = re.compile(r"\+?[0-9]+")


@dataclass
class _Armed:
    action: str
    at: int = 1
    once_listening: bool = False
    visits: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


_armed: dict[str, _Armed] = {}
_listening = threading.Event()


def reach(point: str) -> None:
    """Pass a named point; does nothing unless somebody armed it.

    Raises:
        OSError: when the armed action is an errno's name.
    """
    if not _armed:
        return
    armed = _armed.get(point)
    if armed is None or (armed.once_listening and not _listening.is_set()):
        return
    with armed.lock:
        armed.visits += 1
        strikes = armed.at in {armed.visits, 0}
    if strikes:
        _strike(point, armed.action)


def arm(specification: str) -> None:
    """Arm points from `name[@N]=action`, separated by commas; `@0` strikes at every visit, `@+N` see above.

    A test may arm points of its own making; the setting `faults` goes through `check` first.

    Raises:
        ValueError: the text does not read so, or the action is unknown.
    """
    _armed.update(_read(specification))


def check(specification: str) -> None:
    """See that `arm` could read it and that its points exist: one that nobody passes would look like a crash survived.

    Raises:
        ValueError: it could not, or one does not.
    """
    unknown = sorted(_read(specification).keys() - POINTS)
    if unknown:
        raise ValueError(f"there is no fault point {', '.join(unknown)}; there are {', '.join(sorted(POINTS))}")


def listening() -> None:
    """Say that the hub listens: visits of points that wait for it count from here on."""
    _listening.set()


def disarm() -> None:
    """Disarm every point."""
    _armed.clear()
    _listening.clear()


def _read(specification: str) -> dict[str, _Armed]:
    read = {}
    for part in filter(None, (piece.strip() for piece in specification.split(","))):
        name, _, action = part.partition("=")
        point, counts, at = name.partition("@")
        if not point or not _ACTION.fullmatch(action) or (counts and not _VISIT.fullmatch(at)):
            raise ValueError(f"{part!r} arms no fault: write NAME[@N]=kill, =ENOSPC (an errno) or =sleep:SECONDS")
        read[point] = _Armed(action, int(at or "1"), once_listening=at.startswith("+"))
    return read


def _strike(point: str, action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action.startswith("sleep:"):
        time.sleep(float(action.removeprefix("sleep:")))
    else:
        code = getattr(errno, action)
        raise OSError(code, os.strerror(code), f"fault point {point}")
