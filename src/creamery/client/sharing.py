"""What was built here goes to the caches, in the background: uv goes on meanwhile, and is waited with at the end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from creamery.client.caches import Made, WheelCache
from creamery.client.errors import HubError, Refused, Unshareable

SENDERS = 2
FORBIDDEN = frozenset({401, 403})
TAKEN = 409


@dataclass(frozen=True, slots=True)
class Shared:
    """What became of a wheel that was to be shared.

    Attributes:
        trouble: why a cache has not got it; empty: all have.
    """

    made: Made
    trouble: str = ""


class Sharing:
    """Sends wheels to caches, from threads of its own.

    Args:
        caches: that get them.
        note: is told in a sentence what the user should know.
    """

    def __init__(self, caches: Sequence[WheelCache], *, note: Callable[[str], object]) -> None:
        self._caches = list(caches)
        self._note = note
        self._waiting: queue.Queue[tuple[Made, Callable[[], object]]] = queue.Queue()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._open = 0
        self._total = self._sent = 0
        self._senders = 0
        self.outcomes: list[Shared] = []

    def add(self, made: Made, came: Callable[[], object]) -> None:
        """Share a wheel, some time; `came` is called when all caches have it."""
        size = made.wheel.stat().st_size * len(self._caches)
        with self._lock:
            self._open += 1
            self._total += size
            is_new = self._senders < SENDERS
            self._senders += is_new
        self._waiting.put((made, came))
        if is_new:
            threading.Thread(target=self._send, daemon=True, name="sharing").start()

    def keep_back(self, made: Made, why: str) -> None:
        """Not this one; it is only told of."""
        with self._lock:
            self.outcomes.append(Shared(made, why))

    def is_busy(self) -> bool:
        """Is something still to be shared?"""
        with self._lock:
            return self._open > 0

    def wait(self, begin: Callable[[int], object], at: Callable[[int, int], object]) -> None:
        """Until everything is shared, or refused.

        Args:
            begin: hears how many bytes there are to send.
            at: hears again and again how many have gone, of how many.
        """
        with self._idle:
            if self._open:
                begin(self._total)
            while self._open:
                self._idle.wait(0.1)
                at(self._sent, self._total)

    def _send(self) -> None:
        while True:
            made, came = self._waiting.get()
            trouble = ""
            try:
                for cache in list(self._caches):
                    trouble = trouble or self._push(cache, made)
                if not trouble:
                    came()
            finally:
                with self._idle:
                    self.outcomes.append(Shared(made, trouble))
                    self._open -= 1
                    self._idle.notify_all()

    def _push(self, cache: WheelCache, made: Made) -> str:
        try:
            cache.push(made, self._count)
        except Refused as error:
            if error.status == TAKEN:  # somebody else was first: theirs stays, and that there are two is remembered
                return ""
            self._say(cache, error, made, for_good=error.status in FORBIDDEN)
            return error.sentence
        except Unshareable as error:
            return error.sentence
        except HubError as error:
            self._say(cache, error, made, for_good=True)
            return error.sentence
        except OSError as error:
            return f"{made.wheel.name} cannot be read: {error.strerror}."
        return ""

    def _say(self, cache: WheelCache, error: HubError, made: Made, *, for_good: bool) -> None:
        with self._lock:
            if cache not in self._caches:
                return
            if for_good:
                self._caches.remove(cache)
        self._note(f"{made.wheel.name} was not shared: {error}")

    def _count(self, size: int) -> None:
        with self._lock:
            self._sent += size
