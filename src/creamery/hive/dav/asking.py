"""A request as the tree understands it: who asks, for what in which space, and under which conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection

from creamery.accounts import Principal
from creamery.door import Hub
from creamery.hive import access, locks, spaces
from creamery.hive.acts import Act
from creamery.hive.changes import token_of
from creamery.hive.dav.conditions import If, Preconditions, State, evaluate, parse_if, submitted
from creamery.hive.dav.headers import BadHeader, ForeignDestination, parse_destination, path_of
from creamery.hive.errors import ConditionFailed
from creamery.hive.etags import Etags
from creamery.hive.ledger import Space, space_now, space_row
from creamery.hive.names import NameRefused, TreePath, parse_path, parse_segment, quote_segment
from creamery.hive.nodes import Found, Node
from creamery.hive.tree import Check, Place, follow
from creamery.http import base_url, exchange_of, header_of, principal_of

RowOf = Callable[[Connection, int], Space | None]

FILES, SPACES = b"/dav/files/", b"/dav/spaces/"


@dataclass(frozen=True, slots=True)
class Spot:
    """Something in a space that an address names.

    Attributes:
        space: as it was when it was last read; what changes of it is read anew by whoever decides something.
        path: below its root.
        base: the address of that root, without a slash at its end.
    """

    space: Space
    path: TreePath
    base: str

    @property
    def place(self) -> Place:
        """The same as the tree names it."""
        return Place(self.space.id, self.path.segments)

    def find(self, connection: Connection, row_of: RowOf = space_row) -> tuple[Space, Found]:
        """The space as it is now, and where the path leads in it.

        Args:
            connection: any.
            row_of: how a space's row is read there; `space_row` for readers, `space_now` within a write.
        """
        row = row_of(connection, self.space.id) or self.space
        return row, follow(connection, row, self.path.segments)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks.

    Attributes:
        spot: of what.
        principal: who.
        act: the same for the tree, with the tokens of locks that came along.
        condition: the `If` header.
        preconditions: `If-Match` and `If-None-Match`.
        desk: who made this out of the request, and knows what other addresses mean.
        scope: the request, as ASGI tells it.
    """

    spot: Spot
    principal: Principal
    act: Act
    condition: If | None
    preconditions: Preconditions
    desk: Desk
    scope: Mapping[str, Any]

    @property
    def authorities(self) -> tuple[str, ...]:
        """What the hub is called, for addresses in headers: as this client says, and as the hub itself does."""
        own = urlsplit(base_url(self.scope)).netloc
        return (header_of(self.scope, b"host") or own, own)

    def check(self, connection: Connection, row_of: RowOf = space_now) -> Check:
        """Asks the conditions of what is there, in the transaction that would change it.

        Args:
            connection: of that transaction.
            row_of: how a space's row is read there; for readers `space_row`.

        Raises, when called:
            ConditionFailed: they do not hold.
        """

        def check(there: Node | None) -> None:
            spot = self.spot
            etag = None if there is None else self.desk.etags.of(spot.space.id, there)
            if not self.preconditions.check(etag, there is not None):
                raise ConditionFailed(str(spot.place))
            self.check_condition(connection, row_of)

        return check

    def check_condition(self, connection: Connection, row_of: RowOf = space_row) -> None:
        """Asks the `If` header alone.

        Raises:
            ConditionFailed: it does not hold.
        """
        if self.condition is not None and not evaluate(self.condition, lambda tag: self._look(connection, tag, row_of)):
            raise ConditionFailed(str(self.spot.place))

    def _look(self, connection: Connection, tag: str | None, row_of: RowOf) -> State:
        spot: Spot | None = self.spot
        if tag is not None:
            try:
                spot = self.desk.spot_of(connection, self.principal, path_of(tag, self.authorities))
            except (BadHeader, ForeignDestination, NameRefused, access.NoSuchSpace):
                spot = None
        if spot is None:
            return State()
        row, found = spot.find(connection, row_of)
        etag = None if found.node is None else self.desk.etags.of(row.id, found.node)
        tokens = locks.tokens_at(connection, row, found, self.act.now)
        if found.node is not None and found.node.is_folder:
            tokens |= {token_of(row.id, self.desk.etags.epoch, row.serial)}
        return State(etag, tokens)

    def target(self, connection: Connection, destination: str | None) -> Spot:
        """What a Destination header names.

        Raises:
            BadHeader, ForeignDestination, NameRefused: nothing here.
            NoSuchSpace: nothing that whoever asks may have.
        """
        found = self.desk.spot_of(connection, self.principal, parse_destination(destination, self.authorities))
        if found is None:
            raise ForeignDestination("another part of this hub")
        return found


class Desk:
    """Makes questions out of requests."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._homes: dict[int, Space] = {}
        self._etags: Etags | None = None

    @property
    def etags(self) -> Etags:
        """The hub's."""
        if self._etags is None:
            self._etags = Etags(self._hub.blobs.epoch)
        return self._etags

    async def ask(self, scope: Mapping[str, Any]) -> Asked:
        """What a request asks; a home that is not there yet is made.

        Raises:
            NoSuchSpace, NameRefused, BadIf: it asks for nothing.
        """
        principal = principal_of(scope)
        raw: bytes = scope["raw_path"]
        spot = self._known(principal, raw)
        if spot is None:
            spot = await self._find(principal, raw)
        header = header_of(scope, b"if")
        limits = self._hub.settings.limits
        condition = None if header is None else parse_if(header, limits)
        tokens = submitted(condition)
        act = Act(
            now=self._hub.clock.now(),
            user_id=principal.user_id,
            quota=self._hub.settings.hive.quota,
            tokens=tokens,
            refuses_windows_names=self._hub.settings.hive.windows_names,
        )
        preconditions = Preconditions.of(exchange_of(scope).headers)
        return Asked(spot, principal, act, condition, preconditions, self, scope)

    def spot_of(self, connection: Connection, principal: Principal, raw: bytes) -> Spot | None:
        """What a raw path names; None where it is no address of the tree's, or of a home that is not there yet.

        Raises:
            NameRefused, NoSuchSpace: nothing that may be.
        """
        known = self._known(principal, raw)
        if known is not None:
            return known
        if raw.startswith(FILES):
            name, rest = _name_and_rest(raw)
            home = access.home_of(connection, principal, name)
            return None if home is None else _home_spot(home, name, rest)
        if raw.startswith(SPACES):
            number, _, rest = raw.removeprefix(SPACES).partition(b"/")
            space = access.space_for(connection, principal, access.number_of(number.decode("ascii", "replace")))
            return Spot(space, parse_path(rest), f"/dav/spaces/{space.id}")
        return None

    def _known(self, principal: Principal, raw: bytes) -> Spot | None:
        """Without a statement: the home of whoever asks, which is what nearly everybody asks for."""
        if principal.user_id is None or not raw.startswith(FILES):
            return None
        home = self._homes.get(principal.user_id)
        if home is None:
            return None
        name, rest = _name_and_rest(raw)
        access.owner_of_home(principal, name)
        return _home_spot(home, name, rest)

    async def _find(self, principal: Principal, raw: bytes) -> Spot:
        hub = self._hub
        if raw.startswith(FILES):
            owner = access.owner_of_home(principal, _name_and_rest(raw)[0])
            now = hub.clock.now()
            home = await hub.pools.database.run(
                hub.database.read, lambda connection: access.home_of(connection, principal, principal.name)
            )
            if home is None:
                home = await hub.committer.commit(
                    lambda connection: spaces.make_home(connection, owner, principal.name, now)
                )
            self._homes[owner] = home
        spot = await hub.pools.database.run(
            hub.database.read, lambda connection: self.spot_of(connection, principal, raw)
        )
        if spot is None:
            raise access.NoSuchSpace(raw.decode("ascii", "replace"))
        return spot


def _name_and_rest(raw: bytes) -> tuple[str, bytes]:
    """Of an address below `FILES`: whose home, and the raw path in it."""
    user, _, rest = raw.removeprefix(FILES).partition(b"/")
    return parse_segment(user), rest


def _home_spot(home: Space, name: str, rest: bytes) -> Spot:
    return Spot(home, parse_path(rest), f"/dav/files/{quote_segment(name)}")
