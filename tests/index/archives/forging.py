"""Zips and tars as attackers make them: each number of each header can lie.

Without a lie they are good wheels and sdists.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

WHEEL = "cream-1.0-py3-none-any.whl"
SDIST = "cream-1.0.tar.gz"
INFO = "cream-1.0.dist-info"
ROOT = "cream-1.0"

METADATA = b"Metadata-Version: 2.2\nName: Cream\nVersion: 1.0\nRequires-Python: >=3.9\n\nFresh.\n"
WHEEL_FILE = b"Wheel-Version: 1.0\nGenerator: forge\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
STREAMED = 1 << 3
UTF8 = 1 << 11
FULL = 0xFFFFFFFF


def hashed(data: bytes, algorithm: str = "sha256") -> str:
    """As RECORD writes it."""
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=").decode()
    return f"{algorithm}={digest}"


def wheel_files(more: Mapping[str, bytes] | None = None, **changed: bytes | None) -> dict[str, bytes]:
    """The files of a good wheel by path, with a true RECORD. `METADATA=`, `WHEEL=` change one, or leave it out."""
    files = {
        "cream/__init__.py": b"__version__ = '1.0'\n",
        "cream/data.txt": b"milk " * 1_000,
        **(more or {}),
        f"{INFO}/METADATA": METADATA,
        f"{INFO}/WHEEL": WHEEL_FILE,
    }
    for name, content in changed.items():
        files.pop(f"{INFO}/{name}", None)
        if content is not None:
            files[f"{INFO}/{name}"] = content
    rows = "".join(f"{path},{hashed(data)},{len(data)}\n" for path, data in files.items() if not path.endswith("/"))
    return files | {f"{INFO}/RECORD": f"{rows}{INFO}/RECORD,,\n".encode()}


def with_record(files: Mapping[str, bytes], old: bytes, new: bytes) -> dict[str, bytes]:
    """The same with another text in RECORD."""
    record = files[f"{INFO}/RECORD"]
    assert old in record
    return {**files, f"{INFO}/RECORD": record.replace(old, new)}


@dataclass(frozen=True)
class Entry:
    """A member of a zip. `local` and `central` hold what either header says instead of the truth."""

    name: bytes
    data: bytes
    method: int = 8
    flags: int = 0
    attributes: int = 0o100644 << 16
    packed: bytes | None = None
    before: bytes = b""
    descriptor: bytes = b""
    at: int | None = None
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    central: Mapping[str, int | bytes] = field(default_factory=dict)

    def stream(self) -> bytes:
        """The content as the zip has it."""
        if self.packed is not None:
            return self.packed
        return deflated(self.data) if self.method == 8 else self.data

    def header(self, lies: Mapping[str, int | bytes]) -> dict[str, int | bytes]:
        """What a header says."""
        truth: dict[str, int | bytes] = {"name": self.name, "flags": self.flags, "method": self.method, "needed": 20}
        truth |= {"crc": zlib.crc32(self.data), "compressed": len(self.stream()), "size": len(self.data)}
        return {**truth, "extra": b"", "comment": b"", "disk": 0, "made": 3 << 8 | 20, **lies}


def deflated(data: bytes) -> bytes:
    """Without a header, as zips have it."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def entries(files: Mapping[str, bytes]) -> list[Entry]:
    """Members that tell the truth."""
    return [
        Entry(
            name.encode(),
            data,
            flags=0 if name.isascii() else UTF8,
            attributes=0o40755 << 16 | 0x10 if name.endswith("/") else 0o100644 << 16,
        )
        for name, data in files.items()
    ]


def changed(files: Mapping[str, bytes], name: str, **lies: Any) -> list[Entry]:
    """Members of which one lies."""
    return [replace(entry, **lies) if entry.name == name.encode() else entry for entry in entries(files)]


def zipped(
    members: Sequence[Entry],
    *,
    before: bytes = b"",
    after_members: bytes = b"",
    after_directory: bytes = b"",
    behind: bytes = b"",
    end: Mapping[str, int | bytes] | None = None,
    zip64: Mapping[str, int] | None = None,
) -> bytes:
    """The zip. `end` holds what its end record says instead of the truth; `zip64` adds those, with lies."""
    body, offsets = bytearray(before), []
    for entry in members:
        body += entry.before
        offsets.append(len(body))
        body += _local(entry.header(entry.local)) + entry.stream() + entry.descriptor
    body += after_members
    start = len(body)
    for entry, offset in zip(members, offsets, strict=True):
        body += _central(entry.header(entry.central), offset if entry.at is None else entry.at, entry.attributes)
    length = len(body) - start
    body += after_directory
    said: dict[str, int | bytes] = {"count": len(members), "here": len(members), "length": length, "start": start}
    said |= {"comment": b"", "disk": 0}
    if zip64 is not None:
        truth = {"count": len(members), "length": length, "start": start, "at": len(body), "size": 44, "disks": 1}
        told = {**truth, **zip64}
        record = (
            b"PK\x06\x06",
            told["size"],
            45,
            45,
            0,
            0,
            told["count"],
            told["count"],
            told["length"],
            told["start"],
        )
        body += struct.pack("<4sQHHIIQQQQ", *record)
        body += struct.pack("<4sIQI", b"PK\x06\x07", 0, told["at"], told["disks"])
        said |= {"count": 0xFFFF, "here": 0xFFFF, "length": FULL, "start": FULL}
    said |= end or {}
    comment = said["comment"]
    assert isinstance(comment, bytes)
    numbers = (said["disk"], 0, said["here"], said["count"], said["length"], said["start"], len(comment))
    return bytes(body) + struct.pack("<4sHHHHIIH", b"PK\x05\x06", *numbers) + comment + behind


def _local(says: Mapping[str, int | bytes]) -> bytes:
    name, extra = says["name"], says["extra"]
    assert isinstance(name, bytes)
    assert isinstance(extra, bytes)
    numbers = (says["needed"], says["flags"], says["method"], 0, 0x21, says["crc"], says["compressed"], says["size"])
    return struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", *numbers, len(name), len(extra)) + name + extra


def _central(says: Mapping[str, int | bytes], offset: int, attributes: int) -> bytes:
    name, extra, comment = says["name"], says["extra"], says["comment"]
    assert isinstance(name, bytes)
    assert isinstance(extra, bytes)
    assert isinstance(comment, bytes)
    first = (says["made"], says["needed"], says["flags"], says["method"], 0, 0x21)
    sizes = (says["crc"], says["compressed"], says["size"], len(name), len(extra), len(comment))
    last = (says["disk"], 0, attributes, says.get("offset", offset))
    return struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", *first, *sizes, *last) + name + extra + comment


def block(
    name: bytes,
    data: bytes = b"",
    kind: bytes = b"0",
    *,
    target: bytes = b"",
    magic: bytes = b"ustar\x0000",
    size: bytes | None = None,
    prefix: bytes = b"",
    mode: bytes = b"0000644\0",
    checksum: int | None = None,
) -> bytes:
    """A member of a tar: its header and its content, padded."""
    number = b"%011o\0" % len(data) if size is None else size
    head = name.ljust(100, b"\0") + mode + b"0000000\0" * 2 + number.ljust(12, b"\0") + b"00000000000\0"
    tail = kind + target.ljust(100, b"\0") + magic + bytes(80) + prefix.ljust(155, b"\0") + bytes(12)
    total = sum(head) + sum(tail) + 8 * 0x20 if checksum is None else checksum
    return head + b"%06o\0 " % total + tail + data + bytes(-len(data) % 512)


def pax(records: Mapping[str, str], kind: bytes = b"x") -> bytes:
    """A header that says something about the next member, or with `g` about all."""
    return block(b"pax", b"".join(_record(key.encode(), value.encode()) for key, value in records.items()), kind)


def _record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def sdist_blocks() -> list[bytes]:
    """The members of a good sdist."""
    return [
        block(ROOT.encode() + b"/", kind=b"5"),
        block(f"{ROOT}/PKG-INFO".encode(), METADATA),
        block(f"{ROOT}/cream.py".encode(), b"__version__ = '1.0'\n"),
    ]


def tarred(blocks: Sequence[bytes], *, end: bytes = bytes(1024), behind: bytes = b"") -> bytes:
    """The tar in its gzip."""
    return gzip.compress(b"".join(blocks) + end, mtime=0) + behind
