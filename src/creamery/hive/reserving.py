"""Bytes of uploads that are on their way: counted in this process, so that a quota refuses before bytes move.

What decides is the write at the end (`ledger.refuse_over_quota`), which knows nothing of this and is exact. A crash
leaves nothing behind, and two processes that do not know of each other's uploads refuse one of them later.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from creamery.hive.ledger import Space, refuse_over_quota


class Reservations:
    """Of all spaces. May be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}

    def of(self, space_id: int) -> int:
        """Bytes that are on their way into a space."""
        return self._held.get(space_id, 0)

    @contextmanager
    def reserve(self, row: Space, more: int, default: int | None) -> Iterator[None]:
        """Room for `more` bytes, as long as they are on their way.

        Leave it when they have come, and before the write that counts them begins: were both counted for a moment,
        others would be refused what they may have.

        Args:
            row: the space, as it was read a moment ago.
            more: bytes that its files would have more; none are reserved below zero.
            default: what `hive.quota` says.

        Raises:
            OverQuota: the space may not have them, beside all others that are on their way.
        """
        more = max(0, more)
        with self._lock:
            refuse_over_quota(row, more, default, self._held.get(row.id, 0))
            self._held[row.id] = self._held.get(row.id, 0) + more
        try:
            yield
        finally:
            with self._lock:
                left = self._held[row.id] - more
                if left:
                    self._held[row.id] = left
                else:
                    del self._held[row.id]
