"""What the endpoints have in common: which space is meant, who does something, and what people are called."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from fastapi import Request
from sqlalchemy import Connection

from creamery.accounts import By, Principal, user_by_id
from creamery.door import Hub
from creamery.hive import access, spaces
from creamery.hive.acts import Act
from creamery.hive.errors import NotThere
from creamery.hive.etags import Etags
from creamery.hive.ledger import Space
from creamery.hive.names import check_name
from creamery.hive.nodes import chain_of
from creamery.hive.tables import ROOT
from creamery.operations import Desk

T = TypeVar("T")

HOME = "home"


class SpaceDesk:
    """The hub's spaces, as endpoints ask for them; each question is asked of a space that whoever asks may have."""

    def __init__(self, hub: Hub) -> None:
        self._desk = Desk(hub)
        self._hub = hub

    @property
    def etags(self) -> Etags:
        """The hub's."""
        return Etags(self._hub.blobs.epoch)

    async def read(
        self, request: Request, asker: Principal, name: str, question: Callable[[Connection, Space], T]
    ) -> T:
        """Ask something about a space.

        Raises:
            NoSuchSpace: there is none for whoever asks.
        """
        number = await self._number(request, asker, name)
        return await self._desk.read(lambda c: question(c, access.space_for(c, asker, number)))

    async def write(
        self, request: Request, asker: Principal, name: str, work: Callable[[Connection, Space, Act, By], T]
    ) -> T:
        """Change something in a space.

        Raises:
            NoSuchSpace: there is none for whoever asks.
            RightEnded: whoever asks is not who they were when the request was let in.
        """
        number, settings = await self._number(request, asker, name), self._hub.settings.hive

        def worked(connection: Connection, by: By) -> T:
            row = access.space_for(connection, asker, number)
            act = Act(by.now, asker.user_id, settings.quota, refuses_windows_names=settings.windows_names)
            return work(connection, row, act, by)

        return await self._desk.write(request, worked)

    async def _number(self, request: Request, asker: Principal, name: str) -> int:
        """The number that a space's name in an address means; a home that is not there yet is made."""
        if name != HOME:
            return access.number_of(name)
        user_id = access.owner_of_home(asker, asker.name)
        home = await self._desk.read(lambda c: spaces.home_of(c, user_id))
        if home is None:
            home = await self._desk.write(request, lambda c, by: spaces.make_home(c, user_id, asker.name, by.now))
        return home.id


def path_of(text: str) -> tuple[str, ...]:
    """The names that a path consists of.

    Raises:
        NameRefused: one of them can be none.
    """
    return tuple(check_name(name) for name in text.split("/") if name)


def refuse_elsewhere(connection: Connection, row: Space, node_id: int) -> None:
    """See that a node is in a space's tree, and not in its trash.

    Raises:
        NotThere: it is elsewhere, or nowhere.
    """
    chain = chain_of(connection, node_id)
    if chain is None or chain.space_id != row.id or chain.names[0] != ROOT:
        raise NotThere(f"node {node_id}")


def names_of(connection: Connection, users: Iterable[int | None]) -> dict[int, str]:
    """What users are called. Two point reads for each."""
    found = ((number, user_by_id(connection, number)) for number in {*users} if number is not None)
    return {number: user.name for number, user in found if user is not None}
