"""How a process of the hub uses memory: little of it, and with few looks at what stays for ever."""

from __future__ import annotations

import contextlib
import ctypes
import gc

YOUNG_OBJECTS = 20_000
"""Before a garbage collection looks at them: requests leave none that it would have to find."""

_M_ARENA_MAX = -8  # malloc.h


def spare() -> None:
    """glibc gives each thread an arena of its own, up to eight a core, and gives none back: two are enough for us."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def settle() -> None:
    """What start-up made stays for ever: garbage collections need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
