"""The rights of operation, by name, and who has them."""

from __future__ import annotations

from creamery.accounts import Principal, Rule, ScopeWord
from creamery.http import Problem

MANAGE = "accounts:manage"
"""To add, change and remove users and groups, and whatever is theirs."""
OWN = "accounts:own"
"""To see and change what is one's own: password, tokens, sessions."""
JOURNAL = "journal:read"
"""To read what happened."""
JOBS = "jobs:manage"
"""To see, retry and cancel jobs."""

RULES = {MANAGE: Rule("admins"), OWN: Rule("users"), JOURNAL: Rule("admins"), JOBS: Rule("admins")}

SCOPES = {
    JOURNAL: ScopeWord("read the journal, where its user is an administrator"),
    JOBS: ScopeWord("see, retry and cancel jobs, where its user is an administrator"),
}
"""What tokens may be limited to here. Accounts are not among it: who may make tokens may everything that they may."""


def user_of(principal: Principal) -> int:
    """The number of the hub's own user who asks.

    Raises:
        Problem: 403: whoever asks is no user of the hub's.
    """
    if principal.user_id is None:
        raise Problem(403, detail=f"{principal.name} is no user of this hub and has nothing here.")
    return principal.user_id
