"""Content codings: what was packed comes out, whatever the pieces; nothing grows beyond its limit."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from creamery.egress.decoding import STEP, Broken, Decoder, Overflow

MIB = 1 << 20


def deflate(data: bytes) -> bytes:
    return zlib.compress(data, 1)


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def fast_gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", fast_gzip),
    ("X-GZip", fast_gzip),
    ("deflate", deflate),
    ("deflate", bare_deflate),
    ("zstd", zstd),
    ("identity", bytes),
    ("", bytes),
]


def unpack(coding: str, packed: bytes, limit: int = 64 * MIB, piece: int = 64 << 10) -> bytes:
    decoder = Decoder(coding, limit)
    for start in range(0, len(packed), piece):
        decoder.feed(packed[start : start + piece])
    return decoder.finish()


@pytest.mark.parametrize(("coding", "pack"), PACKERS)
@settings(max_examples=30)
@given(data=st.binary(max_size=2_000), times=st.integers(1, 30), piece=st.integers(1, 500))
def test_what_was_packed_comes_out(
    coding: str, pack: Callable[[bytes], bytes], data: bytes, times: int, piece: int
) -> None:
    assert unpack(coding, pack(data * times), piece=piece) == data * times


@pytest.mark.parametrize(("coding", "pack"), PACKERS)
@settings(max_examples=20)
@given(data=st.binary(min_size=1, max_size=2_000))
def test_the_limit_holds_to_the_byte(coding: str, pack: Callable[[bytes], bytes], data: bytes) -> None:
    assert unpack(coding, pack(data), limit=len(data)) == data
    with pytest.raises(Overflow):
        unpack(coding, pack(data), limit=len(data) - 1)


@pytest.mark.parametrize(("coding", "pack"), PACKERS[:5])
@settings(max_examples=30)
@given(data=st.binary(max_size=2_000), cut=st.floats(0, 1, exclude_max=True))
def test_half_a_body_is_none(coding: str, pack: Callable[[bytes], bytes], data: bytes, cut: float) -> None:
    packed = pack(data)
    kept = packed[: int(len(packed) * cut)]

    if kept:
        with pytest.raises(Broken):
            unpack(coding, kept)
    else:
        assert unpack(coding, kept) == b""


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "identity"])
@settings(max_examples=50)
@given(data=st.binary(max_size=5_000), piece=st.integers(1, 500))
def test_any_bytes_are_a_body_or_broken(coding: str, data: bytes, piece: int) -> None:
    with contextlib.suppress(Broken, Overflow):
        unpack(coding, data, limit=10_000, piece=piece)


@pytest.mark.parametrize(("coding", "pack"), [PACKERS[0], PACKERS[4]])
@settings(max_examples=30)
@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=5), piece=st.integers(1, 100))
def test_members_follow_each_other(coding: str, pack: Callable[[bytes], bytes], parts: list[bytes], piece: int) -> None:
    assert unpack(coding, b"".join(map(pack, parts)), piece=piece) == b"".join(parts)


def test_gzip_may_be_padded_with_zeros() -> None:
    assert unpack("gzip", fast_gzip(b"a") + bytes(100) + fast_gzip(b"b") + bytes(100)) == b"ab"


@pytest.mark.parametrize(("coding", "pack"), PACKERS[:5])
def test_what_follows_the_end_is_refused(coding: str, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Broken):
        unpack(coding, pack(b"abc") + b"garbage")


@pytest.mark.parametrize("coding", ["br", "compress", "gzip, gzip", "gzip,", "\0", "x" * 1_000])
def test_a_coding_that_nobody_asked_for_is_refused(coding: str) -> None:
    with pytest.raises(Broken, match="unknown"):
        Decoder(coding, 1)


@pytest.mark.parametrize(("coding", "pack"), PACKERS[:5])
def test_a_bomb_needs_no_more_memory_than_its_limit_and_a_step(coding: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(64 * MIB))
    limit = 4 * MIB

    tracemalloc.start()
    try:
        with pytest.raises(Overflow):
            unpack(coding, bomb, limit=limit, piece=len(bomb))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2 * limit + 8 * STEP + 2 * len(bomb)


def test_members_that_hold_nothing_end_too() -> None:
    with pytest.raises(Overflow):
        unpack("gzip", fast_gzip(b"") * 20_000, limit=MIB // 8)


def test_a_window_beyond_8_mb_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(b"abc" * 1_000) + packer.flush()

    with pytest.raises(Broken):
        unpack("zstd", packed)
