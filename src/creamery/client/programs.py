"""Other programs that are asked a question: what they print is the answer.

They get no input and no terminal, so that none of them stops to ask for a password, and what they complain of is not
shown: it may hold what they were given.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

SECONDS = 5.0


def ask(command: Sequence[str], variables: Mapping[str, str] | None = None, *, seconds: float = SECONDS) -> str | None:
    """What it prints; None: it fails, takes too long, prints nothing, or nothing that is text.

    Args:
        command: the program's path, and what it is asked.
        variables: its environment; None: this process's.
        seconds: how long it may take.
    """
    try:
        ended = subprocess.run(  # noqa: S603 - a program that was found, with words of ours
            command,
            env=None if variables is None else dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=seconds,
            start_new_session=True,  # no /dev/tty: getpass would ask there
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    said = ended.stdout.removesuffix("\n").removesuffix("\r")
    return said if ended.returncode == 0 and said else None
