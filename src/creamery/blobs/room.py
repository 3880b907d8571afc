"""Room for what did not fit: once something was refused for want of space, the cache gives way to it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from creamery.telemetry import log


class Room:
    """A thread that evicts when it is told to, and again after the grace, when what was evicted may be deleted."""

    def __init__(self, evict: Callable[[], object], grace_seconds: float) -> None:
        self._evict = evict
        self._grace_seconds = grace_seconds
        self._wanted = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="blob-room", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """End; what is evicted and not yet deleted is left to the schedule."""
        self._ending.set()
        self._wanted.set()
        self._thread.join()

    def want(self) -> None:
        """Something did not fit. Returns at once; from any thread."""
        self._wanted.set()

    def _run(self) -> None:
        while self._wanted.wait():
            for pause in (0.0, self._grace_seconds):
                if self._ending.wait(pause):
                    return
                self._wanted.clear()
                try:
                    self._evict()
                except Exception as error:  # noqa: BLE001 - whatever it is, the next who needs room has it made
                    log.error("blobs.no_room_made", error=str(error) or repr(error))
