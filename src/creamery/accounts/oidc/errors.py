"""What can be true when somebody does not get in by the provider.

SignInFailed
├── AttemptOver           what came back belongs to no sign-in that this browser has begun, or to one of long ago
├── ProviderRefused       the provider says no
├── ProviderUnavailable   it does not answer, or not in a way that can be read
├── NotBelieved           what it says is not to be believed: wrong signature, issuer, audience, time
└── NotInGroup            it says who they are, and they are not in the group that may come in

No text holds a code, a token or the hub's password; what the provider wrote is quoted in letters that are harmless.
"""

from __future__ import annotations


class SignInFailed(Exception):
    """Somebody does not get in."""


class AttemptOver(SignInFailed):
    """It belongs to no sign-in of this browser's; beginning again helps."""


class ProviderRefused(SignInFailed):
    """The provider says no.

    Attributes:
        code: its word for the reason, such as `access_denied` (RFC 6749 section 4.1.2.1).
    """

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"the provider says {code}")


class ProviderUnavailable(SignInFailed):
    """It does not answer, or not in a way that can be read."""


class NotBelieved(SignInFailed):
    """What it says is not to be believed."""


class NoSuchKey(Exception):
    """None of the keys that are known has signed it; there may be new ones."""


class NotInGroup(SignInFailed):
    """They are not in `accounts.oidc_group`."""

    def __init__(self) -> None:
        super().__init__("whoever signed in is not in the group whose members may use this hub")
