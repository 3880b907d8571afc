"""A sign-in that has begun: what the browser keeps, signed, until the provider sends it back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from creamery.accounts.oidc.errors import AttemptOver
from creamery.accounts.secret import Secret

_PURPOSE = "sign-in"
_RANDOM_BYTES = 32  # 43 letters, the shortest verifier that RFC 7636 section 4.1 lets be
_AGAIN = "what came back belongs to no sign-in that this browser has begun, or to one of long ago"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one sign-in is told apart from all others by.

    Attributes:
        state: comes back with the browser: whoever has another's address to come back to gets nowhere (login CSRF).
        nonce: comes back in the ID token, so that a token of another sign-in is none of this.
        verifier: shows to the provider that who brings the code is who began (PKCE).
        next: where the browser goes then.
    """

    state: str
    nonce: str
    verifier: str
    next: str

    @classmethod
    def begin(cls, next_path: str) -> Attempt:
        """A new one."""
        return cls(_random(), _random(), _random(), next_path)

    @classmethod
    def resume(cls, secret: Secret, cookie: str, state: str, seconds: float) -> Attempt:
        """The one that this browser began so many seconds ago at most.

        Raises:
            AttemptOver: it began none, another one, or long ago.
        """
        text = secret.signed(_PURPOSE, cookie, seconds=seconds)
        if text is None:
            raise AttemptOver(_AGAIN)
        began, nonce, verifier, after = text.split(".")
        if not hmac.compare_digest(began.encode(), state.encode("utf-8", "surrogatepass")):
            raise AttemptOver(_AGAIN)
        return cls(began, nonce, verifier, base64.urlsafe_b64decode(after).decode("ascii"))

    def cookie(self, secret: Secret) -> str:
        """What the browser keeps. It may read it: nothing in it opens anything by itself."""
        after = base64.urlsafe_b64encode(self.next.encode("ascii")).decode("ascii")
        return secret.sign(_PURPOSE, f"{self.state}.{self.nonce}.{self.verifier}.{after}")

    @property
    def challenge(self) -> str:
        """What the provider is told of the verifier beforehand (S256, RFC 7636 section 4.2)."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _random() -> str:
    return secrets.token_urlsafe(_RANDOM_BYTES)
