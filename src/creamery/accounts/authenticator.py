"""From what a request brought to who it is: the only place where a credential is looked at.

Basic (RFC 7617) with a password, or with a token as the password, whatever the user name; Bearer (RFC 6750). What is
wrong is `BadCredentials`, whichever way it is wrong; only the log says more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from creamery.accounts.directory import Directory, OwnedToken, Remembered
from creamery.accounts.htpasswd import PasswordFiles
from creamery.accounts.names import PASSCODE_USER, TOKEN_USER, key_of
from creamery.accounts.passwords import Passwords
from creamery.accounts.principals import ANONYMOUS, Presented, Principal
from creamery.accounts.tables import User
from creamery.accounts.throttle import Throttle
from creamery.accounts.tokens import looks_like_token, token_digest
from creamery.accounts.uses import TokenUses
from creamery.clock import Clock
from creamery.limits import Limits
from creamery.threads import Pools

_SEPARATORS = frozenset(", \t")


class BadCredentials(Exception):
    """Nobody is known by this (401); the text is for the log and holds no secret."""


@dataclass(frozen=True, slots=True)
class _Pair:
    name: str
    password: str


@dataclass(frozen=True, slots=True)
class _Right:
    """A password that was right a moment ago."""

    until: float
    user: User


class Authenticator:
    """Makes principals of credentials. Used on the event loop only."""

    def __init__(  # noqa: PLR0913 - `Accounts` puts it together, in one place
        self,
        directory: Directory,
        passwords: Passwords,
        files: PasswordFiles,
        uses: TokenUses,
        passcodes: dict[str, str],
        *,
        pools: Pools,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._passwords = passwords
        self._files = files
        self._uses = uses
        self._passcodes = passcodes
        self._pools = pools
        self._limits = limits
        self._clock = clock
        self._throttle = Throttle(limits, clock)
        self._right: Remembered[bytes, _Right] = Remembered(limits.known_accounts)
        self._key = secrets.token_bytes(32)

    def forget(self) -> None:
        """Somebody has changed a right."""
        self._directory.forget()
        self._right.clear()

    async def authenticate(self, presented: Presented) -> Principal:
        """Who it is; `ANONYMOUS` for who brought nothing.

        Raises:
            BadCredentials: what was brought makes nobody known.
            Throttled: too many wrong passwords came before.
            TooManyLogins: too many passwords wait to be looked at.
            DatabaseUnavailable: the database does not answer.
        """
        if not presented.authorization:
            return ANONYMOUS
        if len(presented.authorization) > 1:
            raise BadCredentials("two Authorization headers")
        scheme, _, value = presented.authorization[0].partition(" ")
        if scheme.lower() == "bearer":
            return await self._by_token(value.strip(), name=None)
        if scheme.lower() == "basic":
            return await self._by_pair(_decoded(value.strip()), presented)
        raise BadCredentials(f"the scheme {scheme[:20]!r} is not spoken here")

    async def _by_pair(self, pair: _Pair, presented: Presented) -> Principal:
        if looks_like_token(pair.password):
            return await self._by_token(pair.password, None if pair.name == TOKEN_USER else pair.name)
        if looks_like_token(pair.name) and not pair.password:  # as in https://TOKEN@host/
            return await self._by_token(pair.name, name=None)
        if pair.name == PASSCODE_USER and presented.door in self._passcodes:
            return self._by_passcode(pair, presented)
        return await self._by_password(pair, presented)

    async def _by_token(self, text: str, name: str | None) -> Principal:
        digest = token_digest(text)
        if digest is None:
            raise BadCredentials("no whole token")
        owned = await self._directory.token(digest)
        if owned is None:
            raise BadCredentials("a token that is not, or no more")
        if name is not None and key_of(name) != key_of(owned.owner.name):
            raise BadCredentials("another user's token")
        if owned.token.expires is not None and owned.token.expires <= self._clock.now():
            raise BadCredentials(f"token {owned.token.id} of {owned.owner.name} has expired")
        if owned.owner.disabled:
            raise BadCredentials(f"token {owned.token.id} of {owned.owner.name}, who is disabled")
        self._uses.note(owned.token.id)
        return _of_token(owned)

    def _by_passcode(self, pair: _Pair, presented: Presented) -> Principal:
        self._throttle.take(PASSCODE_USER, presented.address)
        if not hmac.compare_digest(pair.password.encode(), self._passcodes[presented.door].encode()):
            raise BadCredentials("a wrong passcode")
        self._throttle.succeeded(PASSCODE_USER, presented.address)
        return Principal("passcode", PASSCODE_USER, door=presented.door)

    async def _by_password(self, pair: _Pair, presented: Presented) -> Principal:
        name = key_of(pair.name)
        proof = self._proof(presented.door, name, pair.password)
        right = self._right.get(proof)
        if right is not None and right.until > self._clock.monotonic():
            return _of_user(right.user)
        self._throttle.take(name, presented.address)
        user = await self._directory.user(name)
        hashed = None if user is None else user.password
        if await self._passwords.fits(pair.password, hashed, self._pools) and user is not None:
            self._throttle.succeeded(name, presented.address)
            if user.disabled:
                raise BadCredentials(f"{user.name}, who is disabled")
            if await self._directory.user(name) != user:  # changed while the password was looked at
                raise BadCredentials(f"{user.name}, who has just been changed")
            self._right.put(proof, _Right(self._clock.monotonic() + self._limits.password_seconds, user))
            return _of_user(user)
        if await self._files.fits(presented.door, pair.name, pair.password, self._pools):
            self._throttle.succeeded(name, presented.address)
            return Principal("htpasswd", f"{presented.door}:{pair.name}", door=presented.door)
        raise BadCredentials("a wrong password, or no such user")

    def _proof(self, door: str, name: str, password: str) -> bytes:
        """What a right password is remembered by: worthless without this process's key."""
        parts = f"{door}\0{name}\0{password}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, parts, hashlib.sha256).digest()


def _decoded(value: str) -> _Pair:
    if _SEPARATORS & set(value):
        raise BadCredentials("two credentials in one header")
    try:
        text = base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise BadCredentials("what follows Basic is no Base64 of UTF-8") from error
    name, colon, password = text.partition(":")
    if not colon or "\0" in text:
        raise BadCredentials("what follows Basic is no name and password")
    return _Pair(name, password)


def _of_user(user: User) -> Principal:
    return Principal("user", user.name, user.id, is_admin=user.is_admin, groups=user.groups)


def _of_token(owned: OwnedToken) -> Principal:
    owner, token = owned.owner, owned.token
    return Principal(
        "token",
        owner.name,
        owner.id,
        is_admin=owner.is_admin,
        groups=owner.groups,
        scopes=token.scopes,
        token_id=token.id,
    )
