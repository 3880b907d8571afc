"""The rights of built wheels."""

from __future__ import annotations

from creamery.accounts import Rule, ScopeWord, UnknownScope
from creamery.http import Strangers
from creamery.wheels.place import STRANGERS, UPSTREAM, check_ring

READ = "wheels:read"
"""To find and have built wheels."""

PUSH = "wheels:push"
"""To add wheels that one has built."""

MANAGE = "wheels:manage"
"""To take anybody's wheels away, and to say which ones stay."""


def pushing_rule(written: str, strangers: Strangers) -> Rule:
    """Who may push: where that is anyone, whoever is not known may as long as strangers are welcome."""
    return Rule("users", strangers=strangers.are_welcome) if written == "anyone" else Rule.parse(written)


def _ring(written: str) -> str:
    """A ring that tokens may name: who writes to it is neither a stranger nor an upstream, whom others trust or not."""
    try:
        ring = check_ring(written)
    except ValueError as error:
        raise UnknownScope(str(error)) from error
    if ring in {STRANGERS, UPSTREAM}:
        raise UnknownScope(f"the hub itself writes to the ring {ring}, so no token does: name another one")
    return ring


SCOPES = {
    READ: ScopeWord("have built wheels, where not everybody may"),
    PUSH: ScopeWord("push wheels that its user has built, into the hub's own ring or that one", "RING", _ring),
    MANAGE: ScopeWord("pin built wheels, promote them and take them away, where its user is an administrator"),
}
"""What tokens may be limited to here."""
