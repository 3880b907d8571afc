"""METADATA inside a wheel, wherever that lies: in the store, or at an upstream that answers ranges.

A zip is hostile: nothing is extracted, one member is read, bounded, and only where exactly one can be meant.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from http import HTTPStatus
from typing import BinaryIO, cast

from creamery.contract import parse_filename
from creamery.egress import BadAnswer, Egress, Origin
from creamery.index.archives import is_metadata_of
from creamery.limits import KIB, Limits
from creamery.threads import Pool

WINDOW_BYTES = 64 * KIB
MAX_MEMBERS = 200_000

# What zipfile raises over broken zips; `InvalidName` is a ValueError, and so is a seek to before the beginning.
_BROKEN = (ValueError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError)


class NoMetadata(Exception):
    """The METADATA of a file cannot be had; the text says why."""


class _Missing(Exception):
    """Bytes that are not here yet."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__(start, stop)
        self.start = start
        self.stop = stop


def metadata_in_wheel(stream: BinaryIO, filename: str, max_bytes: int) -> bytes:
    """The METADATA of a wheel (PEP 427: `{name}-{version}.dist-info/METADATA`).

    Raises:
        NoMetadata: no zip, none or several METADATA, one of another project, one that is too large, or a broken one.
    """
    try:
        wanted = parse_filename(filename)
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise NoMetadata(f"it has more than {MAX_MEMBERS} members")
            found = [member for member in members if is_metadata_of(member.filename, wanted.project)]
            if len(found) != 1:
                raise NoMetadata(f"it has {len(found)} METADATA of {wanted.project}, where one is right")
            if found[0].file_size > max_bytes:
                raise NoMetadata(f"its METADATA has {found[0].file_size} bytes; {max_bytes} are read at most")
            if found[0].compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise NoMetadata("its METADATA is compressed in a way that no wheel is")
            with archive.open(found[0]) as member:
                body = member.read(max_bytes + 1)  # ends with a check of the CRC
    except _BROKEN as error:
        raise NoMetadata(f"it is no wheel that can be read: {error}") from error
    if len(body) > max_bytes:
        raise NoMetadata(f"its METADATA has more than {max_bytes} bytes")
    return body


class _Window(io.RawIOBase):
    """A file somewhere else, read in pieces of at least 64 KiB; the one read last is kept."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes], tail: bytes = b"") -> None:
        super().__init__()
        self._size = size
        self._fetch = fetch
        self._position = 0
        self._start, self._bytes = size - len(tail), tail

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        stop = self._size if size is None or size < 0 else min(self._position + size, self._size)
        if stop <= self._position:
            return b""
        if not (self._start <= self._position and stop <= self._start + len(self._bytes)):
            self._start = self._position
            self._bytes = self._fetch(self._position, max(stop, min(self._position + WINDOW_BYTES, self._size)))
        data = self._bytes[self._position - self._start : stop - self._start]
        self._position += len(data)
        return data


def stored_wheel(size: int, fetch: Callable[[int, int], bytes]) -> BinaryIO:
    """A wheel in the store; `fetch` gives its bytes from and to. For threads."""
    return cast("BinaryIO", _Window(size, fetch))


class RemoteWheel:
    """A wheel at an upstream that answers ranges: its tail comes first, and nearly always holds all that is needed.

    It is read by trying, with what is here; what turns out to be missing is fetched in between. So no thread waits for
    an upstream.
    """

    def __init__(self, egress: Egress, url: str, origin: Origin | None, limits: Limits) -> None:
        self._egress = egress
        self._url = url
        self._origin = origin
        self._limits = limits
        self._budget = limits.metadata_bytes + 2 * WINDOW_BYTES
        self._pieces: dict[tuple[int, int], bytes] = {}

    async def metadata(self, filename: str, cpu: Pool) -> bytes:
        """Its METADATA.

        Raises:
            NoMetadata: as `metadata_in_wheel`.
            EgressError: the upstream cannot be asked, or does not answer ranges.
        """
        tail, size = await self._ask(f"bytes=-{WINDOW_BYTES}")
        while True:
            wheel = cast("BinaryIO", _Window(size, self._known, tail))
            try:
                return await cpu.run(metadata_in_wheel, wheel, filename, self._limits.metadata_bytes)
            except _Missing as missing:
                body, _ = await self._ask(f"bytes={missing.start}-{missing.stop - 1}")
                if len(body) != missing.stop - missing.start:
                    raise BadAnswer(self._url, "it answered another range than it was asked for") from None
                self._pieces[missing.start, missing.stop] = body

    def _known(self, start: int, stop: int) -> bytes:
        piece = self._pieces.get((start, stop))
        if piece is None:
            raise _Missing(start, stop)
        return piece

    async def _ask(self, asked: str) -> tuple[bytes, int]:
        headers = {"Range": asked, "Accept-Encoding": "identity"}
        async with self._egress.request("GET", self._url, origin=self._origin, headers=headers) as answer:
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if answer.status != HTTPStatus.PARTIAL_CONTENT or not total.isascii() or not total.isdigit():
                raise BadAnswer(self._url, f"it answered {answer.status} where a range was asked for")
            body = await answer.body(self._budget, self._limits.upstream_page_seconds)
            self._budget -= len(body)
            return body, int(total)
