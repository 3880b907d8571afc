"""Making tokens and taking them back."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from creamery.accounts import tables
from creamery.accounts.changes import rights_changed
from creamery.accounts.names import NAME_LENGTH
from creamery.accounts.people import NoSuchAccount
from creamery.accounts.principals import Scope
from creamery.accounts.scopes import stored
from creamery.accounts.tables import Token, User
from creamery.accounts.tokens import SHOWN, new_token, token_digest
from creamery.clock import SECOND, Micros
from creamery.journal import By

LATEST_END = Micros(253_402_300_799 * SECOND)
"""The last second of the year 9999: beyond it a time cannot be written (RFC 3339), and so no token listed."""


class NoSuchToken(LookupError):
    """There is no token of that number, or it is somebody else's."""

    def __init__(self, token_id: int) -> None:
        super().__init__(f"there is no token {token_id}")


class TokenRefused(ValueError):
    """A token cannot be like this; the text says why."""


def create_token(
    connection: Connection, user: str, name: str, scopes: Sequence[Scope], expires: Micros | None, by: By
) -> tuple[str, Token]:
    """A new token of a user's, and its row. It is returned here and nowhere else: only its SHA-256 is kept.

    Args:
        connection: within a transaction.
        user: whose it is.
        name: what its user knows it by.
        scopes: what it is limited to; none would open nothing.
        expires: when it ends; None: never.
        by: who makes it.

    Raises:
        NoSuchAccount: there is no such user.
        TokenRefused: no scope, no name, or an end that has passed or cannot be written.
    """
    owner = tables.find_user(connection, user)
    if owner is None:
        raise NoSuchAccount("user", user)
    if not scopes:
        raise TokenRefused("a token needs at least one scope, or it opens nothing")
    if not 0 < len(name) <= NAME_LENGTH or not name.isprintable():
        raise TokenRefused(f"a token has a name of 1 to {NAME_LENGTH} characters, to be known by")
    if expires is not None and expires <= by.now:
        raise TokenRefused("a token cannot have ended already")
    if expires is not None and expires > LATEST_END:
        raise TokenRefused("a token cannot end after the year 9999; one without an end never does")
    text = new_token()
    row = {
        "user_id": owner.id,
        "name": name,
        "digest": token_digest(text),
        "ending": text[-SHOWN:],
        "scopes": stored(scopes),
        "expires": expires,
        "created": by.now,
    }
    token_id = tables.insert_token(connection, row)
    _changed(connection, "token created", owner, token_id, name, by)
    token = tables.token_by_id(connection, token_id)
    assert token is not None  # noqa: S101 - written in this transaction
    return text, token


def revoke_token(connection: Connection, token_id: int, by: By, *, of_user: int | None = None) -> Token:
    """Take a token back; from the answer on it opens nothing, in no process.

    Args:
        connection: within a transaction.
        token_id: its number.
        by: who takes it back.
        of_user: only if it is this user's.

    Raises:
        NoSuchToken: there is none, or it is somebody else's.
    """
    token = tables.token_by_id(connection, token_id)
    if token is None or of_user not in {None, token.user_id}:
        raise NoSuchToken(token_id)
    owner = tables.user_by_id(connection, token.user_id)
    assert owner is not None  # noqa: S101 - a token goes with its user
    tables.delete_tokens(connection, [token_id])
    _changed(connection, "token revoked", owner, token_id, token.name, by)
    return token


def _changed(connection: Connection, action: str, owner: User, token_id: int, name: str, by: By) -> None:
    rights_changed(connection, action, owner.name, by, {"token": token_id, "name": name})
