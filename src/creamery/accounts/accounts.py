"""Accounts as the hub has them: put together, kept true to the database, and asked two questions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from creamery.accounts.authenticator import Authenticator
from creamery.accounts.changes import CHANGED
from creamery.accounts.htpasswd import PasswordFiles
from creamery.accounts.identities import Claimed, sign_in_claimed
from creamery.accounts.names import PASSCODE_USER
from creamery.accounts.passwords import Passwords
from creamery.accounts.principals import Presented, Principal, Thing
from creamery.accounts.rights import Rights, Rule
from creamery.accounts.secret import Secret
from creamery.accounts.sessions import SignedIn, open_session
from creamery.accounts.tables import User
from creamery.accounts.uses import Uses
from creamery.clock import Clock
from creamery.database import (
    Committer,
    Database,
    DatabaseUnavailable,
    DiskFull,
    Generations,
    Settling,
    WritesBusy,
)
from creamery.journal import By
from creamery.limits import Limits
from creamery.telemetry import log
from creamery.threads import Pools


class Accounts:
    """Everything about who asks. Coroutines belong to the event loop.

    Args:
        password_files: an htpasswd file by the door that it is for.
        passcodes: a passcode by the door that it is for.
    """

    def __init__(  # noqa: PLR0913 - the hub puts it together, in one place
        self,
        database: Database,
        committer: Committer,
        generations: Generations,
        settling: Settling,
        pools: Pools,
        limits: Limits,
        clock: Clock,
        *,
        password_files: Mapping[str, Path],
        passcodes: Mapping[str, str],
        secret: Secret,
    ) -> None:
        self.secret = secret
        self.passwords = Passwords(limits)
        self._password_files = PasswordFiles(password_files, self.passwords)
        self._passcodes = frozenset(passcodes)
        self._committer = committer
        self._settling = settling
        self._pools = pools
        self._limits = limits
        self._clock = clock
        self._rights = Rights()
        self._uses = Uses(committer, clock)
        self._authenticator = Authenticator(
            database,
            self.passwords,
            self._password_files,
            self._uses,
            passcodes,
            secret,
            pools=pools,
            limits=limits,
            clock=clock,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flushing: asyncio.Task[None] | None = None
        generations.on_change("rights", self._forget_from_thread)
        committer.on_commit(lambda announced: self._forget_from_thread() if CHANGED in announced else None)

    async def start(self) -> None:
        """Begin, on the event loop that serves.

        Raises:
            SecretUnreadable: the secret is there and cannot be used.
        """
        await asyncio.to_thread(self.secret.open)
        self._loop = asyncio.get_running_loop()
        self._flushing = self._loop.create_task(self._flush_again_and_again())

    async def stop(self) -> None:
        """Write down which tokens and sessions were used."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
        await self._flush()

    def declare(self, rules: Mapping[str, Rule]) -> None:
        """A door's rules: who may do what, by action."""
        self._rights.declare(rules)

    def is_declared(self, action: str) -> bool:
        """Has a door said who may do it?"""
        return self._rights.knows(action)

    def is_open(self, action: str) -> bool:
        """May anyone do it, so that nobody need be known for it?"""
        return self._rights.rule(action).who == "anyone"

    def lets_in(self, door: str, kind: str, name: str) -> bool:
        """Can somebody come to a door by this name who is no user of the hub? For a thread: it looks at a file.

        Args:
            door: theirs alone.
            kind: `htpasswd` or `passcode`, as `Principal.kind` has it.
            name: an entry of the door's password file; the name that goes with a passcode.
        """
        if kind == "passcode":
            return name == PASSCODE_USER and door in self._passcodes
        return kind == "htpasswd" and self._password_files.has(door, name)

    async def authenticate(self, presented: Presented) -> Principal:
        """Who it is, as of this moment: what any process has revoked before does not count.

        Raises:
            BadCredentials: what was brought makes nobody known.
            Throttled: too many wrong passwords came before.
            TooManyLogins: too many passwords wait to be looked at.
            DatabaseUnavailable: the database does not answer.
        """
        await self._settling.settle()
        return await self._authenticator.authenticate(presented)

    async def sign_in(self, name: str, password: str, presented: Presented) -> User:
        """The hub's own user who has this password.

        Args:
            name: as it was typed.
            password: as it was typed.
            presented: where it came from, and from which device.

        Raises:
            BadCredentials, Throttled, TooManyLogins, DatabaseUnavailable: as `authenticate`.
        """
        await self._settling.settle()
        return await self._authenticator.sign_in(name, password, presented)

    def came_back(self, address: str) -> None:
        """Somebody at this address brings a code of the provider's: a try, which `sign_in_claimed` gives back.

        Raises:
            Throttled: too many did before who were not let in.
        """
        self._authenticator.came_back(address)

    def register(self, address: str) -> None:
        """Somebody at this address wants to become a user.

        Raises:
            Throttled: too many did before.
        """
        self._authenticator.register(address)

    async def open_session(self, user: User, by: By, *, means: str, agent: str, former: str) -> SignedIn:
        """Begin a session of somebody who has just made themselves known.

        Args:
            user: as they were then.
            by: who, when and from where.
            means: what they made themselves known with.
            agent: the browser's name for itself.
            former: the cookie of a session that came along, which ends.

        Raises:
            UserChanged: they are not that any more.
            WritesBusy, DiskFull, DatabaseUnavailable: as the committer.
        """
        known = self._authenticator.session_text(former) if former else None
        return await self._committer.commit(
            lambda connection: open_session(connection, user, by, self._limits, means=means, agent=agent, former=known)
        )

    async def sign_in_claimed(self, claimed: Claimed, by: By, *, registers: bool, agent: str, former: str) -> SignedIn:
        """Let in whom a provider has made known, and begin a session; `came_back` was asked before.

        Args:
            claimed: what it says of them.
            by: when, and from which address.
            registers: whether somebody new becomes a user.
            agent: the browser's name for itself.
            former: the cookie of a session that came along, which ends.

        Raises:
            NotKnownHere, UserDisabled, IdentityTaken: they do not get in.
            WritesBusy, DiskFull, DatabaseUnavailable: as the committer.
        """
        known = self._authenticator.session_text(former) if former else None
        limits = self._limits
        opened = await self._committer.commit(
            lambda c: sign_in_claimed(c, claimed, by, limits, registers=registers, agent=agent, former=known)
        )
        self._authenticator.let_in(by.origin)
        return opened

    def session_cookie(self, signed_in: SignedIn) -> str:
        """What the browser keeps of a session."""
        return self.secret.sign("session", signed_in.text)

    def device_cookie(self, user: User) -> str:
        """What the browser keeps to be known by as one where this user has signed in."""
        return self._authenticator.new_device(user)

    def form_token(self, session_id: int) -> str:
        """What a page of the hub's sends along with a session's cookie, and no other site can know."""
        return self.secret.sign("form", str(session_id))

    def is_form_token(self, principal: Principal, text: str) -> bool:
        """Is it that of this very session?"""
        signed = self.secret.signed("form", text, seconds=self._limits.session_seconds)
        return signed is not None and signed == str(principal.session_id)

    def may(self, principal: Principal, action: str, thing: Thing) -> bool:
        """May they do this to that? Costs no statement."""
        return self._rights.may(principal, action, thing)

    def _forget_from_thread(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._authenticator.forget)

    async def _flush_again_and_again(self) -> None:
        while True:
            await self._clock.pause(self._limits.uses_seconds)
            await self._flush()

    async def _flush(self) -> None:
        try:
            await self._pools.database.run(self._uses.flush)
        except (WritesBusy, DiskFull, DatabaseUnavailable) as error:
            log.warning("accounts.uses_wait", error=str(error))  # the next round takes them along
