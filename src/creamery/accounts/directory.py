"""Users and tokens in memory, as they were when the database was asked last; dropped when anybody changes a right.

A token that is in memory costs no statement. What is not found is not remembered: nobody fills the memory with names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Connection

from creamery.accounts import tables
from creamery.accounts.tables import Token, User
from creamery.contract import Digest
from creamery.database import Database
from creamery.threads import Pools

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """The last so many values by their keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self._values[key] = value
        while len(self._values) > self._most:
            self._values.popitem(last=False)

    def clear(self) -> None:
        self._values.clear()


@dataclass(frozen=True, slots=True)
class OwnedToken:
    """A token and whose it is."""

    token: Token
    owner: User


class Directory:
    """Looks accounts up. Used on the event loop only."""

    def __init__(self, database: Database, pools: Pools, most: int) -> None:
        self._database = database
        self._pools = pools
        self._users: Remembered[str, User] = Remembered(most)
        self._tokens: Remembered[Digest, OwnedToken] = Remembered(most)
        self._epoch = 0

    def forget(self) -> None:
        """Somebody has changed a right: believe nothing of this any more."""
        self._epoch += 1
        self._users.clear()
        self._tokens.clear()

    async def user(self, key: str) -> User | None:
        """A user by name, as names are compared."""
        return await self._look(self._users, key, lambda connection: tables.find_user(connection, key))

    async def token(self, digest: Digest) -> OwnedToken | None:
        """A token by what it is kept as."""
        known = self._tokens.get(digest)
        if known is not None:
            return known
        return await self._look(self._tokens, digest, lambda connection: _owned(connection, digest))

    async def _look(self, memory: Remembered[K, V], key: K, question: Callable[[Connection], V | None]) -> V | None:
        known = memory.get(key)
        if known is not None:
            return known
        epoch = self._epoch
        found = await self._pools.database.run(self._database.read, question)
        if found is not None and epoch == self._epoch:  # else it may be from before the change
            memory.put(key, found)
        return found


def _owned(connection: Connection, digest: Digest) -> OwnedToken | None:
    token = tables.token_by_digest(connection, digest)
    owner = None if token is None else tables.user_by_id(connection, token.user_id)
    return None if token is None or owner is None else OwnedToken(token, owner)
