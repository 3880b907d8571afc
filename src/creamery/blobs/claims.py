"""Claims: of all processes that want the same bytes at once one brings them, and the others read its part file.

A claim is a lock file beside the part files. The system frees it with its process, in that very moment and however it
ends, and it costs neither a commit nor a clock; `docs/decisions/0005-a-claim-is-a-lock-file.md` says why it is no row.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from creamery.blobs.incoming import Part, remove_leftover
from creamery.blobs.local import explain
from creamery.limits import MIB
from creamery.threads import Pool


@dataclass(frozen=True, slots=True)
class Lent:
    """What another process has of the bytes so far.

    Attributes:
        size: how long all of them are, where that is known.
        data: the next ones, at most 1 MiB; empty where there are none yet.
        beat: changes as long as that process lives and works.
    """

    size: int | None
    data: bytes
    beat: int


class Claim:
    """The right to bring certain bytes, for one who wants them. Coroutines belong to the event loop.

    Call `take` until it is ours, and `lent` in between; then `beat` again and again; `release` it in any case.
    """

    def __init__(self, folder: Path, key: str, disk: Pool) -> None:
        self._key = key
        self._folder = folder
        self._path = folder / f"claim-{hashlib.sha256(key.encode()).hexdigest()}"
        self._disk = disk
        self._step = threading.Lock()  # a cancelled step goes on in its thread; nobody may close its files meanwhile
        self._is_released = False
        self._lock = -1
        self._part = ""
        self._source = -1
        self._size: int | None = None
        self.is_ours = False

    async def take(self) -> bool:
        """Is it ours (now)? It is, as soon as nobody else has it.

        Raises:
            NoSpace, NotDurable: no lock file can be made.
        """
        return self.is_ours or await self._disk.run(self._take)

    async def announce(self, part: Part) -> None:
        """Tell the others which part file the bytes come into. Nothing happens where the claim is not ours."""
        if not self.is_ours:
            return
        line = json.dumps({"part": part.path.name, "size": part.size}).encode()
        await self._disk.run(os.pwrite, self._lock, line, 0)

    async def beat(self) -> None:
        """Ours: let the others see that we are at it; they may take `next_one` from who falls silent."""
        await self._disk.run(self._beat)

    async def lent(self, offset: int) -> Lent:
        """What the process that has it, or had it last, wrote from `offset` on."""
        return await self._disk.run(self._lent, offset)

    def next_one(self) -> Claim:
        """The claim that counts in place of this one, once who has it is seen to do nothing."""
        return Claim(self._folder, f"{self._key}\n", self._disk)

    def release(self) -> None:
        """Let the next one have it; nothing else may be asked of it afterwards. May be called on the event loop."""
        with self._step:
            self._is_released = True
            if self.is_ours:
                remove_leftover(self._path)
            for descriptor in (self._source, self._lock):
                if descriptor >= 0:
                    os.close(descriptor)

    def _take(self) -> bool:
        with self._step:
            try:
                self.is_ours = not self._is_released and self._try_to_lock()
            except OSError as error:
                raise explain(error, "while a file was claimed") from error
            return self.is_ours

    def _try_to_lock(self) -> bool:
        while True:
            if self._lock < 0:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                self._lock = os.open(self._path, flags, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if self._is_current():
                os.ftruncate(self._lock, 0)  # what somebody left there who was killed
                return True
            os.close(self._lock)
            self._lock = -1

    def _is_current(self) -> bool:
        """Is our file the one that lies at its name?"""
        try:
            return os.path.samestat(os.fstat(self._lock), self._path.lstat())
        except FileNotFoundError:
            return False

    def _beat(self) -> None:
        with self._step:
            if self.is_ours and not self._is_released:
                os.utime(self._lock)

    def _lent(self, offset: int) -> Lent:
        with self._step:
            if self._is_released:
                return Lent(None, b"", 0)
            data = os.pread(self._source, MIB, offset) if self._source >= 0 else b""
            if not data and self._open_part():
                data = os.pread(self._source, MIB, offset)
            return Lent(self._size, data, os.fstat(self._lock).st_mtime_ns)

    def _open_part(self) -> bool:
        """Is there a part file that we have not seen yet? A claim changes hands, and the bytes go on in another one."""
        try:
            said = json.loads(os.pread(self._lock, 1024, 0))
            part = Path(said["part"]).name
            if part == self._part:
                return False
            source = os.open(self._folder / part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (ValueError, FileNotFoundError):  # not announced yet, without its first byte yet, or kept already
            return False
        if self._source >= 0:
            os.close(self._source)
        self._part, self._source, self._size = part, source, said["size"]
        return True
