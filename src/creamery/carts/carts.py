"""What can be done with carts: made, looked at, deleted, tried once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from creamery.accounts import Principal, confirm
from creamery.carts import sources, tables, upkeep
from creamery.carts.access import CartTaken, archives_for, cart_for, may_have, owner_of
from creamery.carts.archives import Archive
from creamery.carts.manifest import BadManifest, Manifest, read_manifest
from creamery.carts.planning import enqueue_plan
from creamery.carts.quotas import quota_of, refuse_beyond
from creamery.carts.tables import Cart, CartFile
from creamery.clock import SECOND, Micros
from creamery.contract import Digest
from creamery.door import Hub
from creamery.journal import By, record_by

FILES_AT_ONCE = 2_000
SOURCES_AT_ONCE = 1_000
LEFT_SECONDS = 3_600
"""A cart that is being made is not shown for so long at most."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a cart is.

    Attributes:
        cart: the cart.
        seconds_left: an estimate from its rate so far; None: nobody can tell.
    """

    cart: Cart
    seconds_left: float | None

    def told(self) -> dict[str, Any]:
        """For JSON."""
        left = None if self.seconds_left is None else round(self.seconds_left, 1)
        return {**upkeep.cart_told(self.cart), "seconds_left": left}


class Carts:
    """For threads."""

    def __init__(self, hub: Hub, archives: Mapping[str, Archive], plan_ahead: Callable[[int], None]) -> None:
        """`plan_ahead`: stages a cart that nobody sees yet as far as nobody has to be asked for it."""
        self._archives = archives
        self._plan_ahead = plan_ahead
        self._database = hub.database
        self._committer = hub.committer
        self._clock = hub.clock
        self._limits = hub.settings.limits
        self._settings = hub.settings.carts
        self._blobs = hub.blobs

    def create(self, uid: str, body: bytes, principal: Principal, by: By) -> None:
        """Make a cart of what a JSON document lists; its staging begins at once, and may have ended on return.

        Raises:
            BadManifest: it lists no cart.
            CartTaken, QuotaReached: not this one, or not this much.
            RightEnded: whoever asks may no longer.
        """
        manifest = read_manifest(body, self._limits)
        archives = archives_for(principal, self._archives)
        first = next(iter(archives), "")
        _refuse_strange_archives(manifest, archives)
        if manifest.webhook is not None and self._settings.webhook_secret is None:
            raise BadManifest("This hub sends no notices: whoever runs it has to set carts.webhook_secret")
        self._refuse_early(uid, principal)
        rooted = self._settings.bundle_task if manifest.bundle is None else manifest.bundle
        name = datetime.fromtimestamp(by.now / SECOND, UTC).astimezone().strftime("data_%Y_%m_%d_%H_%M_%S.tar")
        count, owner = len(manifest.entries), owner_of(principal)
        cart_id = self._committer.write(
            lambda c: tables.add_cart(
                c, uid, owner, name, rooted=rooted, files=count, webhook=manifest.webhook, now=by.now
            )
        )
        for start in range(0, count, FILES_AT_ONCE):
            some = manifest.entries[start : start + FILES_AT_ONCE]
            self._committer.write(partial(tables.add_files, cart_id=cart_id, first=start, entries=some, archive=first))
        self._plan_ahead(cart_id)
        self._committer.write(lambda connection: self._show(connection, cart_id, principal, by))

    def _show(self, connection: Connection, cart_id: int, principal: Principal, by: By) -> None:
        confirm(connection, principal, by.now)
        refuse_beyond(connection, owner_of(principal), self._settings)
        tables.show(connection, cart_id)
        made = tables.cart_by_id(connection, cart_id)
        assert made is not None  # noqa: S101 - it was shown this moment
        self._refuse_taken(connection, made.uid, principal)
        record_by(connection, "carts", "created", made.uid, by, {"files": made.files})
        if self._is_done(connection, made):
            sources.set_planned(connection, cart_id, made.done_bytes, by.now)
            sources.finish(connection, cart_id, by.now)
        else:
            enqueue_plan(connection, cart_id, by.now)

    def _is_done(self, connection: Connection, made: Cart) -> bool:
        """Is nothing left to ask or fetch, nor to say of its owner's quota?"""
        if made.done_files < made.files:
            return False
        quota = quota_of(connection, made.owner, self._settings)
        return tables.usage(connection, made.owner)[1] + made.done_bytes <= quota.bytes

    def find(self, uid: str, principal: Principal) -> Progress:
        """How far a cart is.

        Raises:
            UnknownCart: there is none for whoever asks.
        """
        return self.progress(self._database.read(lambda connection: cart_for(connection, principal, uid)))

    def progress(self, cart: Cart) -> Progress:
        """How far it is, and how long it may still take."""
        left: float | None = None
        if cart.state == "staging" and cart.planned and cart.done_bytes:
            spent = (self._clock.now() - cart.created) / SECOND
            left = spent * (cart.bytes - cart.done_bytes) / cart.done_bytes
        elif cart.state == "ready":
            left = 0.0
        return Progress(cart, left)

    def listed(self, principal: Principal, limit: int, before: int | None) -> list[Cart]:
        """Somebody's carts, the newest first; an administrator's are everybody's."""
        if principal.is_admin:
            return self._database.read(lambda connection: tables.all_carts(connection, limit, before))
        return self._database.read(lambda connection: tables.carts_of(connection, owner_of(principal), limit, before))

    def delete(self, uid: str, principal: Principal, by: By) -> int:
        """Delete all carts of that name that whoever asks may have; how many.

        Raises:
            UnknownCart: there are none.
            RightEnded: whoever asks may no longer.
        """

        def write(connection: Connection) -> list[int]:
            confirm(connection, principal, by.now)
            found: list[int] = []
            cart: Cart | None = cart_for(connection, principal, uid)
            while cart is not None and may_have(principal, cart):
                tables.set_deleted(connection, cart.id, by.now)
                found.append(cart.id)
                cart = tables.find_cart(connection, uid)
            record_by(connection, "carts", "deleted", uid, by)
            return found

        gone = self._committer.write(write)
        for cart_id in gone:
            upkeep.remove_files(self._committer, cart_id)
        return len(gone)

    def purge(self, seconds: float, principal: Principal, by: By) -> list[Cart]:
        """Delete some of the carts that have not changed for so long, whoever they belong to; none: none are left.

        Raises:
            RightEnded: whoever asks may no longer.
        """
        before = Micros(max(by.now - int(seconds * SECOND), 0))
        return upkeep.purge(self._committer, before, by, lambda connection: confirm(connection, principal, by.now))

    def files(self, uid: str, principal: Principal, after: int, limit: int) -> list[CartFile]:
        """The next files of a cart, behind a position.

        Raises:
            UnknownCart: there is none for whoever asks.
        """

        def read(connection: Connection) -> list[CartFile]:
            return tables.files_of(connection, cart_for(connection, principal, uid).id, after, limit)

        return self._database.read(read)

    def try_again(self, uid: str, principal: Principal, by: By) -> Cart:
        """Stage anew what has failed, and what was here and is lost.

        Raises:
            UnknownCart: there is none.
            BadManifest: it needs an archive that whoever asks may not read any more.
        """
        lost = self._database.read(lambda connection: self._lost(connection, cart_for(connection, principal, uid)))

        def write(connection: Connection) -> Cart:
            confirm(connection, principal, by.now)
            cart = cart_for(connection, principal, uid)
            tables.lose(connection, cart.id, lost.get(cart.id, ()))
            upkeep.stage_anew(connection, cart, by)
            for name in self._archives.keys() - archives_for(principal, self._archives).keys():
                if name in tables.archives_of(connection, cart.id):
                    raise BadManifest(f"No archive is called {name!r}")
            return cart

        return self._committer.write(write)

    def _lost(self, connection: Connection, cart: Cart) -> dict[int, list[int]]:
        """By the cart's number, the positions of its files whose bytes should be here and are not."""
        here = [(file.position, file.digest) for file in tables.all_files(connection, cart.id) if file.digest]
        found: set[Digest] = set()
        for at in range(0, len(here), tables.AT_ONCE):
            found |= self._blobs.those_here(connection, [digest for _, digest in here[at : at + tables.AT_ONCE]])
        return {cart.id: [position for position, digest in here if digest not in found]}

    def tidy(self) -> None:
        """Remove what is left of carts that are no more, and of those that were cut off while they were made."""
        before = Micros(self._clock.now() - LEFT_SECONDS * SECOND)
        for cart_id in self._database.read(lambda connection: tables.unfinished_removals(connection, before)):
            upkeep.remove_files(self._committer, cart_id)
        while self._committer.write(lambda connection: sources.remove_unwanted(connection, SOURCES_AT_ONCE)):
            pass

    def _refuse_early(self, uid: str, principal: Principal) -> None:
        """Before much is written; once more, in the transaction that shows the cart."""

        def ask(connection: Connection) -> None:
            self._refuse_taken(connection, uid, principal)
            refuse_beyond(connection, owner_of(principal), self._settings)

        self._database.read(ask)

    @staticmethod
    def _refuse_taken(connection: Connection, uid: str, principal: Principal) -> None:
        found = tables.find_cart(connection, uid)
        if found is not None and not may_have(principal, found):
            raise CartTaken(uid)


def _refuse_strange_archives(manifest: Manifest, archives: Mapping[str, Archive]) -> None:
    if manifest.entries and not archives:
        raise BadManifest(
            "No archive is configured: set carts.archives, or start the hub with `creamery serve --archive DIR`"
        )
    for number, entry in enumerate(manifest.entries):
        if entry.archive is not None and entry.archive not in archives:
            known = ", ".join(sorted(archives))
            raise BadManifest(f"Entry {number}: no archive is called {entry.archive[:80]!r}; there are {known}")
