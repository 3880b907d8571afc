"""A program that runs while this one waits: `subprocess.Popen` where that is needed, else as little as starts one.

uv is waited for, and to import `subprocess` takes 5 ms. What whoever has called us left open for programs, such as the
job server of make, stays open for this one, as where a shell starts it; `subprocess` would close it.
"""

from __future__ import annotations

import os
import signal
import threading

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

STANDARD = 2
"""The last of the descriptors that every program has."""
PIECE_BYTES = 64 * 1024


def start(
    command: Sequence[str], environment: Mapping[str, str], *, keeps_output: bool
) -> Child | subprocess.Popen[bytes]:
    """Start a program; `keeps_output`: what it writes to standard output is what `communicate` returns.

    Raises:
        OSError: it cannot be started.
    """
    if "/" in command[0] and hasattr(os, "posix_spawn"):
        reads, writes = os.pipe() if keeps_output else (-1, -1)
        try:
            if not keeps_output or min(reads, writes) > STANDARD:  # else somebody has closed ours
                child = Child(_spawned(command, environment, writes), reads)
                reads = -1
                return child
        finally:
            for descriptor in (reads, writes):
                if descriptor >= 0:
                    os.close(descriptor)
    import subprocess  # noqa: PLC0415 - see above

    output = subprocess.PIPE if keeps_output else None
    return subprocess.Popen(command, env=dict(environment), stdout=output)  # noqa: S603 - as its user wants


def _spawned(command: Sequence[str], environment: Mapping[str, str], writes: int) -> int:
    actions = [] if writes < 0 else [(os.POSIX_SPAWN_DUP2, writes, 1)]
    ignored = ("SIGPIPE", "SIGXFSZ")  # by Python, and by nobody whom it starts
    defaults = [getattr(signal, name) for name in ignored if hasattr(signal, name)]
    return os.posix_spawn(command[0], list(command), environment, file_actions=actions, setsigdef=defaults)


class Child:
    """As much of a `Popen` as is needed here; one thread waits for it, and others may stop it.

    Attributes:
        returncode: how it ended; with a signal's number below zero.
    """

    def __init__(self, pid: int, output: int) -> None:
        self.returncode: int | None = None
        self._pid = pid
        self._output = output
        self._lock = threading.Lock()
        """Nobody sends a signal to whoever has its number after it."""

    def communicate(self) -> tuple[bytes | None, None]:
        """What it has written, once it has ended."""
        pieces = []
        if self._output >= 0:
            try:
                while piece := os.read(self._output, PIECE_BYTES):
                    pieces.append(piece)
            finally:
                os.close(self._output)
        os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        self.poll()
        return b"".join(pieces), None

    def poll(self) -> int | None:
        """How it ended; None: it has not."""
        with self._lock:
            return self._poll()

    def send_signal(self, number: int) -> None:
        """To it, if it runs."""
        with self._lock:
            if self._poll() is None:
                os.kill(self._pid, number)

    def terminate(self) -> None:
        """Let it end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _poll(self) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode
