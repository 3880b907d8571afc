"""Rings: who trusts whose wheels. Whoever writes to a ring can run code on everybody who sees it.

A token that names a ring, `wheels:push:pr-17`, writes there and nowhere else; a token without the right to push, such
as a fork's, only reads; everybody else who may push writes to the hub's own ring. Who reads sees the ring that they
write to, then the hub's own, then those that the hub trusts: so a branch sees what main has built, and main never what
a branch has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from creamery.accounts import ADMIN, Principal, Thing
from creamery.door import Hub
from creamery.http import Problem, Strangers, exchange_of, principal_of
from creamery.wheels import tables
from creamery.wheels.access import MANAGE, PUSH
from creamery.wheels.place import STRANGERS, UPSTREAM, PushRefused, Ring, Sight

VIA_HUB = b"creamery-"
"""What a hub's name in `Via` begins with (`hub.py`)."""


class NoRing(PushRefused):
    """It is not said which ring is written to."""


class Rings:
    """The rings of a hub, and who asks for which."""

    def __init__(self, hub: Hub, strangers: Strangers) -> None:
        settings = hub.settings.wheels
        self.own = Ring(settings.ring)
        upstream = (UPSTREAM,) if settings.upstreams else ()
        self.trusted: Sight = tuple(dict.fromkeys((self.own, *map(Ring, settings.trusted), *upstream)))
        self._strangers = strangers
        self._strangers_push = settings.push == "anyone"
        self._hub = hub

    def written_by(self, scope: Mapping[str, Any]) -> Ring:
        """The ring that whoever asks writes to.

        Raises:
            NoRing: their token names several.
            Problem: 401, 403: they may not write there, or not from there.
        """
        principal = principal_of(scope)
        rings = self._written(principal)
        if len(rings) != 1:
            named = ", ".join(sorted(rings)) or "none"
            raise NoRing(f"the token names {named} as the ring that it pushes to: make one that names one ring")
        ring = next(iter(rings))
        if not self._hub.accounts.may(principal, PUSH, Thing("ring", ring)):
            raise Problem(403, "Forbidden", f"{principal.name} may not push to the ring {ring}.")
        if not principal.is_known:
            self._strangers.refuse(scope)
        return ring

    def seen_by(self, scope: Mapping[str, Any]) -> Sight:
        """The rings whose wheels whoever asks gets, their own first."""
        principal = principal_of(scope)
        if not principal.is_known and (not self._strangers_push or _is_another_hubs(scope)):
            return self.trusted
        own = self._written(principal)
        return (*(own if len(own) == 1 and not own <= set(self.trusted) else ()), *self.trusted)

    def home_of(self, scope: Mapping[str, Any]) -> Ring:
        """The ring whose leases and failures count for whoever asks: that which they write to, else the hub's own."""
        own = self._written(principal_of(scope))
        return next(iter(own)) if len(own) == 1 else self.own

    async def all_seen_by(self, scope: Mapping[str, Any]) -> Sight:
        """The same, for lists; whoever looks after built wheels sees all rings."""
        seen = self.seen_by(scope)
        if not self._hub.accounts.may(principal_of(scope), MANAGE, Thing("ring")):
            return seen
        others = await self._hub.pools.database.run(self._hub.database.read, tables.rings)
        return tuple(dict.fromkeys((*seen, *others)))

    def _written(self, principal: Principal) -> set[Ring]:
        if not principal.is_known:
            return {STRANGERS} if self._strangers_push and self._strangers.are_welcome() else set()
        if principal.scopes is None:
            return {self.own}
        pushing = [scope for scope in principal.scopes if scope.action in {PUSH, ADMIN}]
        return {Ring(scope.limit) if scope.limit and scope.action == PUSH else self.own for scope in pushing}


def _is_another_hubs(scope: Mapping[str, Any]) -> bool:
    """A hub that has this one above brings what it gets to everybody there: what strangers have is not for those."""
    return VIA_HUB in exchange_of(scope).headers.get(b"via", b"")


class OneRing:
    """A folder's: everybody sees it, and whoever may push writes to it."""

    ring = Ring("main")

    def written_by(self, _: Mapping[str, Any]) -> Ring:
        """As that of `Rings`."""
        return self.ring

    def seen_by(self, _: Mapping[str, Any]) -> Sight:
        """Likewise."""
        return (self.ring,)
