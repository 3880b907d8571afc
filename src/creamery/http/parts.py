"""Answers that are put together while they go out: a bundle's headers, and the parts of files between them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from starlette.types import Scope, Send

from creamery.http.exchange import TransferBroken, exchange_of
from creamery.http.ranges import ByteRange
from creamery.http.send import Chunk, OpenFile, RangedResponse, RawHeaders, nothing
from creamery.http.zerocopy import is_offered
from creamery.limits import MIB
from creamery.threads import Pool, Pools

if TYPE_CHECKING:
    from creamery.blobs import Extent

PARTS_BYTES = MIB
PARTS_AT_ONCE = 64


class PartsResponse(RangedResponse):
    """Something that is put together while it goes out, of bytes and of parts of files; its size is known.

    Args:
        size: of the whole.
        parts: brings the bytes from one offset to before another, in order; it may wait for a disk, and is called in a
            thread. What it raises before the first byte is an error's answer, and breaks the answer off afterwards.
            Empty bytes say that the next part takes a while, and those before it should go out.
        etag: strong and quoted, see `quoted`.
        media_type: of the whole.
        headers: further headers as they go out, names in lower case.
        lease: held while the bytes go out.
        pool: the threads that `parts` is called in; None: the disk's. What waits for more than a disk has its own.
    """

    def __init__(
        self,
        size: int,
        parts: Callable[[int, int], Iterator[bytes | Extent]],
        *,
        etag: str | None,
        media_type: str,
        headers: RawHeaders = (),
        lease: Callable[[], AbstractContextManager[None]] = nullcontext,
        pool: Pool | None = None,
    ) -> None:
        super().__init__(etag, media_type, headers)
        self.size = size
        self.parts = parts
        self.lease = lease
        self.pool = pool

    def ranges(self, scope: Scope, size: int) -> tuple[ByteRange, ...] | None:
        """What a GET asks for; nothing but the whole where no ETag says that two parts are of one."""
        return None if self.etag is None else super().ranges(scope, size)

    async def answer(self, scope: Scope, send: Send) -> None:
        """Send what is asked of it."""
        if scope["method"] == "HEAD":
            await self.send_sized(scope, send, self.size, nothing)
            return
        pools, pieces = exchange_of(scope).hub.pools, is_offered(scope)
        with self.lease():
            pool = self.pool or pools.disk
            await self.send_sized(
                scope, send, self.size, lambda asked: _put_together(self.parts, asked, pools, pool, pieces=pieces)
            )


async def _put_together(
    parts: Callable[[int, int], Iterator[bytes | Extent]], asked: ByteRange, pools: Pools, pool: Pool, *, pieces: bool
) -> AsyncIterator[Chunk]:
    """The parts of a range, some brought ahead in a thread while the ones before them go out."""
    iterator = parts(asked.start, asked.stop)
    ahead = asyncio.create_task(pool.run(_some_of, iterator))
    try:
        while batch := await asyncio.shield(ahead):
            ahead = asyncio.create_task(pool.run(_some_of, iterator))
            for part in batch:
                if isinstance(part, bytes):
                    if part:
                        yield part
                    continue
                with _opened(part) as descriptor:
                    async for chunk in OpenFile(descriptor, part, pools, None, pieces=pieces).read(
                        ByteRange(0, part.length)
                    ):
                        yield chunk
    finally:
        await asyncio.wait([ahead])
        if not ahead.cancelled():
            ahead.exception()  # it was raised above, or nobody reads on
        close = getattr(iterator, "close", None)
        if close is not None:
            await pool.run(close)


def _some_of(iterator: Iterator[bytes | Extent]) -> list[bytes | Extent]:
    """The next few parts: enough that a change of threads costs little, and little enough to wait in memory."""
    some: list[bytes | Extent] = []
    held = 0
    for part in iterator:
        some.append(part)
        held += len(part) if isinstance(part, bytes) else 0
        if part == b"" or held >= PARTS_BYTES or len(some) >= PARTS_AT_ONCE:
            break
    return some


@contextmanager
def _opened(extent: Extent) -> Iterator[int]:
    try:
        descriptor = os.open(extent.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise TransferBroken(f"{extent.path} cannot be opened: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
