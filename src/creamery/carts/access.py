"""The rights of carts, and the only way from somebody who asks to a cart that they may have.

A cart of somebody who was signed in is theirs, and to others it is as good as not there. A cart that a stranger made
belongs to whoever knows its name, as the original's all did.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from creamery.accounts import Principal, Rule, ScopeWord
from creamery.carts import tables
from creamery.carts.archives import Archive, InHub
from creamery.carts.tables import Cart
from creamery.http import Strangers
from creamery.settings import Settings

USE = "carts:use"
"""To have carts, and what is in them."""

MANAGE = "carts:manage"
"""To delete everybody's carts by their age."""

SCOPES = {
    USE: ScopeWord("make carts, and download its user's own"),
    MANAGE: ScopeWord("purge carts, where its user is an administrator"),
}
"""What tokens may be limited to here."""

STRANGERS = None
"""The owner of the carts of all who are not signed in."""


class UnknownCart(Exception):
    """There is none of that name for whoever asks."""

    def __init__(self, uid: str) -> None:
        super().__init__(f"No cart with uid {uid} found")
        self.uid = uid


class CartTaken(Exception):
    """Somebody else has a cart of that name."""

    def __init__(self, uid: str) -> None:
        super().__init__(f"The name {uid} is taken; choose another, a new UUID is never taken")


def rule(settings: Settings, strangers: Strangers) -> Rule:
    """Who may have carts at all."""
    known = Rule.parse(settings.carts.use)
    return Rule(known.who, known.group, strangers.are_welcome)


def owner_of(principal: Principal) -> str | None:
    """Whose a cart becomes that somebody makes: a user's number, never a name."""
    if principal.user_id is not None:
        return owner_of_user(principal.user_id)
    return f"{principal.kind}:{principal.name.rpartition(':')[2]}" if principal.is_known else STRANGERS


def owner_of_user(user_id: int) -> str:
    """A user, as the owner of carts."""
    return f"user:{user_id}"


def cart_for(connection: Connection, principal: Principal, uid: str) -> Cart:
    """The newest cart of that name, if whoever asks may have it.

    Raises:
        UnknownCart: they may not, or there is none: nobody is told which.
    """
    found = tables.find_cart(connection, uid)
    if found is None or not may_have(principal, found):
        raise UnknownCart(uid)
    return found


def may_have(principal: Principal, cart: Cart) -> bool:
    """Is it theirs, or everybody's?"""
    return cart.owner in {STRANGERS, owner_of(principal)} or principal.is_admin or principal.kind == "job"


def archives_for(principal: Principal, archives: Mapping[str, Archive]) -> dict[str, Archive]:
    """Those that somebody may read, in their order; whoever may have carts may read all but this hub's own doors."""
    return {
        name: archive
        for name, archive in archives.items()
        if not isinstance(archive, InHub) or archive.may_be_read_by(principal)
    }
