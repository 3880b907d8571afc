"""What the endpoints have in common: who asks, reading, writing, lists in pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from creamery.accounts import NAME_LENGTH, NAME_PATTERN, By, Principal, confirm
from creamery.clock import SECOND, Micros
from creamery.door import Hub
from creamery.http import by_of, principal_of

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _principal(request: Request) -> Principal:
    return principal_of(request)


Asker = Annotated[Principal, Depends(_principal)]
"""Who asks, as an endpoint's argument."""


NAMED = {"pattern": f"^{NAME_PATTERN}$", "minLength": 1, "maxLength": NAME_LENGTH}
"""What the document says of names; accounts themselves say what is wrong with one, in words of their own."""

Name = Annotated[str, Path(json_schema_extra=NAMED)]
"""Of a user or group, in the path; what cannot be a name is nobody's."""
AfterName = Annotated[str, Query(pattern=r"^[A-Za-z0-9._@+-]*$", max_length=NAME_LENGTH)]
"""A name that a list goes on after."""

LARGEST = 2**63 - 1
"""The largest number that a row can have."""
RowNumber = Annotated[int, Path(ge=1, le=LARGEST)]
AfterRow = Annotated[int, Query(ge=0, le=LARGEST)]


class Listed(BaseModel, Generic[T]):
    """A piece of a list."""

    items: list[T] = Field(description="In order.")
    next: str | None = Field(description="What to send as `after` for the next piece; null: there is none.")


def listed(items: Sequence[T], limit: int, mark: Callable[[T], str]) -> Listed[T]:
    """A piece of at most `limit`, of one more that were looked for."""
    shown = list(items[:limit])
    return Listed(items=shown, next=mark(shown[-1]) if len(items) > limit else None)


class Desk:
    """The hub, as endpoints ask it."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Ask the database."""
        return await self.hub.pools.database.run(self.hub.database.read, question)

    async def write(self, request: Request, work: Callable[[Connection, By], T], *, actor: str | None = None) -> T:
        """Change something; on return it holds in every process.

        Args:
            request: who asks; within the transaction it is looked again whether they still may.
            work: is given the connection, and who changes something, for the journal.
            actor: who that is, where nobody is signed in.

        Raises:
            RightEnded: whoever asks is not who they were when the request was let in.
        """
        principal, by = principal_of(request), by_of(request.scope, self.hub.clock.now(), actor)

        def confirmed(connection: Connection) -> T:
            confirm(connection, principal, self.hub.clock.now())
            return work(connection, by)

        return await self.hub.committer.commit(confirmed)

    async def hashed(self, password: str) -> str:
        """What is kept of a new password.

        Raises:
            PasswordRefused: it cannot be one.
            TooManyLogins: too many wait already.
        """
        passwords = self.hub.accounts.passwords
        return await passwords.in_turn(self.hub.pools, passwords.hash, password)


def moment(micros: Micros) -> datetime:
    """A time, for the wire (RFC 3339, UTC)."""
    return _EPOCH + timedelta(microseconds=micros // SECOND * SECOND)


def micros_of(when: datetime) -> Micros:
    """A time from the wire."""
    return Micros(int((when - _EPOCH).total_seconds()) * SECOND)
