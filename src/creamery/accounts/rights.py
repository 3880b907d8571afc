"""`may`: the one place where a right is decided.

Each door tells with `Rule`s who may do what: rules are the hub's configuration, and things' owners are the doors' data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from creamery.accounts.names import key_of
from creamery.accounts.principals import Principal, Thing


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do something.

    Attributes:
        who: `anyone`; `users`: whoever is known by a password or a token; `group`: who is in `group`; `admins`.
            Administrators may everything, and so may the hub's own jobs; a link opens what it was made for alone.
        group: the name of a group, as names are compared.
        strangers: asked at each request whether somebody who is not known may, too; None: never.
    """

    who: Literal["anyone", "users", "group", "admins"]
    group: str = ""
    strangers: Callable[[], bool] | None = None

    @classmethod
    def parse(cls, text: str) -> Rule:
        """`anyone`, `users`, `admins` or `group:NAME`.

        Raises:
            ValueError: it is nothing of that.
        """
        if text == "anyone":
            return cls("anyone")
        if text == "users":
            return cls("users")
        if text == "admins":
            return cls("admins")
        kind, _, group = text.partition(":")
        if kind == "group" and group:
            return cls("group", key_of(group))
        raise ValueError("should be anyone, users, admins or group:NAME")


class Rights:
    """The rules of a hub."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}

    def declare(self, rules: Mapping[str, Rule]) -> None:
        """A door's rules, by action."""
        self._rules.update(rules)

    def knows(self, action: str) -> bool:
        """Has a door declared it?"""
        return action in self._rules

    def rule(self, action: str) -> Rule:
        """Who may do it; KeyError where no door has declared it: such a route is refused at the start."""
        return self._rules[action]

    def may(self, principal: Principal, action: str, thing: Thing) -> bool:
        """May they do this to that? Costs no statement; the thing brings what there is to know of it."""
        rule = self._rules.get(action)
        if rule is None:
            return False
        if rule.who == "anyone" or principal.kind == "job":
            return True
        if principal.kind == "anonymous" and rule.strangers is not None:
            return rule.strangers()
        if principal.kind in {"anonymous", "link"} or not _counts(principal, action, thing):
            return False
        if principal.is_admin or rule.who == "users":
            return True
        return rule.who == "group" and rule.group in principal.groups


def _counts(principal: Principal, action: str, thing: Thing) -> bool:
    """Does the credential reach so far? A token's scopes and a password file's door only take away."""
    if principal.door and not action.startswith(f"{principal.door}:"):
        return False
    return principal.scopes is None or any(scope.covers(action, thing) for scope in principal.scopes)
