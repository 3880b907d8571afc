"""Who asks, and what they may: users, groups, tokens, and the two questions `authenticate` and `may`.

Everything else asks here: no room looks at a credential, and none decides a right by itself.
"""

from creamery.accounts.accounts import Accounts
from creamery.accounts.authenticator import BadCredentials
from creamery.accounts.first import NotTheFirst, add_first, check_first_link, first_link
from creamery.accounts.issue import NoSuchToken, TokenRefused, create_token, revoke_token
from creamery.accounts.names import NAME_LENGTH, NAME_PATTERN, InvalidAccountName, check_account_name, key_of
from creamery.accounts.passwords import PasswordRefused, Passwords, TooManyLogins
from creamery.accounts.people import (
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
from creamery.accounts.principals import ADMIN, ANONYMOUS, HUB, Presented, Principal, Scope, Thing
from creamery.accounts.rights import Rights, Rule
from creamery.accounts.scopes import ScopeWord, UnknownScope, parse_scope
from creamery.accounts.secret import Secret, SecretFile, SecretUnreadable
from creamery.accounts.sessions import (
    NoSuchSession,
    SignedIn,
    UserChanged,
    end_session,
    end_sessions,
    open_session,
    thin_sessions,
)
from creamery.accounts.tables import (
    Group,
    Session,
    Token,
    User,
    find_user,
    groups,
    has_users,
    sessions,
    token_by_id,
    tokens,
    user_by_id,
    users,
)
from creamery.accounts.throttle import Throttled
from creamery.journal import By

__all__ = [
    "ADMIN",
    "ANONYMOUS",
    "HUB",
    "NAME_LENGTH",
    "NAME_PATTERN",
    "Accounts",
    "BadCredentials",
    "By",
    "Group",
    "InvalidAccountName",
    "LastAdministrator",
    "NameTaken",
    "NoSuchAccount",
    "NoSuchSession",
    "NoSuchToken",
    "NotTheFirst",
    "PasswordRefused",
    "Passwords",
    "Presented",
    "Principal",
    "Rights",
    "Rule",
    "Scope",
    "ScopeWord",
    "Secret",
    "SecretFile",
    "SecretUnreadable",
    "Session",
    "SignedIn",
    "Thing",
    "Throttled",
    "Token",
    "TokenRefused",
    "TooManyLogins",
    "UnknownScope",
    "User",
    "UserChanged",
    "add_first",
    "add_group",
    "add_members",
    "add_user",
    "check_account_name",
    "check_first_link",
    "create_token",
    "end_session",
    "end_sessions",
    "find_group",
    "find_user",
    "first_link",
    "groups",
    "has_users",
    "key_of",
    "open_session",
    "parse_scope",
    "remove_group",
    "remove_members",
    "remove_user",
    "revoke_token",
    "sessions",
    "set_admin",
    "set_disabled",
    "set_password",
    "thin_sessions",
    "token_by_id",
    "tokens",
    "user_by_id",
    "users",
]
