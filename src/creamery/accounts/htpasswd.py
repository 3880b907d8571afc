"""Password files as Apache and nginx have them: of crypt, MD5, apr1, bcrypt, SHA-1, SHA-256 and SHA-512.

A file belongs to one door. It is read again when it has changed. Whoever is in it is a principal of its own: never the
hub's user of that name, never an administrator. A file may have hashes of several kinds, of which one costs a hundred
times another: each password is held against one hash of every kind, so that time tells nobody who stands in the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from creamery.accounts.passwords import Passwords
from creamery.telemetry import log
from creamery.threads import Pools

if TYPE_CHECKING:
    from passlib.context import CryptContext

_SCHEMES = ("bcrypt", "sha512_crypt", "sha256_crypt", "apr_md5_crypt", "md5_crypt", "ldap_sha1", "des_crypt")
"""`htpasswd -B`, `-5`, `-2`, `-m`, then `openssl passwd -1`, which Curdling's server took too, then `-s`, `-d`.

Not `-p`: a file with passwords as they are is none to trust."""


@dataclass(frozen=True, slots=True)
class FileVersion:
    """One state of a password file: whoever was right by it need not be by the next.

    `ctime` tells what the others do not: a file of the same size that was copied over this one with its time.
    """

    mtime: int
    ctime: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True)
class _Kind:
    """What looking at a password costs: a scheme, and how often it goes round."""

    scheme: str
    rounds: int | None


@dataclass(frozen=True, slots=True)
class _Read:
    """What a file says: a hash by its name, and of each kind that there is one that stands for it."""

    version: FileVersion
    hashes: Mapping[str, str]
    kinds: Mapping[_Kind, str]


class PasswordFiles:
    """The files, by the door that each belongs to."""

    def __init__(self, files: Mapping[str, Path], passwords: Passwords) -> None:
        self._files = dict(files)
        self._passwords = passwords
        self._read: dict[str, _Read] = {}

    def version(self, door: str) -> FileVersion | None:
        """How the door's file is now; None where it has none, or it cannot be looked at. One stat."""
        path = self._files.get(door)
        if path is None:
            return None
        try:
            return _version(path.stat())
        except OSError:
            return None

    def has(self, door: str, name: str) -> bool:
        """Does this name stand in the door's file, as it is now?"""
        read = self._now(door) if door in self._files else None
        return read is not None and name in read.hashes

    async def fitting(self, door: str, name: str, password: str, pools: Pools) -> FileVersion | None:
        """The state of the door's file in which this name stands with this password; None: in no such state now.

        It takes as long whoever is asked for.

        Raises:
            TooManyLogins: too many wait already.
        """
        if door not in self._files:
            return None
        return await self._passwords.in_turn(pools, self._fitting, door, name, password)

    def _fitting(self, door: str, name: str, password: str) -> FileVersion | None:
        read = self._now(door)
        if read is None:
            return None
        hashed = read.hashes.get(name)
        kind = None if hashed is None else _kind(hashed)
        if hashed is not None and kind is None:
            log.warning("accounts.unknown_hash", file=str(self._files[door]), name=name)
        fits = False
        for each, anybodys in read.kinds.items():  # all of them, or time would tell of what kind one's own hash is
            fits |= _fits(password, hashed if each == kind and hashed is not None else anybodys) and each == kind
        return read.version if fits else None

    def _now(self, door: str) -> _Read | None:
        """What the file says now. Where it cannot be read nobody gets in by it."""
        path = self._files[door]
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                version = _version(os.fstat(file.fileno()))
                read = self._read.get(door)
                if read is None or read.version != version:
                    hashes = _parsed(file.read())
                    read = self._read[door] = _Read(version, hashes, _kinds(hashes.values()))
        except OSError as error:
            log.error("accounts.password_file_unreadable", file=str(path), reason=error.strerror)
            self._read.pop(door, None)
            return None
        return read


def _version(found: os.stat_result) -> FileVersion:
    return FileVersion(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def _parsed(text: str) -> Mapping[str, str]:
    pairs = (line.strip().partition(":") for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {name: hashed for name, _, hashed in pairs if name and hashed}


def _kinds(hashes: Iterable[str]) -> Mapping[_Kind, str]:
    found: dict[_Kind, str] = {}
    for hashed in hashes:
        kind = _kind(hashed)
        if kind is not None:
            found.setdefault(kind, hashed)
    return found


def _kind(hashed: str) -> _Kind | None:
    """None: a hash that no password can fit, of a kind that we do not take or not whole."""
    try:
        scheme = _context().identify(hashed)
        parsed = _context().handler(scheme).from_string(hashed) if scheme else None
    except (ValueError, TypeError):
        return None
    if scheme is None or parsed is None or not parsed.checksum:
        return None
    return _Kind(scheme, getattr(parsed, "rounds", None))


def _fits(password: str, hashed: str) -> bool:
    try:
        return bool(_context().verify(password, hashed))
    except (ValueError, TypeError):  # longer than its kind can tell
        return False


@cache
def _context() -> CryptContext:
    from passlib.context import CryptContext  # noqa: PLC0415 - a megabyte that only a hub with such a file needs

    return CryptContext(schemes=_SCHEMES)
