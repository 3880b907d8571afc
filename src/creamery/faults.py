"""Named points where tests make the process fail.

A point costs one look into an empty dictionary. What may happen there is armed by a test, or for a child
process by the setting `faults` (`"blobs.after_link=kill,blobs.before_file_sync@3=EIO"`): `kill` ends the process as
`kill -9` does, an errno's name raises that `OSError`, `sleep:SECONDS` waits; `@N` strikes at the N-th visit.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from dataclasses import dataclass, field


@dataclass
class _Armed:
    action: str
    at: int = 1
    visits: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


_armed: dict[str, _Armed] = {}


def reach(point: str) -> None:
    """Pass a named point; does nothing unless somebody armed it.

    Raises:
        OSError: when the armed action is an errno's name.
    """
    if not _armed:
        return
    armed = _armed.get(point)
    if armed is None:
        return
    with armed.lock:
        armed.visits += 1
        strikes = armed.at in {armed.visits, 0}
    if strikes:
        _strike(point, armed.action)


def arm(specification: str) -> None:
    """Arm points from `name[@N]=action`, separated by commas; `@0` strikes at every visit.

    Raises:
        ValueError: the text does not read so, or the action is unknown.
    """
    for part in filter(None, (piece.strip() for piece in specification.split(","))):
        name, separator, action = part.partition("=")
        point, _, at = name.partition("@")
        known = action == "kill" or action.startswith("sleep:") or action in errno.errorcode.values()
        if not separator or not point or not known:
            raise ValueError(f"{part!r} arms no fault: write NAME[@N]=kill, =ENOSPC (an errno) or =sleep:SECONDS")
        _armed[point] = _Armed(action, int(at or "1"))


def disarm() -> None:
    """Disarm every point."""
    _armed.clear()


def _strike(point: str, action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action.startswith("sleep:"):
        time.sleep(float(action.removeprefix("sleep:")))
    else:
        code = getattr(errno, action)
        raise OSError(code, os.strerror(code), f"fault point {point}")
