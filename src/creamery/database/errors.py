"""What a driver's error means: one of three things that callers act on, or a refusal of one statement.

DatabaseUnavailable   it does not answer, or not as it should (503)
WritesBusy            too much waits already, or another process holds a lock: ask again in a moment (503)
DiskFull              no room to write; reading goes on (507)
"""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError


class DatabaseUnavailable(Exception):
    """The database cannot be used; the text says which, why, and what to do."""


class WritesBusy(Exception):
    """Too many writes wait already: ask again in a moment (503)."""


class DiskFull(Exception):
    """The database has no room to write: free some space (507). Reading goes on."""


REFUSALS = (IntegrityError, DataError, ProgrammingError)
"""One statement was refused; on all three databases a savepoint undoes it and the transaction goes on."""

_DEADLOCK = frozenset({"40001", "40P01", "mysql:1213"})
_BUSY = frozenset({"sqlite:5", "sqlite:6", "55P03", "mysql:1205"})
_FULL = frozenset({"sqlite:13", "53100", "mysql:1021", "mysql:1114"})
_DAMAGED = frozenset({"sqlite:11", "sqlite:26"})
_SQLITE_PRIMARY_CODE = 0xFF


def is_worth_a_retry(error: DBAPIError) -> bool:
    """Was the transaction chosen as a deadlock's victim, or its connection lost before the commit was tried?"""
    return error.connection_invalidated or _code(error) in _DEADLOCK


def translate(error: DBAPIError, url: str) -> DatabaseUnavailable | WritesBusy | DiskFull:
    """What the error means to people; `url` without its password."""
    code = _code(error)
    if code in _FULL or "Got error 28" in str(error.orig):  # MariaDB hands ENOSPC through in a text
        return DiskFull(f"the database {url} has no room to write; free some space ({error.orig})")
    if code in _BUSY:
        return WritesBusy(f"another process holds the database {url}; ask again in a moment ({error.orig})")
    if code in _DAMAGED:
        return DatabaseUnavailable(damage(url, str(error.orig)))
    return DatabaseUnavailable(f"the database {url} does not do what is asked: {error.orig or error}")


def damage(url: str, finding: str) -> str:
    """What to say of a database whose file is damaged."""
    return f"the database {url} is damaged ({finding}); restore it from a backup"


def _code(error: DBAPIError) -> str | None:
    """PostgreSQL's SQLSTATE, or a number of SQLite or MariaDB with its name before it."""
    original = error.orig
    state = getattr(original, "sqlstate", None)
    if state is not None:
        return str(state)
    number = getattr(original, "sqlite_errorcode", None)
    if number is not None:
        return f"sqlite:{number & _SQLITE_PRIMARY_CODE}"
    if original is not None and original.args and isinstance(original.args[0], int):
        return f"mysql:{original.args[0]}"
    return None
