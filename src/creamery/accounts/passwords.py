"""Passwords: argon2id, in the CPU pool, two at a time.

OWASP's least for argon2id: 19 MiB, two passes, one lane; 20 to 40 ms. Whoever has no password costs the same as who has
a wrong one, so that time tells nobody which users there are.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher

from creamery.accounts.tokens import PREFIX, looks_like_token
from creamery.limits import Limits
from creamery.threads import Pools

P = ParamSpec("P")
T = TypeVar("T")

MEMORY_KIB = 19 * 1024
PASSES = 2


class PasswordRefused(ValueError):
    """It cannot be a password; the text says why, without it."""


class TooManyLogins(Exception):
    """So many passwords wait to be looked at that another one is not worth waiting for (503)."""


class Passwords:
    """Makes hashes and looks whether a password fits one."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._hasher = PasswordHash((Argon2Hasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1),))
        self._nobodys = self._hasher.hash("nobody's")
        self._two = asyncio.Semaphore(2)
        self._waiting = 0

    def hash(self, password: str) -> str:
        """What is kept of a new password; 20 to 40 ms.

        Raises:
            PasswordRefused: too short, too long, with control characters in it, or what would be taken for a token.
        """
        if looks_like_token(password):
            raise PasswordRefused(f"a password does not begin with {PREFIX}: it would be taken for a token")
        if len(password) < self._limits.password_characters:
            raise PasswordRefused(f"a password has at least {self._limits.password_characters} characters")
        return self._hasher.hash(self._normal(password))

    async def fits(self, password: str, hashed: str | None, pools: Pools) -> bool:
        """Is it the one that was hashed? `None` (no such user, or one without a password) takes as long and is False.

        Raises:
            TooManyLogins: too many wait already.
        """
        try:
            normal = self._normal(password)
        except PasswordRefused:
            return False
        return await self.in_turn(pools, self._fits, normal, hashed)

    async def in_turn(self, pools: Pools, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Work on a password in the CPU pool, at most two at a time, so that pages are made beside it.

        Raises:
            TooManyLogins: too many wait already.
        """
        if self._waiting >= self._limits.waiting_logins:
            raise TooManyLogins
        self._waiting += 1
        try:
            async with self._two:
                return await pools.cpu.run(work, *args, **kwargs)
        finally:
            self._waiting -= 1

    def _fits(self, normal: str, hashed: str | None) -> bool:
        try:
            fits = self._hasher.verify(normal, hashed or self._nobodys)
        except PwdlibError:  # a row that somebody has written by hand
            return False
        return fits and bool(hashed)

    def _normal(self, password: str) -> str:
        """RFC 8265 section 4.2 (OpaqueString): whichever keyboard it was typed on, it is the same password."""
        if len(password.encode("utf-8", "surrogatepass")) > self._limits.password_bytes:
            raise PasswordRefused(f"a password has at most {self._limits.password_bytes} bytes")
        spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
        normal = unicodedata.normalize("NFC", spaced)
        if not normal or any(unicodedata.category(character) in {"Cc", "Cs"} for character in normal):
            raise PasswordRefused("a password has no control characters in it, and is not empty")
        return normal
