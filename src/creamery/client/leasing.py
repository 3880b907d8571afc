"""The right to build something: taken, renewed while the build goes on, and given back whatever becomes of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from creamery.client.asking import Asked
from creamery.client.caches import Fate, Leases
from creamery.client.errors import HubError, Refused

WAIT_SECONDS = 30.0
"""Of one question for the right to build."""
WAITS = 20
"""Questions: ten minutes. Whoever builds longer than that is not waited for, and then nobody is: a hub that only says
so would have each package wait."""
READERS_SECONDS = 2.0
"""Between two looks of somebody who may not build for others."""
LEAST_SECONDS = 1.0
MOST_SECONDS = 3_600.0
END_SECONDS = 3.0
"""For all that is given back at the end."""
CONFLICT = 409


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that is renewed until it is given back.

    Attributes:
        stopped: it is renewed no more.
    """

    cache: Leases
    asked: Asked
    token: str
    stopped: threading.Event


class Leasing:
    """The leases of one installation."""

    def __init__(self, say: Callable[[str], object]) -> None:
        """`say`: for people, once."""
        self._say = say
        self._held: dict[str, Held] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._is_refused = self._is_vain = False

    def wait_for(self, cache: Leases, asked: Asked, *, may_build: bool) -> Fate:
        """A wheel; or that it is to be built here, `yours` with a lease, and else without.

        Args:
            may_build: what is built is shared; else somebody else's build is waited for, and no lease is taken.

        Raises:
            HubError: the cache does not answer.
        """
        late = _after(WAITS * WAIT_SECONDS)
        for _ in range(WAITS if may_build else round(WAITS * WAIT_SECONDS / READERS_SECONDS)):
            fate = self._ask(cache, asked, may_build=may_build)
            if fate.state == "yours":
                self._hold(cache, asked, fate.token)
                return fate
            if fate.state != "leased" or self._ended.is_set():
                return fate
            if self._is_vain or late.is_set():
                break
            self._say(f"{asked.title} is being built by {fate.told or 'somebody else'}; it is waited for.")
            if not may_build or self._is_refused:
                self._ended.wait(READERS_SECONDS)
        if not self._is_vain:
            self._say(f"{asked.title} is waited for no longer, and nothing else is.")
        self._is_vain = True
        return Fate("miss")

    def give_back(self, token: str) -> None:
        """Nobody builds it here any more."""
        held = self._taken(token)
        if held is None:
            return
        with contextlib.suppress(HubError):  # away: the lease runs out by itself
            held.cache.give_back(held.asked, held.token)

    def has_come(self, token: str) -> None:
        """The wheel is at the hub, which has ended the lease itself."""
        self._taken(token)

    def end(self) -> None:
        """Give everything back; what a silent hub does not take in time runs out by itself."""
        self._ended.set()
        giving = [threading.Thread(target=self.give_back, args=(token,), daemon=True) for token in list(self._held)]
        until = time.monotonic() + END_SECONDS
        for thread in giving:
            thread.start()
        for thread in giving:
            thread.join(max(0.0, until - time.monotonic()))

    def _taken(self, token: str) -> Held | None:
        """It is renewed no more."""
        with self._lock:
            held = self._held.pop(token, None)
        if held is not None:
            held.stopped.set()
        return held

    def _ask(self, cache: Leases, asked: Asked, *, may_build: bool) -> Fate:
        if may_build and not self._is_refused:
            try:
                return cache.lease(asked, 0.0 if self._is_vain else WAIT_SECONDS)
            except Refused as error:
                self._is_refused = True
                self._say(f"{error.sentence} What is built here is not kept from being built elsewhere.")
        return cache.look(asked)

    def _hold(self, cache: Leases, asked: Asked, token: str) -> None:
        held = Held(cache, asked, token, threading.Event())
        with self._lock:
            self._held[token] = held
        threading.Thread(target=self._renew, args=(held,), daemon=True, name="lease").start()

    def _renew(self, held: Held) -> None:
        seconds = LEAST_SECONDS
        while not held.stopped.wait(min(max(LEAST_SECONDS, seconds / 3), MOST_SECONDS)):
            try:
                seconds = held.cache.renew(held.asked, held.token)
            except Refused as error:
                if error.status == CONFLICT:  # it has passed on, or the wheel has come
                    self._taken(held.token)
                return
            except HubError:  # away for a moment: it has until the lease ends
                continue


def _after(seconds: float) -> threading.Event:
    """Comes to be set."""
    passed = threading.Event()
    timer = threading.Timer(seconds, passed.set)
    timer.daemon = True
    timer.start()
    return passed
