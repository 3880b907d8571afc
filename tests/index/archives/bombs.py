"""Archives that are small and cost much, and a process that has them refused, for tests and for benchmarks."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from creamery.limits import KIB, MIB
from tests.index.archives.forging import (
    INFO,
    METADATA,
    ROOT,
    SDIST,
    UTF8,
    WHEEL,
    Entry,
    block,
    changed,
    entries,
    pax,
    sdist_blocks,
    tarred,
    wheel_files,
    zipped,
)

Refuse = Callable[[Path, str], tuple[float, int, str]]

PROGRAM = """
import os, sys, time
from creamery.index.archives import BadArchive, check
from creamery.limits import Limits

def memory(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) * 1024

for line in sys.stdin:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    path, filename = line.split()
    before, started = memory("VmRSS"), time.process_time()
    with open(path, "rb") as stream:
        try:
            check(stream, filename, Limits())
            said = "taken"
        except BadArchive as error:
            said = error.reason
    print(time.process_time() - started, memory("VmHWM") - before, said, flush=True)
    os._exit(0)
"""
"""Imports everything once, and then looks at each upload in a process of its own, whose memory can be told apart."""


@contextmanager
def refusals() -> Iterator[Refuse]:
    """What has uploads refused: a path and a file name go in; CPU seconds, bytes of memory, and why, come out."""
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        asked, answers = program.stdin, program.stdout
        assert asked is not None
        assert answers is not None

        def refuse(path: Path, filename: str) -> tuple[float, int, str]:
            asked.write(f"{path} {filename}\n")
            asked.flush()
            seconds, grown, said = answers.readline().split(" ", 2)
            return float(seconds), int(grown), said

        yield refuse
        asked.close()


def zeros(size: int, wbits: int = -zlib.MAX_WBITS) -> bytes:
    """Deflated, a thousand to one."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    piece = bytes(MIB)
    return b"".join(packer.compress(piece) for _ in range(size // MIB)) + packer.flush()


def of_zeros(size: int, said: int) -> bytes:
    """A wheel with a member of so many zeros, that says another size."""
    lies = {"size": said, "crc": 0}
    member = Entry(b"cream/zeros", b"", packed=zeros(size), local=lies, central=lies)
    files = wheel_files({"cream/zeros": b""})
    files[f"{INFO}/RECORD"] = files[f"{INFO}/RECORD"].replace(b",0\n", b",%d\n" % said)
    return zipped([member if entry.name == b"cream/zeros" else entry for entry in entries(files)])


def of_many(count: int) -> bytes:
    """A wheel of so many files, of which the last has another checksum than it says."""
    files = wheel_files({f"cream/{at:06}": b"x" for at in range(count)})
    return zipped(changed(files, f"cream/{count - 1:06}", local={"crc": 1}, central={"crc": 1}))


def of_long_names() -> bytes:
    """A wheel whose names fill the directory, deep and in letters that take much memory; two are one without case."""
    segment, tail = "\U0001f9c0\u0390/" * 60, "\u0390" * 230
    names = [f"{segment}{at:06}{tail}" for at in range(8_300)]
    members = [Entry(name.encode(), b"", 0, UTF8) for name in [*names, f"{segment}x", f"{segment}X"]]
    return zipped([*entries(wheel_files()), *members])


def of_metadata(content: bytes) -> bytes:
    return zipped(entries(wheel_files(METADATA=content)))


def of_field(content: bytes) -> bytes:
    """A good METADATA with more in it."""
    return of_metadata(METADATA.replace(b"\n\n", b"\n" + content + b"\n\n"))


def of_tags(times: int) -> bytes:
    """A WHEEL with one line that stands for more tags than there are atoms."""
    tag = b"-".join([b"a" + b".a" * times] * 3)
    return zipped(entries(wheel_files(WHEEL=b"Wheel-Version: 1.0\nTag: " + tag)))


def of_long_paths() -> bytes:
    """An sdist of deep paths, of which the last leads out."""
    deep = "\u0390/" * 50
    members = [pax({"path": f"{ROOT}/{at:06}/{deep}x"}) + block(b"x") for at in range(45_000)]
    return tarred([*sdist_blocks(), *members, block(b"/x")])


def of_headers() -> bytes:
    """An sdist of pax headers that say much, and nothing."""
    says = dict.fromkeys(("comment", "uname", "gname"), "x" * 20000)
    return tarred([pax(says) + block(f"{ROOT}/{at}".encode()) for at in range(800)])


def of_record(content: bytes) -> bytes:
    return zipped(entries({**wheel_files(), f"{INFO}/RECORD": content}))


def of_links(target: str) -> bytes:
    """An sdist of links that lead a long way, in one chain."""
    links = [block(f"{ROOT}/{at:06}".encode(), kind=b"2", target=(target % (at + 1)).encode()) for at in range(45_000)]
    return tarred([*sdist_blocks(), *links])


BOMBS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "a ratio": (lambda: of_zeros(256 * MIB, 256 * MIB), WHEEL, "limits.archive_ratio"),
    "a ratio that lies": (lambda: of_zeros(256 * MIB, 1_000), WHEEL, "more than the 1000 bytes"),
    "sizes without bytes": (lambda: of_zeros(MIB, 0xFFFFFFFE), WHEEL, "limits.archive_ratio"),
    "a count": (lambda: of_many(50_001), WHEEL, "limits.archive_members"),
    "a count below the limit": (lambda: of_many(49_990), WHEEL, "another checksum"),
    "long names": (of_long_names, WHEEL, "one file on some disks"),
    "METADATA of lines": (lambda: of_metadata(METADATA + b"\n" * (9 * MIB) + b"\xff"), WHEEL, "no UTF-8"),
    "METADATA of fields": (lambda: of_metadata(b"Classifier: x\n" * (600 * KIB)), WHEEL, "limits.metadata_fields"),
    "METADATA of unknown fields": (
        lambda: of_metadata(b"".join(b"X%d: x\n" % at for at in range(9_999))),
        WHEEL,
        "kinds of fields",
    ),
    "METADATA of requirements": (
        lambda: of_field(b"Requires-Dist: a>=1; python_version>'3'\n" * 9_990 + b"Provides-Extra: -"),
        WHEEL,
        "METADATA is wrong",
    ),
    "METADATA of markers": (
        lambda: of_field((b"Requires-Dist: a;" + b"'3'in'3'or" * 1_600 + b"'3'in'3'\n") * 31 + b"Provides-Extra: -"),
        WHEEL,
        "METADATA is wrong",
    ),
    "METADATA of parentheses": (lambda: of_field(b"Requires-Dist: a; " + b"(" * 16_000), WHEEL, "METADATA is wrong"),
    "METADATA of digits": (
        lambda: of_metadata(METADATA.replace(b": 1.0\n", b": 1." + b"9" * 16_000 + b"\n")),
        WHEEL,
        "METADATA is wrong",
    ),
    "METADATA of one long field": (lambda: of_field(b"Requires-Dist: a>=" + b"1.0,<" * 99_999), WHEEL, "field_bytes"),
    "METADATA of specifiers": (
        lambda: of_field((b"Requires-Dist: a>=" + b"1.0,<" * 3_200 + b"1\n") * 31 + b"Provides-Extra: -"),
        WHEEL,
        "METADATA is wrong",
    ),
    "RECORD of rows": (lambda: of_record(b",,\n" * (3 * MIB)), WHEEL, "no file of the wheel"),
    "RECORD of one row": (lambda: of_record(b"," * (9 * MIB)), WHEEL, "no path with its hash"),
    "RECORD of quotes": (lambda: of_record(b'"' + b"\n" * (9 * MIB)), WHEEL, "no CSV"),
    "WHEEL of tags": (lambda: of_tags(9_999), WHEEL, "WHEEL has a tag"),
    "a tar of zeros": (
        lambda: zeros(1_024 * MIB, 16 + zlib.MAX_WBITS),
        SDIST,
        "limits.archive_ratio",
    ),
    "a tar with much behind its end": (
        lambda: tarred(sdist_blocks(), end=bytes(200 * MIB)),
        SDIST,
        "limits.archive_ratio",
    ),
    "a tar of a large file": (
        lambda: tarred([*sdist_blocks(), block(f"{ROOT}/x".encode(), size=b"77777777777\0")]),
        SDIST,
        "limits.archive_ratio",
    ),
    "a tar of many files": (
        lambda: tarred([*sdist_blocks(), *(block(f"{ROOT}/{at:06}".encode()) for at in range(50_000))]),
        SDIST,
        "limits.archive_members",
    ),
    "a tar of long names": (of_long_paths, SDIST, "could lead out"),
    "a tar of a large header": (lambda: tarred([pax({"path": "x" * 9_999_999})]), SDIST, "limits.archive_header_bytes"),
    "a tar of pax headers": (of_headers, SDIST, "limits.archive_directory_bytes"),
    "a chain of links": (lambda: of_links("%06d"), SDIST, "no file or folder"),
    "links that lead a long way": (lambda: of_links("./" * 45 + "%06d"), SDIST, "no file or folder"),
}
