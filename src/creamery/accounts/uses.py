"""When tokens and sessions were used last: in memory, written down every few seconds.

A use is no change: it moves no topic.
"""

from __future__ import annotations

from sqlalchemy import Connection

from creamery.accounts import tables
from creamery.clock import Clock, Micros
from creamery.database import Committer

_Uses = dict[int, Micros]


class Uses:
    """Collects uses. `note_token` and `note_session` belong to the event loop; `flush` may run in any thread."""

    def __init__(self, committer: Committer, clock: Clock) -> None:
        self._committer = committer
        self._clock = clock
        self._tokens: _Uses = {}
        self._sessions: _Uses = {}

    def note_token(self, token_id: int) -> None:
        """It was used just now."""
        self._tokens[token_id] = self._clock.now()

    def note_session(self, session_id: int) -> None:
        """It was used just now."""
        self._sessions[session_id] = self._clock.now()

    def flush(self) -> None:
        """Write down all uses since the last time, in one transaction; nothing is written where there are none.

        Raises:
            WritesBusy, DiskFull, DatabaseUnavailable: nothing is written; the next time takes them along.
        """
        tokens, self._tokens = self._tokens, {}
        sessions, self._sessions = self._sessions, {}
        if not tokens and not sessions:
            return
        try:
            self._committer.write(lambda connection: _write_down(connection, tokens, sessions))
        except BaseException:
            self._tokens = tokens | self._tokens
            self._sessions = sessions | self._sessions
            raise


def _write_down(connection: Connection, tokens: _Uses, sessions: _Uses) -> None:
    for table, uses in ((tables.account_token, tokens), (tables.account_session, sessions)):
        if uses:
            tables.set_used(connection, table, uses)
