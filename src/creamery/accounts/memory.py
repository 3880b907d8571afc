"""What was found out about credentials, for as long as no right changes. Used on the event loop only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """The values that were asked for last, by their keys; at most so many.

    Attributes:
        epoch: counts how often everything was forgotten. What was read before that is not worth keeping.
    """

    def __init__(self, most: int) -> None:
        self.epoch = 0
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, where it is known."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V, epoch: int) -> None:
        """Keep a value that was read in `epoch`; not where somebody may have changed it since."""
        if epoch != self.epoch:
            return
        self._values[key] = value
        while len(self._values) > self._most:
            self._values.popitem(last=False)

    def forget(self) -> None:
        """Somebody has changed a right: believe nothing of this any more."""
        self.epoch += 1
        self._values.clear()
