"""What upstreams do to those who trust them. Each is an answerer: it is handed the good reply and does worse."""

from __future__ import annotations

import asyncio
import random
import zlib
from itertools import repeat

from tests.doubles.loopback import Answerer, Exchange, HangUp, Reply

MIB = 1 << 20


def drip(bytes_per_s: float) -> Answerer:
    """The right headers at once, the right body at this rate, never silent for more than a second or a byte."""

    async def answer(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.body(exchange.reply.body, bytes_per_s, max(1, int(bytes_per_s / 20)))

    return answer


def slow_headers(bytes_per_s: float) -> Answerer:
    """The headers themselves at this rate."""

    async def answer(exchange: Exchange) -> None:
        piece = max(1, int(bytes_per_s / 20))
        head = exchange.head_bytes()
        for start in range(0, len(head), piece):
            exchange.writer.write(head[start : start + piece])
            await exchange.writer.drain()
            await asyncio.sleep(piece / bytes_per_s)
        await exchange.body(exchange.reply.body)

    return answer


def hang(share: float | None = None) -> Answerer:
    """No answer, ever; with `share`, the headers and that share of the body, and then silence."""

    async def answer(exchange: Exchange) -> None:
        if share is not None:
            await exchange.head()
            await exchange.body(_share(exchange, share))
        await exchange.gone()
        raise HangUp

    return answer


def refuse() -> Answerer:
    """Cut the connection instead of answering. For a port that nobody listens on, `Upstream.stop()`."""

    async def answer(exchange: Exchange) -> None:
        exchange.abort()
        raise HangUp

    return answer


def close_at(share: float, *, read_first: bool = False) -> Answerer:
    """The right length, a share of the body, and the end of the connection.

    With `read_first` a moment later: a client may throw away what it has not read when the connection ends.
    """

    async def answer(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.body(_share(exchange, share))
        await asyncio.sleep(0.05 if read_first else 0)
        raise HangUp

    return answer


def lie_about_length(difference: int) -> Answerer:
    """A Content-Length that is larger (or, negative, smaller) than the body."""

    async def answer(exchange: Exchange) -> None:
        exchange.reply.headers["Content-Length"] = str(max(0, len(exchange.reply.body) + difference))
        await exchange.send()
        raise HangUp

    return answer


def without_length(*, ends_at: float | None = None) -> Answerer:
    """The right body, in chunks, its length unknown; `ends_at` that share of it the connection breaks off."""

    async def answer(exchange: Exchange) -> None:
        exchange.reply.headers["Transfer-Encoding"] = "chunked"
        exchange.reply.headers.pop("Content-Length", None)
        await exchange.head()
        if exchange.request.method == "HEAD":
            return
        body = exchange.reply.body if ends_at is None else _share(exchange, ends_at)
        for start in range(0, len(body), 64 << 10):
            await exchange.chunk(body[start : start + (64 << 10)])
        if ends_at is not None:
            await asyncio.sleep(0.05)  # a client may throw away what it has not read when the connection ends
            raise HangUp
        await exchange.chunk(b"")

    return answer


def wrong_bytes() -> Answerer:
    """The right length, one wrong bit in the middle."""

    async def answer(exchange: Exchange) -> None:
        body = bytearray(exchange.reply.body)
        if body:
            body[len(body) // 2] ^= 1
        exchange.reply.body = bytes(body)
        await exchange.send()

    return answer


def status(code: int, body: bytes = b"", **headers: str) -> Answerer:
    """Another status; `Retry_After="1"` becomes a header."""

    async def answer(exchange: Exchange) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        exchange.reply = Reply(code, {"Content-Type": "text/plain", **named}, body)
        await exchange.send()

    return answer


def redirect_to(url: str, code: int = 302) -> Answerer:
    """A redirect to wherever."""
    return status(code, b"elsewhere", Location=url)


def say(body: bytes, content_type: str = "text/html", code: int = 200) -> Answerer:
    """Something else, such as the page at which a hotel wants to be paid."""
    return status(code, body, Content_Type=content_type)


def endless_json(content_type: str = "application/vnd.pypi.simple.v1+json") -> Answerer:
    """A page that goes on for as long as somebody reads: 10 GB at least."""
    start = b'{"meta":{"api-version":"1.4"},"name":"endless","files":['
    entry = b'{"filename":"endless-1.0.tar.gz","url":"endless-1.0.tar.gz","hashes":{}},'
    return _endless(content_type, start, entry * (MIB // len(entry)), {})


def gzip_bomb(content_type: str = "application/vnd.pypi.simple.v1+json") -> Answerer:
    """About 1 kB on the wire for each MiB of zeros, without end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    start = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)  # after a full flush all are alike
    return _endless(content_type, start, block * 64, {"Content-Encoding": "gzip"})


def zstd_bomb(content_type: str = "application/vnd.pypi.simple.v1+json") -> Answerer:
    """4 bytes on the wire for each 128 kB of zeros (RFC 8878 3.1.1.2: RLE blocks), without end."""
    start = bytes.fromhex("28b52ffd") + b"\x00" + bytes([13 << 3])  # a window of 8 MB
    block = ((128 << 10) << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    return _endless(content_type, start, block * 16_000, {"Content-Encoding": "zstd"})


def garbage() -> Answerer:
    """No HTTP at all."""

    async def answer(exchange: Exchange) -> None:
        exchange.writer.write(random.Random(8).randbytes(4_096))
        await exchange.writer.drain()
        raise HangUp

    return answer


def huge_header(size: int = MIB) -> Answerer:
    """The right answer with one header of this size."""

    async def answer(exchange: Exchange) -> None:
        exchange.reply.headers["X-Huge"] = "x" * size
        await exchange.send()

    return answer


def many_headers(count: int = 10_000) -> Answerer:
    """The right answer with so many headers more."""

    async def answer(exchange: Exchange) -> None:
        exchange.reply.headers.update({f"X-Header-{number}": "x" for number in range(count)})
        await exchange.send()

    return answer


def no_range() -> Answerer:
    """The whole file, whatever range was asked."""
    return _with_request_header_removed("range")


def no_conditions() -> Answerer:
    """The whole page, whatever ETag was sent."""
    return _with_request_header_removed("if-none-match")


def wrong_range(shift: int = 1) -> Answerer:
    """A 206 that begins elsewhere than asked, and says so."""

    async def answer(exchange: Exchange) -> None:
        asked = exchange.request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
        whole = exchange.whole.body if exchange.whole is not None else exchange.reply.body
        begin = int(asked or "0") + shift
        headers = {**exchange.reply.headers, "Content-Range": f"bytes {begin}-{len(whole) - 1}/{len(whole)}"}
        exchange.reply = Reply(206, headers, whole[begin:])
        await exchange.send()

    return answer


def after(seconds: float, then: Answerer | None = None) -> Answerer:
    """Nothing for a while, then the right answer or another misbehaviour."""

    async def answer(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await (then(exchange) if then is not None else exchange.send())

    return answer


def _with_request_header_removed(name: str) -> Answerer:
    async def answer(exchange: Exchange) -> None:
        if name in exchange.request.headers and exchange.whole is not None:
            exchange.reply = exchange.whole
        await exchange.send()

    return answer


def _endless(content_type: str, start: bytes, block: bytes, headers: dict[str, str]) -> Answerer:
    async def answer(exchange: Exchange) -> None:
        exchange.reply = Reply(200, {"Content-Type": content_type, "Transfer-Encoding": "chunked", **headers})
        await exchange.head()
        await exchange.chunk(start)
        for piece in repeat(block):
            await exchange.chunk(piece)

    return answer


def _share(exchange: Exchange, share: float) -> bytes:
    return exchange.reply.body[: int(len(exchange.reply.body) * share)]
