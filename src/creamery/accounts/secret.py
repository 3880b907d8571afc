"""The hub's secret: what cookies, links and webhooks are signed with, and how it is replaced.

It lies in `secret` in the data directory, a line for each key: the key, and when it was made. The first line signs;
those below it are believed for `limits.secret_seconds` after the one above them was made, so that replacing the
secret ends no session. `secret_key` (SECRET_KEY) takes the file's place, for hubs on several machines.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadSignature, TimestampSigner

from creamery.clock import SECOND, Clock, Micros
from creamery.limits import Limits
from creamery.telemetry import log

KEY_BYTES = 32

_LINE = re.compile(r"([0-9a-f]{64}) ([0-9]{1,19})", re.ASCII)
_OTHERS = 0o077
_MOST_SIGNERS = 64


class SecretUnreadable(Exception):
    """The file is there and cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Key:
    text: str
    made: Micros


class SecretFile:
    """Where the keys lie."""

    def __init__(self, data: Path) -> None:
        self.path = data / "secret"

    def read(self) -> list[_Key]:
        """The keys, newest first.

        Raises:
            FileNotFoundError: there is no such file yet.
            SecretUnreadable: it is not as it was written.
        """
        try:
            lines = self.path.read_text("ascii").splitlines()
        except FileNotFoundError:
            raise
        except (OSError, UnicodeDecodeError) as error:
            raise self.unreadable(getattr(error, "strerror", None) or "it is no text") from error
        matches = [_LINE.fullmatch(line) for line in lines]
        keys = [_Key(match[1], Micros(int(match[2]))) for match in matches if match is not None]
        if not keys or len(keys) != len(lines):
            raise self.unreadable("each line should be a key and a time")
        return keys

    def make(self, now: Micros) -> None:
        """Write a first key, unless another process has."""
        made = self._written([_Key(_new(), now)])
        try:
            os.link(made, self.path)
        except FileExistsError:
            return  # theirs is as good
        finally:
            made.unlink()
        self._sync()

    def rotate(self, now: Micros, *, keep_from: Micros) -> int:
        """Write a new key above the old ones; hubs that run see it at once.

        Args:
            now: the time.
            keep_from: a key whose successor was made before this is dropped; `now + 1` drops all.

        Returns:
            How many old keys are still believed.

        Raises:
            SecretUnreadable: what is there is not as it was written.
        """
        try:
            keys = self.read()
        except FileNotFoundError:
            keys = []
        successors = [now, *(key.made for key in keys)]
        kept = [key for key, succeeded in zip(keys, successors, strict=False) if succeeded >= keep_from]
        self._written([_Key(_new(), now), *kept]).replace(self.path)
        self._sync()
        return len(kept)

    def _written(self, keys: Sequence[_Key]) -> Path:
        """A file beside it, durable, for its user alone."""
        path = self.path.with_name(f".secret-{secrets.token_hex(8)}")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.writelines(f"{key.text} {key.made}\n" for key in keys)
            file.flush()
            os.fsync(file.fileno())
        return path

    def _sync(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def unreadable(self, reason: str) -> SecretUnreadable:
        """What to tell whoever runs the hub."""
        return SecretUnreadable(
            f"the secret {self.path} cannot be used: {reason}. Mend it, or remove it: a new one is made, and everybody"
            " signs in again."
        )


class Secret:
    """Signs what goes out and comes back, and knows its own again.

    Each purpose has keys of its own: what was signed for one is worthless for another.

    Args:
        keys: what signs first, what is still believed after it; empty: those in the file.
    """

    def __init__(self, data: Path, limits: Limits, clock: Clock, *, keys: Sequence[str] = ()) -> None:
        self._file = SecretFile(data)
        self._limits = limits
        self._clock = clock
        self._given = tuple(keys)
        self._seen: tuple[int, int] | None = None
        self._keys: list[_Key] = []
        self._signers: dict[tuple[str, tuple[str, ...]], _Signer] = {}

    def open(self) -> None:
        """Read the keys, and make a first one where there is none; others of this machine can read it no more.

        Raises:
            SecretUnreadable: the file is there and cannot be used.
        """
        if self._given:
            return
        try:
            if not self._file.path.exists():
                self._file.make(self._clock.now())
            mode = self._file.path.stat().st_mode
        except OSError as error:
            raise self._file.unreadable(error.strerror or str(error)) from error
        if mode & _OTHERS:
            self._file.path.chmod(0o600)
            log.warning("secret.closed", path=str(self._file.path), meaning="others on this machine could read it")
        self._keys = self._file.read()

    def sign(self, purpose: str, text: str) -> str:
        """`text`, when it was signed, and the signature; safe in a cookie and in an address where `text` is."""
        return self._signer(purpose).sign(text).decode("ascii")

    def signed(self, purpose: str, signed: str, *, seconds: float) -> str | None:
        """The text that was signed for this purpose, at most so many seconds ago; None for everything else.

        What another process signed whose clock is ahead, or this one before its clock was set back, is taken as new.
        """
        signer = self._signer(purpose)
        try:
            text, when = signer.unsign(signed, return_timestamp=True)
        except (BadSignature, UnicodeError):
            return None
        if self._clock.now() - int(when.timestamp()) * SECOND > seconds * SECOND:
            return None
        return text.decode("ascii", "replace")

    def _signer(self, purpose: str) -> _Signer:
        texts = self._given or self._believed()
        known = (purpose, texts)
        signer = self._signers.get(known)
        if signer is None:
            if len(self._signers) >= _MOST_SIGNERS:
                self._signers.clear()
            signer = self._signers[known] = _Signer(list(reversed(texts)), purpose, self._clock)
        return signer

    def _believed(self) -> tuple[str, ...]:
        """The newest key, and those that were replaced not long ago; read again when the file has changed."""
        try:
            status = self._file.path.stat()
            seen = (status.st_ino, status.st_mtime_ns)
            if seen != self._seen:
                self._keys, self._seen = self._file.read(), seen
        except (OSError, SecretUnreadable) as error:
            log.warning("secret.unreadable", reason=str(error), meaning="the one that was read before goes on")
        oldest = self._clock.now() - int(self._limits.secret_seconds * SECOND)
        believed = [self._keys[0].text]
        believed += [key.text for key, above in zip(self._keys[1:], self._keys, strict=False) if above.made > oldest]
        return tuple(believed)


class _Signer(TimestampSigner):
    """By HMAC-SHA-256, with the hub's clock. `keys` as the library wants them: the newest last."""

    def __init__(self, keys: list[str], purpose: str, clock: Clock) -> None:
        super().__init__(keys, salt=f"creamery.{purpose}", key_derivation="hmac", digest_method=hashlib.sha256)
        self._clock = clock

    def get_timestamp(self) -> int:
        return self._clock.now() // SECOND


def _new() -> str:
    return secrets.token_hex(KEY_BYTES)
