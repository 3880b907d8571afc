"""Bytes of a file on their way from the page cache to a socket, past the process (sendfile(2)).

Read into a buffer and written out of it, 10 MB cost four times the processor's time that they cost here. Bytes in
memory that many are sent go the same way, out of a file in memory: a page of 400 kB costs a quarter less.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Scope

from creamery.http.exchange import TransferBroken
from creamery.limits import KIB, MIB
from creamery.telemetry import log

MESSAGE = "http.response.zerocopysend"
"""The ASGI extension of that name: an offer in a scope, and a message's type."""

OFFER: dict[str, Any] = {MESSAGE: {}}

CACHED_TOGETHER = 128 * KIB
"""The kernel reads ahead and forgets so much and more at a time: where both ends are here, so is the middle."""

NOWAIT = getattr(os, "RWF_NOWAIT", None)  # Linux
WOULD_WAIT = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})  # cold; tmpfs and old kernels


SHARED_FROM = 128 * KIB
"""Fewer bytes than that are as quick out of the process, together with their head."""


class SharedBytes(bytes):
    """Bytes that many are sent, such as a page's. From `SHARED_FROM` on the kernel has them in a file as well.

    The file is made when they are sent first, has no name, and goes with them.
    """

    _file: int | None = None

    def file(self) -> int | None:
        """The descriptor; None where they are few, or the system has none left."""
        if self._file is None:
            self._file = self._made() if len(self) >= SHARED_FROM else _NONE
        return None if self._file == _NONE else self._file

    def __del__(self) -> None:
        if self._file is not None and self._file != _NONE:
            os.close(self._file)

    def _made(self) -> int:
        try:
            descriptor = os.memfd_create("shared", os.MFD_CLOEXEC)
        except (OSError, AttributeError):  # too many open files; no Linux
            return _NONE
        try:
            rest = memoryview(self)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            os.close(descriptor)
            return _NONE
        return descriptor


_NONE = -1
_TOGETHER = int(getattr(socket, "MSG_MORE", 0) | getattr(socket, "MSG_DONTWAIT", 0))


def write_at_once(out: socket.socket, head: bytes, body: SharedBytes) -> int:
    """Hand head and body to the kernel, as much as it takes without waiting; returns how many bytes that were.

    Whatever goes wrong is left to who sends the rest, and will meet it.

    Args:
        out: into which nobody else writes meanwhile.
        head: goes out in one segment with the body's beginning.
        body: follows it.
    """
    file = body.file()
    if file is None:
        return 0
    sent, whole = 0, len(head) + len(body)
    try:
        sent = out.send(head, _TOGETHER)
        while len(head) <= sent < whole:
            sent += os.sendfile(out.fileno(), file, sent - len(head), whole - sent)
    except OSError as error:
        if not isinstance(error, BlockingIOError):
            log.debug("http.not_at_once", reason=error.strerror)
    return sent


@dataclass(frozen=True, slots=True)
class FilePiece:
    """Bytes of an open file that the page cache has."""

    descriptor: int
    offset: int
    length: int

    def message(self) -> Message:
        """What sends it."""
        return {"type": MESSAGE, "file": self.descriptor, "offset": self.offset, "count": self.length}


def is_offered(scope: Scope) -> bool:
    """Does the server of this request send files itself?"""
    return MESSAGE in scope.get("extensions", ())


def is_cached(descriptor: int, offset: int, length: int) -> bool:
    """Would reading these bytes not wait for a disk? A file that ends before them is not cached either."""
    if NOWAIT is None:
        return False
    byte = bytearray(1)
    try:
        for at in (*range(offset, offset + length, CACHED_TOGETHER), offset + length - 1):
            if os.preadv(descriptor, [byte], at, NOWAIT) != 1:
                return False
    except OSError as error:
        if error.errno in WOULD_WAIT:
            return False
        raise TransferBroken(f"reading at {offset} failed: {error.strerror}") from error
    return True


UNSENT_BYTES = 2 * MIB
"""What waits in the kernel for all clients together: more only grows cold there, out of the processor's caches.

Measured with eight readers of 10 MB over loopback: 1.7 times the files a second that queues without a bound give.
"""

UNSENT_AT_LEAST = 64 * KIB
"""For each of them: at 1 GBit/s it lasts half a millisecond, in which the loop comes round again."""


class _Unsent:
    """Shares `UNSENT_BYTES` among the files on their way out of this process."""

    def __init__(self) -> None:
        self._files = 0

    @contextlib.contextmanager
    def bounded(self, out: socket.socket) -> Iterator[None]:
        """Let the kernel call this socket full when its share waits; afterwards when its buffer is full, as before."""
        if _UNSENT_OPTION is None or out.family == socket.AF_UNIX:
            yield
            return
        self._files += 1
        try:
            share = max(UNSENT_AT_LEAST, UNSENT_BYTES // self._files)
            out.setsockopt(socket.IPPROTO_TCP, _UNSENT_OPTION, share)
            yield
            out.setsockopt(socket.IPPROTO_TCP, _UNSENT_OPTION, 0)
        finally:
            self._files -= 1


_UNSENT_OPTION = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux, macOS
_unsent = _Unsent()


async def send_piece(to: int, piece: FilePiece, sent_more: Callable[[int], None]) -> None:
    """Send it over a socket that does not block and into which nobody else writes meanwhile.

    `sent_more` hears of each number of bytes that the kernel has taken.

    Raises:
        TransferBroken: the file ends before it.
        OSError: the client has gone.
    """
    offset, rest = piece.offset, piece.length
    # A copy: the transport may close its own, whose number is then another's; nor may the loop watch that.
    with socket.socket(fileno=os.dup(to)) as out, _unsent.bounded(out):
        while rest:
            try:
                sent = os.sendfile(out.fileno(), piece.descriptor, offset, rest)
            except BlockingIOError:
                await _room(out)
                continue
            if not sent:
                raise TransferBroken(f"a file ends {rest} bytes before its row says")
            offset += sent
            rest -= sent
            sent_more(sent)
    await asyncio.sleep(0)  # a client as fast as we are would have the loop for itself


async def _room(out: socket.socket) -> None:
    """Wait until the client has read some."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[None] = loop.create_future()
    loop.add_writer(out, _settle, came)
    try:
        await came
    finally:
        loop.remove_writer(out)


def _settle(came: asyncio.Future[None]) -> None:
    if not came.done():
        came.set_result(None)
