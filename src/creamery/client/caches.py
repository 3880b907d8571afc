"""Where built wheels may be: what the broker asks of a hub, or of an old curd-server.

A `WheelCache` finds and takes wheels. Those that can promise more, do: `Leases` lets one machine build while the others
wait, and remembers what could not be built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from creamery.client.asking import Asked

State = Literal["hit", "miss", "leased", "yours", "failed"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A wheel that a cache has.

    Attributes:
        filename: a wheel's, whoever says so.
        sha256: of its bytes.
        size: in bytes; None: it does not say.
        place: what finds it there.
        seconds: that its build took; 0: nobody has said.
    """

    filename: str
    sha256: str
    size: int | None
    place: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a build.

    Attributes:
        offer: of a hit.
        told: who builds it, or why it failed, for people.
        token: what the right to build it is renewed with.
    """

    state: State
    offer: Offer | None = None
    told: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """A wheel that a cache is to have.

    Attributes:
        asked: what it was built for; None: it was not built here, but comes from an index.
        wheel: where it lies, for us alone.
        log: what its build said; None: nothing was kept.
        seconds: that its build took.
    """

    asked: Asked | None
    wheel: Path
    log: Path | None
    seconds: float


class WheelCache(Protocol):
    """May be asked from any thread. Every method may raise `HubError`, and then the wheel is built or not shared."""

    name: str
    """For people."""

    def look(self, asked: Asked) -> Fate:
        """Is it there? `hit`, `leased`, `failed` or `miss`."""
        ...

    def fetch(self, offer: Offer, into: Path, most: int) -> None:
        """Write the wheel's bytes to a new file; they are what the offer says, and no more than `most`."""
        ...

    def push(self, made: Made, sent: Callable[[int], object]) -> None:
        """Share a wheel; sharing the same once more does nothing. `sent` hears of each number of bytes.

        Raises:
            Unshareable: it takes no such wheels.
        """
        ...


@runtime_checkable
class Leases(WheelCache, Protocol):
    """A cache that lets one build at a time."""

    def lease(self, asked: Asked, wait_seconds: float) -> Fate:
        """The right to build it; `leased`: somebody else has it, and was not ready in that time."""
        ...

    def renew(self, asked: Asked, token: str) -> float:
        """Have it for longer; returns for how many seconds."""
        ...

    def give_back(self, asked: Asked, token: str) -> None:
        """Nobody builds it any more."""
        ...

    def fail(self, asked: Asked, reason: str, log: Path | None) -> None:
        """Remember that its backend could not build it."""
        ...
