"""Whatever becomes of a good archive on its way: it is refused, or every reader still sees what was in it."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creamery.index.archives import BadArchive
from creamery.index.archives.gunzip import Gunzip
from creamery.index.archives.tape import Tape
from creamery.index.archives.tar import padded, read_tar
from creamery.limits import Limits
from tests.index.archives.conftest import LONGEST_REASON, checked
from tests.index.archives.forging import (
    METADATA,
    ROOT,
    SDIST,
    STREAMED,
    WHEEL,
    block,
    changed,
    deflated,
    entries,
    pax,
    wheel_files,
    zipped,
)

FILES = wheel_files({"cream/\u00e9.py": b"milk"})
DATA = FILES["cream/data.txt"]
DESCRIPTOR = struct.pack("<4sIII", b"PK\x07\x08", zlib.crc32(DATA), len(deflated(DATA)), len(DATA))
WHEELS = [
    zipped(entries(FILES)),
    zipped(entries(FILES), zip64={}),
    zipped(changed(FILES, "cream/data.txt", flags=STREAMED, descriptor=DESCRIPTOR)),
]

HERE = ROOT.encode()
TAR = b"".join(
    [
        block(HERE + b"/", kind=b"5"),
        block(HERE + b"/PKG-INFO", METADATA),
        pax({"path": f"{ROOT}/" + "x/" * 50 + "y", "mtime": "1.5"}),
        block(b"x", b"milk" * 100),
        block(b"././@LongLink", HERE + b"/" + b"z" * 150 + b"\0", b"L"),
        block(b"z", b"cream"),
        block(HERE + b"/link", kind=b"2", target=b"PKG-INFO"),
        block(HERE + b"/hard", kind=b"1", target=HERE + b"/PKG-INFO"),
        bytes(1024),
    ]
)
HEADERS = [at for at in range(0, len(TAR) - 1024, 512) if TAR[at + 257 : at + 262] == b"ustar"]

TELLING = [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x07\x08", b"\xff" * 4, b"\0" * 4, b"/../"]
PIECES = st.one_of(st.binary(max_size=4), st.sampled_from(TELLING))


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """The same with bytes replaced, put in, left out or cut off; more often near the end, where a zip's truth is."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        end = len(content)
        at = draw(st.one_of(st.integers(0, end), st.integers(max(end - 700, 0), end)))
        content[at : at + draw(st.sampled_from([0, 1, 2, 4, 4, 8, end]))] = draw(PIECES)
    return bytes(content)


@settings(max_examples=400, deadline=None)
@given(content=st.sampled_from(WHEELS).flatmap(damaged))
def test_a_damaged_wheel_is_refused_or_still_the_same(content: bytes) -> None:
    try:
        checked(content, WHEEL)
    except BadArchive:
        return

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert len(archive.infolist()) == len(FILES)
        assert {member.filename: archive.read(member) for member in archive.infolist()} == FILES


@st.composite
def forged(draw: st.DrawFn) -> bytes:
    """The tar with some bytes of one header changed, and a checksum that fits."""
    tar = bytearray(TAR)
    header = draw(st.sampled_from(HEADERS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.one_of(st.integers(0, 1023), st.sampled_from([0, 124, 134, 156, 157, 257, 345])))
        tar[header + at] = draw(st.one_of(st.sampled_from(b"\0 /.0157=\xff"), st.integers(0, 255)))
    whole = tar[header : header + 512]
    tar[header + 148 : header + 156] = b"%06o\0 " % (sum(whole) - sum(whole[148:156]) + 8 * 0x20)
    return bytes(tar)


@settings(max_examples=400, deadline=None)
@given(content=st.one_of(forged(), damaged(TAR)).map(lambda tar: gzip.compress(tar, 1, mtime=0)))
def test_a_damaged_sdist_is_refused_or_read_as_python_reads_it(content: bytes) -> None:
    try:
        checked(content, SDIST)
    except BadArchive:
        return

    assert seen_by_us(content) == seen_by_python(content)


@settings(max_examples=200, deadline=None)
@given(content=damaged(gzip.compress(TAR, 1, mtime=0)))
def test_a_damaged_gzip_is_refused_or_still_the_same(content: bytes) -> None:
    try:
        checked(content, SDIST)
    except BadArchive:
        return

    assert gzip.decompress(content) == TAR


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=2_000), filename=st.sampled_from([WHEEL, SDIST, "cream-1.0.zip"]))
def test_any_bytes_are_refused_and_nothing_else(content: bytes, filename: str) -> None:
    with pytest.raises(BadArchive) as refusal:
        checked(content, filename)

    assert refusal.value.reason.isascii()
    assert refusal.value.reason.isprintable()
    assert len(refusal.value.reason) < LONGEST_REASON


def seen_by_us(content: bytes) -> dict[str, tuple[bytes, bytes, str]]:
    stream = Gunzip(Tape(io.BytesIO(content), 0, len(content)), Limits())
    kinds = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "hard link": tarfile.LNKTYPE}
    found = {}
    for member in read_tar(stream, Limits()):
        data = stream.take(padded(member.size))[: member.size]
        found[member.path.decode()] = (kinds.get(member.kind, tarfile.SYMTYPE), data, member.target.decode())
    return found


def seen_by_python(content: bytes) -> dict[str, tuple[bytes, bytes, str]]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            kind = tarfile.REGTYPE if member.isreg() else member.type
            found[member.name] = (kind, file.read() if file else b"", member.linkname)
    return found
