"""Bytes of a file on their way from the page cache to a socket, past the process (sendfile(2)).

Read into a buffer and written out of it, 10 MB cost four times the processor's time that they cost here.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Scope

from creamery.http.exchange import TransferBroken
from creamery.limits import KIB

MESSAGE = "http.response.zerocopysend"
"""The ASGI extension of that name: an offer in a scope, and a message's type."""

OFFER: dict[str, Any] = {MESSAGE: {}}

CACHED_TOGETHER = 128 * KIB
"""The kernel reads ahead and forgets so much and more at a time: where both ends are here, so is the middle."""

NOWAIT = getattr(os, "RWF_NOWAIT", None)  # Linux
WOULD_WAIT = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})  # cold; tmpfs and old kernels


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


async def send_piece(socket: int, piece: FilePiece, sent_more: Callable[[int], None]) -> None:
    """Send it over a socket that does not block and into which nobody else writes meanwhile.

    `sent_more` hears of each number of bytes that the kernel has taken.

    Raises:
        TransferBroken: the file ends before it.
        OSError: the client has gone.
    """
    offset, rest = piece.offset, piece.length
    out = os.dup(socket)  # the transport may close its own, whose number is then another's; nor may the loop watch that
    try:
        while rest:
            try:
                sent = os.sendfile(out, piece.descriptor, offset, rest)
            except BlockingIOError:
                await _room(out)
                continue
            if not sent:
                raise TransferBroken(f"a file ends {rest} bytes before its row says")
            offset += sent
            rest -= sent
            sent_more(sent)
    finally:
        os.close(out)
    await asyncio.sleep(0)  # a client as fast as we are would have the loop for itself


async def _room(out: int) -> None:
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
