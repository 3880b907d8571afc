"""Password files as Apache and nginx have them: of crypt, apr1, bcrypt, SHA-1, SHA-256 and SHA-512.

A file belongs to one door. It is read again when it has changed. Whoever is in it is a principal of its own: never the
hub's user of that name, never an administrator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from creamery.accounts.passwords import Passwords
from creamery.telemetry import log
from creamery.threads import Pools

if TYPE_CHECKING:
    from passlib.context import CryptContext

_SCHEMES = ("bcrypt", "sha512_crypt", "sha256_crypt", "apr_md5_crypt", "ldap_sha1", "des_crypt")
"""`htpasswd -B`, `-5`, `-2`, `-m`, `-s`, `-d`. Not `-p`: a file with passwords as they are is none to trust."""


@dataclass(frozen=True, slots=True)
class _Read:
    version: tuple[int, int, int]
    hashes: Mapping[str, str]


class PasswordFiles:
    """The files, by the door that each belongs to."""

    def __init__(self, files: Mapping[str, Path], passwords: Passwords) -> None:
        self._files = dict(files)
        self._passwords = passwords
        self._read: dict[str, _Read] = {}

    async def fits(self, door: str, name: str, password: str, pools: Pools) -> bool:
        """Does the door's file have this name with this password? False where it has no file."""
        if door not in self._files:
            return False
        return await self._passwords.in_turn(pools, self._fits, door, name, password)

    def _fits(self, door: str, name: str, password: str) -> bool:
        hashes = self._hashes(door)
        hashed = hashes.get(name)
        candidate = hashed or next(iter(hashes.values()), None)  # a name that is not there takes as long
        if candidate is None:
            return False
        try:
            fits: bool = _context().verify(password, candidate)
        except (ValueError, TypeError):  # a kind that we do not take, or a password longer than its kind can tell
            if hashed is not None:
                log.warning("accounts.unknown_hash", file=str(self._files[door]), name=name)
            return False
        return fits and hashed is not None

    def _hashes(self, door: str) -> Mapping[str, str]:
        """What the file says now. Where it cannot be read nobody gets in by it."""
        path = self._files[door]
        try:
            found = path.stat()
            version = (found.st_mtime_ns, found.st_size, found.st_ino)
            read = self._read.get(door)
            if read is None or read.version != version:
                read = self._read[door] = _Read(version, _parsed(path.read_text(encoding="utf-8", errors="replace")))
        except OSError as error:
            log.error("accounts.password_file_unreadable", file=str(path), reason=error.strerror)
            self._read.pop(door, None)
            return {}
        return read.hashes


def _parsed(text: str) -> Mapping[str, str]:
    pairs = (line.strip().partition(":") for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {name: hashed for name, _, hashed in pairs if name and hashed}


@cache
def _context() -> CryptContext:
    from passlib.context import CryptContext  # noqa: PLC0415 - a megabyte that only a hub with such a file needs

    return CryptContext(schemes=_SCHEMES)
