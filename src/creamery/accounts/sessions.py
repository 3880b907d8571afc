"""Sessions: somebody has signed in with a browser, and its cookie makes them known until the session ends.

They are rows, so that they can be listed and ended; a cookie holds 192 random bits, of which the row has the SHA-256,
signed with the hub's secret: a cookie that was made up costs no look at the database. Each sign-in begins a new session
and ends the one whose cookie came with it, so nobody can be given a session that somebody else knows.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection

from creamery.accounts import tables
from creamery.accounts.changes import DOOR, rights_changed
from creamery.accounts.tables import Session, User
from creamery.clock import SECOND, Micros
from creamery.contract import Digest, digest_of
from creamery.journal import By, record_by
from creamery.limits import Limits

RANDOM_BYTES = 24
MOST_AT_ONCE = 1_000

_ADDRESS_LENGTH = 64
_AGENT_LENGTH = 255


class NoSuchSession(LookupError):
    """There is no session of that number, or it is somebody else's."""

    def __init__(self, session_id: int) -> None:
        super().__init__(f"there is no session {session_id}")


class UserChanged(Exception):
    """Whoever signs in was disabled, removed or given another password meanwhile."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a sign-in is told.

    Attributes:
        text: what the cookie holds; it is returned here and nowhere else.
    """

    text: str
    session: Session
    user: User


def session_digest(text: str) -> Digest:
    """What a session is kept as."""
    return digest_of(text.encode("utf-8", "surrogatepass"))


def open_session(
    connection: Connection,
    user: User,
    by: By,
    limits: Limits,
    *,
    means: str,
    agent: str = "",
    former: str | None = None,
) -> SignedIn:
    """Begin a session.

    Args:
        connection: within a transaction.
        user: as they were when they made themselves known.
        by: who, when and from where.
        limits: how long it lasts, and how many a user has.
        means: what they made themselves known with.
        agent: the browser's name for itself.
        former: what the cookie that came along holds; that session ends.

    Raises:
        UserChanged: they are not that any more.
    """
    found = tables.user_by_id(connection, user.id)
    if found is None or found.disabled or (found.password, found.changed) != (user.password, user.changed):
        raise UserChanged(user.name)
    former_one = None if former is None else tables.session_and_owner(connection, session_digest(former))
    if former_one is not None:
        _end(connection, [former_one[0].id], former_one[1], by, reason="another sign-in")
    others = tables.sessions(connection, user.id)
    if len(others) >= limits.sessions:
        _end(connection, [session.id for session in others[limits.sessions - 1 :]], user, by, reason="too many")
    text = secrets.token_urlsafe(RANDOM_BYTES)
    row = {
        "user_id": user.id,
        "digest": session_digest(text),
        "means": means,
        "address": by.origin[:_ADDRESS_LENGTH],
        "agent": agent[:_AGENT_LENGTH],
        "created": by.now,
        "used": by.now,
        "expires": by.now + int(limits.session_seconds * SECOND),
    }
    session_id = tables.insert_session(connection, row)
    record_by(connection, DOOR, "signed in", user.name, by, {"session": session_id, "means": means})
    session = tables.session_by_id(connection, session_id)
    assert session is not None  # noqa: S101 - written in this transaction
    return SignedIn(text, session, found)


def end_session(connection: Connection, session_id: int, by: By, *, of_user: int | None = None) -> Session:
    """End a session; from the answer on its cookie opens nothing, in no process.

    Raises:
        NoSuchSession: there is none, or it is not `of_user`'s.
    """
    session = tables.session_by_id(connection, session_id)
    if session is None or of_user not in {None, session.user_id}:
        raise NoSuchSession(session_id)
    owner = tables.user_by_id(connection, session.user_id)
    assert owner is not None  # noqa: S101 - a session goes with its user
    _end(connection, [session_id], owner, by, reason="ended")
    return session


def end_sessions(connection: Connection, user: User, by: By, *, but: int | None = None, reason: str = "ended") -> int:
    """End all sessions of a user, but for one. Returns how many ended."""
    ends = [session.id for session in tables.sessions(connection, user.id) if session.id != but]
    if ends:
        _end(connection, ends, user, by, reason=reason)
    return len(ends)


def forget_sessions(connection: Connection) -> None:
    """End all there are, of everybody: in a restored database nobody knows which of them have ended since."""
    tables.delete_all_sessions(connection)


def thin_sessions(connection: Connection, now: Micros, limits: Limits) -> int:
    """Delete rows of sessions that opened nothing any more, at most `MOST_AT_ONCE`; returns how many."""
    unused_since = Micros(now - int(limits.session_idle_seconds * SECOND))
    over = tables.ended_sessions(connection, now, unused_since, MOST_AT_ONCE)
    if over:
        tables.delete_sessions(connection, over)
    return len(over)


def _end(connection: Connection, session_ids: list[int], user: User, by: By, *, reason: str) -> None:
    tables.delete_sessions(connection, session_ids)
    detail = {"sessions": session_ids, "reason": reason}
    rights_changed(connection, "session ended", user.name, by, detail)
