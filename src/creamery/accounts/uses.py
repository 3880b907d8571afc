"""When a token was used last: in memory, written down every few seconds. A use is no change: it moves no topic."""

from __future__ import annotations

from creamery.accounts import tables
from creamery.clock import Clock, Micros
from creamery.database import Committer


class TokenUses:
    """Collects uses. `note` belongs to the event loop; `flush` may run in any thread."""

    def __init__(self, committer: Committer, clock: Clock) -> None:
        self._committer = committer
        self._clock = clock
        self._uses: dict[int, Micros] = {}

    def note(self, token_id: int) -> None:
        """It was used just now."""
        self._uses[token_id] = self._clock.now()

    def flush(self) -> None:
        """Write down all uses since the last time, in one transaction; nothing is written where there are none.

        Raises:
            WritesBusy, DiskFull, DatabaseUnavailable: nothing is written; the next time takes them along.
        """
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            self._committer.write(lambda connection: tables.set_used(connection, uses))
        except BaseException:
            self._uses = uses | self._uses
            raise
