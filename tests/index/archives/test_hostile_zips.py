"""Zips that two readers would read in two ways, that lie, or that fill disks: each is refused with its reason."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest

from tests.index.archives.conftest import Refused, checked
from tests.index.archives.forging import (
    FULL,
    INFO,
    STREAMED,
    UTF8,
    WHEEL,
    Entry,
    changed,
    deflated,
    entries,
    wheel_files,
    with_record,
    zipped,
)

FILES = wheel_files()
DATA = "cream/data.txt"
TRUTH = FILES[DATA]
CRC = zlib.crc32(TRUTH)
PACKED = len(deflated(TRUTH))
ANOTHER = zipped(entries({"evil.py": b"1"}))


def lying(name: str = DATA, **lies: object) -> bytes:
    """The good wheel with one member that lies."""
    return zipped(changed(FILES, name, **lies))


def named(name: str | bytes, **more: object) -> bytes:
    """The good wheel with a further member of this name, which RECORD has too."""
    text = name if isinstance(name, str) else name.decode(errors="replace")
    files = wheel_files({text: b"x"})
    raw = name.encode() if isinstance(name, str) else name
    return zipped([Entry(raw, b"x", flags=UTF8) if entry.name == text.encode() else entry for entry in entries(files)])


def of_size(size: int) -> bytes:
    """The good wheel with a member of 5,000 bytes that both its headers and RECORD say is of another size."""
    files = with_record(FILES, b",5000\n", b",%d\n" % size)
    return zipped(changed(files, DATA, local={"size": size}, central={"size": size}))


def extra(kind: int, content: bytes) -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def fifield() -> bytes:
    """Fifield's kernel: one deflated stream that is the content of nine members."""
    kernel = deflated(bytes(21 << 20))
    body = Entry(b"cream/9", bytes(21 << 20), packed=kernel)
    members = [body, *(Entry(f"cream/{at}".encode(), body.data, packed=kernel, at=0) for at in range(8))]
    return zipped([*entries(FILES), *members])


def streamed(descriptor: tuple[int, int, int]) -> bytes:
    return lying(
        flags=STREAMED,
        local={"crc": 0, "compressed": 0, "size": 0},
        descriptor=struct.pack("<4sIII", b"PK\x07\x08", *descriptor),
    )


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    # Where a zip begins and ends
    "no zip at all": (lambda: b"milk" * 100, "no zip"),
    "nothing": (lambda: b"", "no zip"),
    "cut off": (lambda: zipped(entries(FILES))[:-30], "no zip"),
    "something before it": (lambda: zipped(entries(FILES), before=b"#!/bin/sh\n"), "belong to no member"),
    "something behind it": (lambda: zipped(entries(FILES), behind=b"milk"), "does not end with its end record"),
    "another zip behind it": (lambda: zipped(entries(FILES), behind=ANOTHER), "not stand directly before its end"),
    "another zip before it": (lambda: ANOTHER + zipped(entries(FILES)), "not stand directly before its end"),
    "a second end in its comment": (
        lambda: zipped(entries(FILES), end={"comment": b"PK\x05\x06" + bytes(18)}),
        "not stand directly before its end",
    ),
    "half an end in its comment": (
        lambda: zipped(entries(FILES), end={"comment": b"PK\x05\x06"}),
        "no end record",
    ),
    "a gap before the directory": (lambda: zipped(entries(FILES), after_members=b"milk"), "belong to no member"),
    "a gap between members": (lambda: lying(before=ANOTHER), "belong to no member"),
    "a gap behind the directory": (
        lambda: zipped(entries(FILES), after_directory=b"milk"),
        "not stand directly before its end",
    ),
    "fewer members than it says": (lambda: zipped(entries(FILES), end={"count": 9, "here": 9}), "fewer members"),
    "more members than it says": (lambda: zipped(entries(FILES), end={"count": 4, "here": 4}), "more members"),
    "a split archive": (lambda: zipped(entries(FILES), end={"disk": 1}), "split"),
    "a count for this part alone": (lambda: zipped(entries(FILES), end={"here": 4}), "split"),
    # Zip64
    "zip64 says another count": (lambda: zipped(entries(FILES), zip64={"count": 4}), "more members"),
    "zip64 contradicts the end": (lambda: zipped(entries(FILES), zip64={}, end={"count": 4, "here": 4}), "contradict"),
    "zip64 is elsewhere": (lambda: zipped(entries(FILES), zip64={"at": 0}), "not where the zip says"),
    "zip64 of two disks": (lambda: zipped(entries(FILES), zip64={"disks": 2}), "not where the zip says"),
    "zip64 has room for more": (lambda: zipped(entries(FILES), zip64={"size": 60}), "not every reader knows"),
    "zip64 without its field": (lambda: lying(central={"size": FULL}), "zip64 field"),
    "zip64 field without need": (lambda: lying(central={"extra": extra(1, bytes(8))}), "zip64 field"),
    "zip64 field with another size": (
        lambda: lying(local={"extra": extra(1, struct.pack("<QQ", 7, PACKED))}),
        "other sizes in its zip64 field",
    ),
    # One member, two headers
    "another name before the content": (
        lambda: lying(local={"name": b"cream/evil.txt"}),
        "readers would see different files",
    ),
    "another size before the content": (lambda: lying(local={"size": 7}), "readers would see different files"),
    "another method before the content": (lambda: lying(local={"method": 0}), "readers would see different files"),
    "another checksum before the content": (lambda: lying(local={"crc": 7}), "readers would see different files"),
    "other flags before the content": (lambda: lying(local={"flags": UTF8}), "readers would see different files"),
    "a flag that only the directory has": (lambda: lying(central={"flags": UTF8}), "readers would see different files"),
    "no header before the content": (
        lambda: zipped(entries(FILES)).replace(b"PK\x03\x04", b"PK\x03\x05"),
        "not where the zip",
    ),
    "a descriptor that lies": (lambda: streamed((CRC, PACKED, 7)), "descriptor"),
    "a stored member that is streamed": (
        lambda: lying(flags=STREAMED, method=0, local={"crc": 0, "compressed": 0, "size": 0}),
        "can only be guessed",
    ),
    # Contents
    "a wrong checksum": (lambda: lying(local={"crc": 7}, central={"crc": 7}), "another checksum"),
    "more than it says": (lambda: of_size(7), "inflates to more than the 7 bytes"),
    "less than it says": (lambda: of_size(5_001), "inflates to 5000 bytes instead of 5001"),
    "a stream that ends early": (lambda: lying(packed=deflated(TRUTH) + ANOTHER), "does not end where its bytes do"),
    "a stream that does not end": (lambda: lying(packed=deflated(TRUTH)[:-1]), "does not end where its bytes do"),
    "no stream": (lambda: lying(packed=b"\xff" * PACKED), "cannot be inflated"),
    "members that overlap": (fifield, "shares bytes"),
    "an encrypted member": (lambda: lying(flags=1), "encrypted"),
    "an unknown method": (lambda: lying(method=14, packed=b"x"), "method 14"),
    "an unknown flag": (lambda: lying(flags=1 << 5), "newer zip"),
    "a version that is not there yet": (lambda: lying(central={"needed": 63}), "newer zip"),
    "a version that is not there yet before the content": (lambda: lying(local={"needed": 63}), "newer zip"),
    "a member for VMS, which unzip passes over": (lambda: lying(central={"needed": 2 << 8 | 20}), "another system"),
    "a member for VMS before the content": (lambda: lying(local={"needed": 2 << 8 | 20}), "another system"),
    "a member for Unix alone": (lambda: lying(central={"needed": 3 << 8 | 20}), "another system"),
    "a member from an Amiga": (lambda: lying(central={"made": 1 << 8 | 20}), "made on a system"),
    "a comment": (lambda: lying(central={"comment": ANOTHER}), "has a comment"),
    "another disk": (lambda: lying(central={"disk": 1}), "another part"),
    "a stored member of two sizes": (
        lambda: lying(method=0, local={"size": 7}, central={"size": 7}),
        "stored, in 5000",
    ),
    # Names
    "an absolute name": (lambda: named("/etc/passwd"), "could lead out"),
    "a way up": (lambda: named("cream/../../evil.py"), "could lead out"),
    "a dot": (lambda: named("cream/./evil.py"), "could lead out"),
    "an empty segment": (lambda: named("cream//evil.py"), "could lead out"),
    "a drive": (lambda: named("C:/evil.py"), "could lead out"),
    "a colon": (lambda: named("cream/data.txt:evil"), "Windows reads as another one"),
    "a dot at its end": (lambda: named("cream/evil.py."), "Windows reads as another one"),
    "a folder with a blank at its end": (lambda: named("cream /evil.py"), "Windows reads as another one"),
    "a backslash": (lambda: named("cream\\evil.py"), "backslash"),
    "a NUL": (lambda: named("evil.py\0.txt"), "control character"),
    "a line feed": (lambda: named("evil\n.py"), "control character"),
    "a C1 control": (lambda: named("evil\x85.py"), "control character"),
    "no UTF-8": (lambda: named(b"evil\xff.py"), "no UTF-8"),
    "no flag for UTF-8": (
        lambda: zipped(changed(wheel_files({"crème.py": b""}), "crème.py", flags=0)),
        "does not say that it is UTF-8",
    ),
    "an empty name": (lambda: zipped([*entries(FILES), Entry(b"", b"")]), "could lead out"),
    "one name twice": (lambda: zipped([*entries(FILES), Entry(b"cream/data.txt", b"")]), "one file on some disks"),
    "one name twice without case": (lambda: named("cream/DATA.txt"), "one file on some disks"),
    "one name composed in two ways": (
        lambda: zipped(entries(wheel_files({"cream/\u00e9": b"", "cream/e\u0301": b""}))),
        "one file on some disks",
    ),
    "one name whose marks stand in another order": (
        lambda: zipped(entries(wheel_files({"\u03b1\u0345\u0301": b"", "\u03b1\u0301\u0345": b""}))),
        "one file on some disks",
    ),
    "METADATA twice": (
        lambda: zipped([*entries(FILES), Entry(f"{INFO}/METADATA".encode(), b"Name: other\n")]),
        "one file on some disks",
    ),
    "a file that is a folder": (lambda: named("cream/data.txt/evil.py"), "as a file"),
    "a file beside which a folder sorts": (
        lambda: zipped(entries(wheel_files({"cream/data.txt-": b"", "cream/data.txt/x": b""}))),
        "as a file",
    ),
    # What a member is
    "a symbolic link": (lambda: lying(attributes=0o120777 << 16), "symbolic link"),
    "a device": (lambda: lying(attributes=0o060644 << 16), "a device"),
    "a folder by its attributes": (lambda: lying(attributes=0x10), "a folder by the other"),
    "a folder with content": (lambda: zipped([*entries(FILES), Entry(b"cream/x/", b"x", attributes=0)]), "has content"),
    "a name in an extra field": (
        lambda: lying(central={"extra": extra(0x7075, b"\x01" + bytes(4) + b"evil.py")}),
        "extra field 0x7075",
    ),
    "a link in an extra field": (lambda: lying(local={"extra": extra(0x756E, bytes(14))}), "extra field 0x756e"),
    "an extra field that is cut off": (lambda: lying(central={"extra": b"UT\x09"}), "cut off"),
    "an extra field twice": (lambda: lying(central={"extra": extra(0x5455, b"") * 2}), "twice"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused_with_its_reason(refused: Refused, name: str) -> None:
    make, reason = HOSTILE[name]
    content = make()

    assert reason in refused(content, WHEEL)


@pytest.mark.parametrize(
    "content",
    [
        zipped(entries(FILES)),
        zipped(entries(FILES), zip64={}),
        zipped(entries(FILES), end={"comment": b"made by a dairy"}),
        zipped(entries(wheel_files({"cream/": b"", "cream/\u00e9t\u00e9.py": b"", "cream/empty": b""}))),
        streamed((CRC, PACKED, len(TRUTH))),
        lying(method=0),
        lying(local={"extra": extra(0x5455, bytes(9))}, central={"extra": extra(0x5455, bytes(5))}),
        lying(
            local={"compressed": FULL, "size": FULL, "extra": extra(1, struct.pack("<QQ", len(TRUTH), PACKED))},
            central={"size": FULL, "extra": extra(1, struct.pack("<Q", len(TRUTH)))},
        ),
        lying(local={"extra": extra(1, struct.pack("<QQ", len(TRUTH), PACKED))}),  # as Bazel writes every member
        lying(
            flags=STREAMED,
            local={"crc": 0, "compressed": FULL, "size": FULL, "extra": extra(1, bytes(16))},
            descriptor=struct.pack("<4sIQQ", b"PK\x07\x08", CRC, PACKED, len(TRUTH)),
        ),
        zipped(entries(FILES)[::-1]),
    ],
    ids=["plain", "zip64", "comment", "folders", "streamed", "stored", "times", "large", "bazel", "python", "order"],
)
def test_what_real_tools_write_is_taken(content: bytes) -> None:
    assert checked(content, WHEEL).project == "cream"
