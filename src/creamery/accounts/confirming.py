"""Is whoever asked still who they were? Asked within the transaction that writes what they want.

A request is let in when its headers have come; its body may take a minute, and a hash may wait its turn. What was
revoked meanwhile must not be written after the revoker's answer.
"""

from __future__ import annotations

from sqlalchemy import Connection

from creamery.accounts import tables
from creamery.accounts.principals import Principal
from creamery.clock import Micros


class RightEnded(Exception):
    """Somebody has revoked or changed it since the request was let in (401)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was changed, or the token or session ended, while the request was under way")


def confirm(connection: Connection, principal: Principal, now: Micros) -> None:
    """Look again: three point reads for a user of the hub's, nothing for everybody else.

    Args:
        connection: within the transaction that writes, before it does.
        principal: who was let in.
        now: the time.

    Raises:
        RightEnded: the user, the token or the session is not as it was.
    """
    if principal.user_id is None:
        return
    user = tables.user_by_id(connection, principal.user_id)
    if user is None or user.disabled or (user.changed, user.groups) != (principal.changed, principal.groups):
        raise RightEnded(principal.name)
    if principal.token_id is not None:
        token = tables.token_by_id(connection, principal.token_id)
        if token is None or (token.expires is not None and token.expires <= now):
            raise RightEnded(principal.name)
    if principal.session_id is not None and tables.session_by_id(connection, principal.session_id) is None:
        raise RightEnded(principal.name)
