"""Who asks, and what they may: users, groups, tokens, and the two questions `authenticate` and `may`.

Everything else asks here: no room looks at a credential, and none decides a right by itself.
"""

from creamery.accounts.accounts import Accounts
from creamery.accounts.authenticator import BadCredentials
from creamery.accounts.issue import NoSuchToken, TokenRefused, create_token, revoke_token
from creamery.accounts.names import InvalidAccountName, check_account_name, key_of
from creamery.accounts.passwords import PasswordRefused, Passwords, TooManyLogins
from creamery.accounts.people import (
    By,
    LastAdministrator,
    NameTaken,
    NoSuchAccount,
    add_group,
    add_members,
    add_user,
    find_group,
    remove_group,
    remove_members,
    remove_user,
    set_admin,
    set_disabled,
    set_password,
)
from creamery.accounts.principals import ADMIN, ANONYMOUS, Presented, Principal, Scope, Thing
from creamery.accounts.rights import Rights, Rule
from creamery.accounts.scopes import ScopeWord, UnknownScope, parse_scope
from creamery.accounts.tables import Group, Token, User, find_user, groups, has_users, tokens, users
from creamery.accounts.throttle import Throttled

__all__ = [
    "ADMIN",
    "ANONYMOUS",
    "Accounts",
    "BadCredentials",
    "By",
    "Group",
    "InvalidAccountName",
    "LastAdministrator",
    "NameTaken",
    "NoSuchAccount",
    "NoSuchToken",
    "PasswordRefused",
    "Passwords",
    "Presented",
    "Principal",
    "Rights",
    "Rule",
    "Scope",
    "ScopeWord",
    "Thing",
    "Throttled",
    "Token",
    "TokenRefused",
    "TooManyLogins",
    "UnknownScope",
    "User",
    "add_group",
    "add_members",
    "add_user",
    "check_account_name",
    "create_token",
    "find_group",
    "find_user",
    "groups",
    "has_users",
    "key_of",
    "parse_scope",
    "remove_group",
    "remove_members",
    "remove_user",
    "revoke_token",
    "set_admin",
    "set_disabled",
    "set_password",
    "tokens",
    "users",
]
