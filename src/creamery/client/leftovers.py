"""Folders of runs that were killed: a password may lie there, and nobody else comes back for it.

Whoever runs holds a lock on their folder, which ends with them however they end. Where there are no such locks
(Windows), nothing is known of others, and nothing removed.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "creamery-"
DIGITS = 12
YOUNG_SECONDS = 60.0
"""A folder is there before its lock is."""


def hold(folder: str) -> int | None:
    """Say that somebody is at work there, until what is returned is closed; None: somebody is, or nobody can say it."""
    try:
        import fcntl  # noqa: PLC0415 - not everywhere

        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (ImportError, AttributeError, OSError):
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        return None
    return held


def remove_leftovers(above: str, held: int, remove: Callable[[str], object]) -> None:
    """Remove this user's folders that nobody holds any more.

    Args:
        above: where they are.
        held: one's own, whose last change is now, by the clock of whatever keeps them.
        remove: does it.
    """
    import stat  # noqa: PLC0415

    oldest = os.fstat(held).st_mtime - YOUNG_SECONDS
    try:
        with os.scandir(above) as entries:
            named = [each.path for each in entries if _is_a_name(each.name)]
    except OSError:
        return
    for path in named:
        try:
            known = os.lstat(path)
        except OSError:
            continue
        if not (known.st_mtime < oldest and stat.S_ISDIR(known.st_mode) and known.st_uid == os.getuid()):
            continue
        theirs = hold(path)
        if theirs is not None:
            remove(path)
            os.close(theirs)


def _is_a_name(name: str) -> bool:
    digits = name.removeprefix(NAME)
    return name.startswith(NAME) and len(digits) == DIGITS and not set(digits) - set("0123456789abcdef")
