"""The first administrator: whoever started the hub makes one, by a command or by a link that works once.

The link holds a text that the hub signed at its start. It needs no row: it opens nothing once there is a user.
"""

from __future__ import annotations

from sqlalchemy import Connection

from creamery.accounts import tables
from creamery.accounts.people import add_user
from creamery.accounts.secret import Secret
from creamery.accounts.tables import User
from creamery.journal import By

_PURPOSE = "first"
_TEXT = "administrator"


class NotTheFirst(Exception):
    """There are users already, or the link is another hub's, or too old."""

    def __init__(self) -> None:
        super().__init__("the link does not work, or no longer: it is good once, and not for long")


def first_link(secret: Secret) -> str:
    """What `add_first` asks for; good for `limits.first_seconds`."""
    return secret.sign(_PURPOSE, _TEXT)


def check_first_link(secret: Secret, link: str, seconds: float) -> None:
    """Was it signed here, so many seconds ago at most?

    Raises:
        NotTheFirst: it was not.
    """
    if secret.signed(_PURPOSE, link, seconds=seconds) != _TEXT:
        raise NotTheFirst


def add_first(connection: Connection, name: str, password: str, by: By) -> User:
    """The first user, an administrator; `password` is hashed already.

    Raises:
        NotTheFirst: somebody was faster.
        InvalidAccountName: nobody can be called so.
    """
    if tables.has_users(connection):
        raise NotTheFirst
    return add_user(connection, name, password, by, is_admin=True)
