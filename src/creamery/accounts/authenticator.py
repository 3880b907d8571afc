"""From what a request brought to who it is: the only place where a credential is looked at.

Basic (RFC 7617) with a password, or with a token as the password, whatever the user name; Bearer (RFC 6750); the cookie
of a session. What is wrong is `BadCredentials`, whichever way it is wrong; only the log says more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import Connection

from creamery.accounts import tables
from creamery.accounts.htpasswd import FileVersion, PasswordFiles
from creamery.accounts.memory import Remembered
from creamery.accounts.names import PASSCODE_USER, TOKEN_USER, key_of
from creamery.accounts.passwords import Passwords
from creamery.accounts.principals import Presented, Principal
from creamery.accounts.secret import Secret
from creamery.accounts.sessions import session_digest
from creamery.accounts.tables import Session, Token, User
from creamery.accounts.throttle import Throttle
from creamery.accounts.tokens import looks_like_token, token_digest
from creamery.accounts.uses import Uses
from creamery.clock import SECOND, Clock, Micros
from creamery.database import Database
from creamery.limits import Limits
from creamery.sharing import Sharing
from creamery.threads import Pools

T = TypeVar("T")

WRONG = "a wrong password, no such user, or one who is disabled"

_SEPARATORS = frozenset(", \t")
_DEVICE_BYTES = 12


class BadCredentials(Exception):
    """Nobody is known by this (401); the text is for the log and holds no secret."""


@dataclass(frozen=True, slots=True)
class _Pair:
    name: str
    password: str


@dataclass(frozen=True, slots=True)
class _KnownToken:
    """A token that opened something, and whom it made known."""

    token_id: int
    expires: Micros | None
    principal: Principal

    def has_expired(self, now: Micros) -> bool:
        return self.expires is not None and self.expires <= now


@dataclass(slots=True)
class _KnownSession:
    """A session that opened something; `used` is as this process knows it, others may know of a later use."""

    session_id: int
    expires: Micros
    used: Micros
    principal: Principal


@dataclass(frozen=True, slots=True)
class _Right:
    """A password that was right a moment ago, and until when (`Clock.monotonic`) it is taken for right.

    `file` is the state of the password file that it was right by; None: it is that of one of the hub's own users.
    """

    until: float
    principal: Principal
    file: FileVersion | None


class Authenticator:
    """Makes principals of credentials. Used on the event loop only."""

    def __init__(  # noqa: PLR0913 - `Accounts` puts it together, in one place
        self,
        database: Database,
        passwords: Passwords,
        files: PasswordFiles,
        uses: Uses,
        passcodes: Mapping[str, str],
        secret: Secret,
        *,
        pools: Pools,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._files = files
        self._uses = uses
        self._passcodes = passcodes
        self._secret = secret
        self._pools = pools
        self._limits = limits
        self._clock = clock
        self._throttle = Throttle(limits, clock)
        self._tokens: Remembered[bytes, _KnownToken] = Remembered(limits.known_accounts)
        self._sessions: Remembered[str, _KnownSession] = Remembered(limits.known_accounts)
        self._right: Remembered[bytes, _Right] = Remembered(limits.known_accounts)
        self._looks: Sharing[Principal] = Sharing()
        self._key = secrets.token_bytes(32)

    def forget(self) -> None:
        """Somebody has changed a right."""
        self._tokens.forget()
        self._sessions.forget()
        self._right.forget()

    async def authenticate(self, presented: Presented) -> Principal:
        """Who it is.

        Raises:
            BadCredentials: what was brought makes nobody known.
            Throttled: too many wrong passwords came before.
            TooManyLogins: too many passwords wait to be looked at.
            DatabaseUnavailable: the database does not answer.
        """
        if not presented.authorization:
            return await self._by_session(presented.session)
        header = hashlib.sha256(presented.authorization.encode("latin-1")).digest()
        known = self._tokens.get(header)
        if known is None or known.has_expired(self._clock.now()):
            epoch, found = self._tokens.epoch, await self._look(presented)
            if isinstance(found, Principal):
                return found
            self._tokens.put(header, found, epoch)
            known = found
        self._uses.note_token(known.token_id)
        return known.principal

    async def sign_in(self, name: str, password: str, presented: Presented) -> User:
        """The hub's own user who has this password; for beginning a session.

        Raises:
            BadCredentials: there is none.
            Throttled, TooManyLogins, DatabaseUnavailable: as `authenticate`.
        """
        if looks_like_token(password):
            raise BadCredentials("a token where a password should be")
        self._throttle.take(key_of(name), presented.address, self._device(name, presented))
        user = await self._user_by_password(_Pair(name, password))
        if user is None:
            raise BadCredentials(WRONG)
        self._throttle.succeeded(key_of(name), presented.address, self._device(name, presented))
        return user

    def came_back(self, address: str) -> None:
        """Somebody at this address brings a code of the provider's: a try, which `let_in` gives back.

        Raises:
            Throttled: too many did before who were not let in.
        """
        self._throttle.come_back(address)

    def let_in(self, address: str) -> None:
        """The code was right, and whoever brought it is a user."""
        self._throttle.let_in(address)

    def register(self, address: str) -> None:
        """Somebody at this address wants to become a user.

        Raises:
            Throttled: too many did before.
        """
        self._throttle.register(address)

    def new_device(self, user: User) -> str:
        """What the cookie of a browser holds that has signed in: it is not slowed down when others guess."""
        return self._secret.sign("device", f"{key_of(user.name)}:{secrets.token_urlsafe(_DEVICE_BYTES)}")

    def session_text(self, cookie: str) -> str | None:
        """What a session's cookie holds; None where this hub did not sign it, or long ago."""
        return self._secret.signed("session", cookie, seconds=self._limits.session_seconds)

    async def _by_session(self, cookie: str) -> Principal:
        text = self.session_text(cookie)
        if text is None:
            raise BadCredentials("a cookie that is none of this hub's, or too old")
        known = self._sessions.get(text)
        if known is None or self._has_ended(known):
            epoch = self._sessions.epoch
            owned = await self._ask(lambda connection: tables.session_and_owner(connection, session_digest(text)))
            if owned is None:
                raise BadCredentials("a session that is not, or no more")
            session, owner = owned
            known = _KnownSession(session.id, session.expires, session.used, _of_session(session, owner))
            if owner.disabled or self._has_ended(known):
                raise BadCredentials(f"session {session.id} of {owner.name}, which has ended")
            self._sessions.put(text, known, epoch)
        known.used = self._clock.now()
        self._uses.note_session(known.session_id)
        return known.principal

    def _has_ended(self, known: _KnownSession) -> bool:
        now = self._clock.now()
        return now >= known.expires or now >= known.used + self._limits.session_idle_seconds * SECOND

    async def _look(self, presented: Presented) -> Principal | _KnownToken:
        scheme, _, value = presented.authorization.partition(" ")
        if scheme.lower() == "bearer":
            return await self._by_token(value.strip(), name=None)
        if scheme.lower() == "basic":
            return await self._by_pair(_decoded(value.strip()), presented)
        raise BadCredentials("a scheme that is not spoken here")  # it may be a token: without one, or cut off

    async def _by_pair(self, pair: _Pair, presented: Presented) -> Principal | _KnownToken:
        if looks_like_token(pair.password):
            return await self._by_token(pair.password, None if pair.name == TOKEN_USER else pair.name)
        if looks_like_token(pair.name) and not pair.password:  # as in https://TOKEN@host/
            return await self._by_token(pair.name, name=None)
        if pair.name == PASSCODE_USER and presented.door in self._passcodes:
            return self._by_passcode(pair, presented)
        return await self._by_password(pair, presented)

    async def _by_token(self, text: str, name: str | None) -> _KnownToken:
        digest = token_digest(text)
        if digest is None:
            raise BadCredentials("no whole token")
        owned = await self._ask(lambda connection: tables.token_and_owner(connection, digest))
        if owned is None:
            raise BadCredentials("a token that is not, or no more")
        token, owner = owned
        if name is not None and key_of(name) != key_of(owner.name):
            raise BadCredentials("another user's token")
        known = _KnownToken(token.id, token.expires, _of_token(token, owner))
        if known.has_expired(self._clock.now()):
            raise BadCredentials(f"token {token.id} of {owner.name} has expired")
        if owner.disabled:
            raise BadCredentials(f"token {token.id} of {owner.name}, who is disabled")
        return known

    def _by_passcode(self, pair: _Pair, presented: Presented) -> Principal:
        self._throttle.take(PASSCODE_USER, presented.address)
        if not hmac.compare_digest(pair.password.encode(), self._passcodes[presented.door].encode()):
            raise BadCredentials("a wrong passcode")
        self._throttle.succeeded(PASSCODE_USER, presented.address)
        return Principal("passcode", PASSCODE_USER, door=presented.door)

    async def _by_password(self, pair: _Pair, presented: Presented) -> Principal:
        """A user is read each time: memory would be quicker for those who exist, which would tell who does.

        Requests that bring the same at the same time, as pip's and uv's do, share one look: one try for the throttle,
        one hash. None joins a look that began before somebody changed a right, or the password file.
        """
        proof, file = self._proof(presented.door, pair), self._files.version(presented.door)
        right = self._right.get(proof)
        if right is not None and right.until > self._clock.monotonic() and right.file in {None, file}:
            return right.principal
        epoch = self._right.epoch

        def begin() -> Coroutine[Any, Any, Principal]:
            """Who is slowed down begins none, and keeps nobody else from it."""
            self._throttle.take(key_of(pair.name), presented.address, self._device(pair.name, presented))
            return self._look_at_password(pair, presented, proof, epoch)

        return await self._looks.once((proof, epoch, file), begin)

    async def _look_at_password(self, pair: _Pair, presented: Presented, proof: bytes, epoch: int) -> Principal:
        file = None
        user = await self._user_by_password(pair)
        if user is not None:
            principal = _of_user(user)
        else:
            file = await self._files.fitting(presented.door, pair.name, pair.password, self._pools)
            if file is None:
                raise BadCredentials(WRONG)
            principal = Principal("htpasswd", f"{presented.door}:{pair.name}", door=presented.door)
        self._throttle.succeeded(key_of(pair.name), presented.address, self._device(pair.name, presented))
        until = self._clock.monotonic() + self._limits.password_seconds
        self._right.put(proof, _Right(until, principal, file), epoch)
        return principal

    async def _user_by_password(self, pair: _Pair) -> User | None:
        """The user as they are after the hash; None also for one who was kept out or got another password meanwhile.

        A disabled user's password is a wrong one in all that can be seen: also in what it costs, and in the throttle.
        """
        name = key_of(pair.name)
        before = await self._ask(lambda connection: tables.find_user(connection, name))
        hashed = None if before is None else before.password
        fits = await self._passwords.fits(pair.password, hashed, self._pools)
        user = await self._ask(lambda connection: tables.find_user(connection, name))
        return user if fits and user is not None and not user.disabled and user.password == hashed else None

    def _device(self, name: str, presented: Presented) -> str:
        """The device's number, where its cookie is of the account of this name."""
        text = self._secret.signed("device", presented.device, seconds=self._limits.device_seconds)
        account, _, number = (text or "").rpartition(":")
        return number if account == key_of(name) else ""

    async def _ask(self, question: Callable[[Connection], T]) -> T:
        return await self._pools.database.run(self._database.read, question)

    def _proof(self, door: str, pair: _Pair) -> bytes:
        """What a right password is remembered by: worthless without this process's key.

        The name counts as it was sent: in a password file `Bea` is not `bea`.
        """
        parts = f"{door}\0{pair.name}\0{pair.password}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, parts, hashlib.sha256).digest()


def _decoded(value: str) -> _Pair:
    """RFC 7617 section 2.1: uv and curl send UTF-8, as the challenge asks for; pip sends Latin-1 all the same."""
    if _SEPARATORS & set(value):
        raise BadCredentials("two credentials in one header")
    try:
        sent = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadCredentials("what follows Basic is no Base64") from error
    try:
        text = sent.decode("utf-8")
    except UnicodeDecodeError:
        text = sent.decode("latin-1")
    name, colon, password = text.partition(":")
    if not colon or "\0" in text:
        raise BadCredentials("what follows Basic is no name and password")
    return _Pair(name, password)


def _of_user(user: User) -> Principal:
    return Principal("user", user.name, user.id, is_admin=user.is_admin, groups=user.groups, changed=user.changed)


def _of_session(session: Session, owner: User) -> Principal:
    return replace(_of_user(owner), session_id=session.id)


def _of_token(token: Token, owner: User) -> Principal:
    return replace(_of_user(owner), kind="token", scopes=token.scopes, token_id=token.id)
