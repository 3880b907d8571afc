"""Who may do what, cell by cell: every right of every door, held against every kind of credential.

The page docs/reference/permissions.md is written from this, and tests/operations/test_permissions.py asks a running hub
for each cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from creamery.accounts import ADMIN, ANONYMOUS, Principal, Rights, Rule, Scope, Thing

Outcome = Literal["yes", "401", "403"]

GROUP = "team"

_USER = Principal("user", "alice", 1)
_MEMBER = Principal("user", "bob", 2, groups=frozenset({GROUP}))
_ADMIN = Principal("user", "root", 3, is_admin=True)

SETTINGS: Mapping[str, str] = {
    "anyone": "anyone",
    "users": "users",
    f"group:{GROUP}": f"group:{GROUP}",
    "admins": "admins",
}
"""What a setting such as `index.read` may say."""


SETTABLE = frozenset({"index:read"})
"""The rights whose rule is a setting."""


def rules(action: str, default: Rule) -> Mapping[str, Rule]:
    """The rules that a right may have, by the word for each."""
    return {text: Rule.parse(text) for text in SETTINGS} if action in SETTABLE else {default.who: default}


def credentials(action: str) -> Mapping[str, Principal | None]:
    """Each kind of credential, and whom it makes known; None: nobody (401 where somebody must be known)."""
    door = action.partition(":")[0]
    right, other = (Scope(action),), (Scope("wheels:push" if door != "wheels" else "index:read"),)
    has_files = door == "index"
    return {
        "none": ANONYMOUS,
        "wrong password": None,
        "expired or revoked token": None,
        "token of a disabled user": None,
        "session that has ended": ANONYMOUS,
        "password": _USER,
        "password of a member": _MEMBER,
        "password of an administrator": _ADMIN,
        "session": _USER,
        "session of a member": _MEMBER,
        "session of an administrator": _ADMIN,
        "token with the right": _of(_USER, right),
        "member's token with the right": _of(_MEMBER, right),
        "token with another right": _of(_MEMBER, other),
        "administrator's token with the right": _of(_ADMIN, right),
        "administrator's token with another right": _of(_ADMIN, other),
        "administrator's token `admin`": _of(_ADMIN, (Scope(ADMIN),)),
        "user's token `admin`": _of(_USER, (Scope(ADMIN),)),
        "password file of the index": Principal("htpasswd", "index:dave", door="index") if has_files else None,
        "passcode of the index": Principal("passcode", "havarti", door="index") if has_files else None,
    }


def outcome(rule: Rule, action: str, principal: Principal | None) -> Outcome:
    """What who asks is told."""
    rights = Rights()
    rights.declare({action: rule})
    if rights.may(principal or ANONYMOUS, action, Thing("hub")):
        return "yes"
    return "401" if principal is None or not principal.is_known else "403"


def _of(user: Principal, scopes: tuple[Scope, ...]) -> Principal:
    return replace(user, kind="token", scopes=scopes)
