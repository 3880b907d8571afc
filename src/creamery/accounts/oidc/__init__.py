"""Signing in at a provider of OpenID Connect: the code flow with PKCE, for one provider that the settings name.

Read first: OpenID Connect Core 1.0 sections 2 and 3.1, Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (whose answer it is),
RFC 9700 (what goes wrong otherwise). Who is let in is `identities`' affair; what browsers are told is the door's.
joserfc is imported when somebody signs in.
"""

from creamery.accounts.oidc.attempt import Attempt
from creamery.accounts.oidc.errors import (
    AttemptOver,
    NotBelieved,
    NotInGroup,
    ProviderRefused,
    ProviderUnavailable,
    SignInFailed,
)
from creamery.accounts.oidc.flow import SignIn

__all__ = [
    "Attempt",
    "AttemptOver",
    "NotBelieved",
    "NotInGroup",
    "ProviderRefused",
    "ProviderUnavailable",
    "SignIn",
    "SignInFailed",
]
