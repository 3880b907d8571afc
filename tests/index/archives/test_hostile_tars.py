"""Tars that two readers would read in two ways, or that reach out of their folder: each is refused with its reason."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from creamery.limits import KIB
from tests.index.archives.conftest import Refused, checked
from tests.index.archives.forging import METADATA, ROOT, SDIST, block, pax, sdist_blocks, tarred

GOOD = sdist_blocks()
CODE = b"print('milk')\n"
HERE = ROOT.encode()


def more(*blocks: bytes) -> bytes:
    """The good sdist with further members."""
    return tarred([*GOOD, *blocks])


def numbered(*, owner: int = 0, time: int = 0) -> bytes:
    """A member whose owner and time are written in 256s."""
    whole = bytearray(block(HERE + b"/x", CODE))
    for number, start, end in ((owner, 108, 116), (time, 136, 148)):
        sign = b"\x80" if number >= 0 else b"\xff"
        whole[start:end] = sign + (number % 256 ** (end - start - 1)).to_bytes(end - start - 1)
    whole[148:156] = b" " * 8
    whole[148:156] = b"%06o\0 " % sum(whole[:512])
    return bytes(whole)


def filled(size: int) -> bytes:
    """The good sdist in a gzip of just this size: its header names a long file (RFC 1952, FNAME)."""
    plain = tarred(GOOD)
    return plain[:3] + b"\x08" + plain[4:10] + b"n" * (size - len(plain) - 1) + b"\0" + plain[10:]


def link(target: bytes, kind: bytes = b"2", name: bytes = b"link") -> bytes:
    return block(HERE + b"/" + name, kind=kind, target=target)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    # The gzip
    "no gzip": (lambda: b"milk" * 100, "no gzip"),
    "nothing": (lambda: b"", "cut off"),
    "cut off": (lambda: tarred(GOOD)[:-9], "cut off"),
    "a wrong checksum": (lambda: tarred(GOOD)[:-8] + bytes(8), "was damaged"),
    "a second gzip member": (lambda: tarred(GOOD, behind=tarred([block(b"evil.py")])), "follows the archive's gzip"),
    "something behind it": (lambda: tarred(GOOD, behind=b"milk"), "follows the archive's gzip"),
    "something behind a gzip that fills what is read at once": (
        lambda: filled(256 * KIB) + b"milk",
        "follows the archive's gzip",
    ),
    # The tar's end
    "no tar": (lambda: gzip.compress(b"milk" * 1_000), "no tar"),
    "no end": (lambda: tarred(GOOD, end=b""), "cut off"),
    "half an end": (lambda: tarred([*GOOD, bytes(512), block(HERE + b"/evil.py")]), "goes on after its end"),
    "another tar behind its end": (
        lambda: tarred([*GOOD, bytes(1024), block(HERE + b"/evil.py")]),
        "follows the tar's end",
    ),
    "a member that is cut off": (lambda: tarred([*GOOD, block(HERE + b"/x", size=b"%011o\0" % 9_999)]), "cut off"),
    # Headers that readers take differently
    "a wrong header checksum": (lambda: more(block(HERE + b"/x", checksum=1)), "wrong checksum"),
    "a folder by its name and a file by its kind": (
        lambda: more(pax({"path": f"{ROOT}/y"}), block(b"x/", b"milk", kind=b"\0")),
        "a file by one sign and a folder by another",
    ),
    "another size by pax": (
        lambda: more(pax({"size": "0"}), block(HERE + b"/x", block(HERE + b"/evil.py"))),
        "readers would see different archives",
    ),
    "a size by pax that is none": (lambda: more(pax({"size": "0x9"}), block(HERE + b"/x")), "that is none"),
    "a mode that is no number": (lambda: more(block(HERE + b"/x", mode=b"rwxr-xr-")), "not every reader can read"),
    "an owner beyond 32 bits": (lambda: more(numbered(owner=2**32)), "not every reader can read"),
    "an owner below 0": (lambda: more(numbered(owner=-2)), "not every reader can read"),
    "a time beyond all measure": (lambda: more(numbered(time=2**63)), "not every reader can read"),
    "a time before all measure": (lambda: more(numbered(time=-(2**70))), "not every reader can read"),
    "a time by pax beyond all measure": (lambda: more(pax({"mtime": "9" * 13}), block(HERE + b"/x")), "'mtime'"),
    "a time by pax that is infinite": (lambda: more(pax({"mtime": "inf"}), block(HERE + b"/x")), "'mtime'"),
    "a time by pax that is none": (lambda: more(pax({"atime": ""}), block(HERE + b"/x")), "'atime'"),
    "an owner by pax that is no number": (lambda: more(pax({"uid": "zz"}), block(HERE + b"/x")), "'uid'"),
    "an owner by pax beyond 32 bits": (lambda: more(pax({"gid": str(2**32)}), block(HERE + b"/x")), "'gid'"),
    "a size with an underscore": (lambda: more(block(HERE + b"/x", size=b"0000000_000")), "not written as every"),
    "a size in 256s": (lambda: more(block(HERE + b"/x", size=b"\x80" + bytes(11))), "not written as every"),
    "a global pax header": (lambda: tarred([pax({"path": "x"}, b"g"), *GOOD]), "global header"),
    "a global pax header later": (lambda: more(pax({"comment": "x"}, b"g"), block(HERE + b"/x")), "global header"),
    "two names by pax": (
        lambda: more(pax({"path": f"{ROOT}/x"}), pax({"path": f"{ROOT}/y"}), block(HERE + b"/x")),
        "two headers that name it",
    ),
    "one key twice in pax": (
        lambda: more(block(b"p", b"12 path=c/x\n12 path=c/y\n", b"x"), block(HERE + b"/x")),
        "says one thing twice",
    ),
    "a pax header that is broken": (lambda: more(block(b"p", b"99 path=c/x\n", b"x"), block(HERE)), "broken"),
    "a pax header without a member": (lambda: more(pax({"path": "x"})), "belongs to no member"),
    "a name by GNU and one by pax": (
        lambda: more(block(b"././@LongLink", HERE + b"/x\0", b"L"), pax({"path": "x"}), block(HERE + b"/x")),
        "two headers that name it",
    ),
    "a name by GNU without an end": (
        lambda: more(block(b"././@LongLink", HERE + b"/x", b"L"), block(HERE + b"/x", CODE)),
        "a long name without an end",
    ),
    "a name by GNU that goes on behind its end": (
        lambda: more(
            block(b"././@LongLink", HERE + b"/x\0", b"L")[:512] + (HERE + b"/x\0evil").ljust(512, b"\0"),
            block(HERE + b"/x", CODE),
        ),
        "something behind its end",
    ),
    "a pax header that goes on behind its end": (
        lambda: more(
            pax({"mtime": "1"})[:512] + b"11 mtime=1\n20 path=cream-1.0/y\n".ljust(512, b"\0"), block(HERE + b"/x")
        ),
        "something behind its end",
    ),
    "a key of pax that nobody knows": (lambda: more(pax({"hdrcharset": "BINARY"}), block(HERE + b"/x")), "hdrcharset"),
    "a size that libarchive alone goes by": (  # which would hide the rest from it, and show it to pip
        lambda: more(pax({"SCHILY.realsize": "4"}), block(HERE + b"/x", CODE)),
        "SCHILY.realsize",
    ),
    "attributes by pax": (lambda: more(pax({"SCHILY.xattr.user.x": "1"}), block(HERE + b"/x")), "SCHILY.xattr.user.x"),
    "flags by pax": (lambda: more(pax({"SCHILY.fflags": "uchg"}), block(HERE + b"/x")), "SCHILY.fflags"),
    "a sparse file by pax": (lambda: more(pax({"GNU.sparse.major": "1"}), block(HERE + b"/x")), "GNU.sparse.major"),
    "a sparse file": (lambda: more(block(HERE + b"/x", kind=b"S")), "a sparse file"),
    "a contiguous file": (lambda: more(block(HERE + b"/x", kind=b"7")), "a contiguous file"),
    "a kind that nobody knows": (lambda: more(block(HERE + b"/x", kind=b"V")), "of a kind 'V'"),
    "a folder with content": (lambda: more(block(HERE + b"/x", block(HERE + b"/evil"), b"5")), "has content"),
    "a link with content": (lambda: more(block(HERE + b"/x", CODE, b"2", target=b"cream.py")), "has content"),
    "a prefix in a GNU header": (
        lambda: more(block(b"x", prefix=HERE, magic=b"ustar  \0")),
        "readers take for different kinds",
    ),
    "an unknown magic": (lambda: more(block(HERE + b"/x", magic=b"milk\0\0\0\0")), "different kinds"),
    # Members that no sdist has
    "a device": (lambda: more(block(HERE + b"/x", kind=b"3")), "a device"),
    "a pipe": (lambda: more(block(HERE + b"/x", kind=b"6")), "a pipe"),
    "one file twice": (lambda: more(block(HERE + b"/cream.py", CODE)), "one file on some disks"),
    "one file twice without case": (lambda: more(block(HERE + b"/CREAM.py", CODE)), "one file on some disks"),
    "PKG-INFO twice": (lambda: more(block(HERE + b"/PKG-INFO", METADATA)), "one file on some disks"),
    "a file that is a folder": (lambda: more(block(HERE + b"/cream.py/x", CODE)), "as a file"),
    "a file in a link": (lambda: more(link(b"."), block(HERE + b"/link/x", CODE)), "as a file"),
    # Where members lie
    "two roots": (lambda: more(block(b"evil/x", CODE)), "outside of the one folder"),
    "a file beside the root": (lambda: more(block(b"evil.py", CODE)), "outside of the one folder"),
    "an absolute name": (lambda: more(block(b"/" + HERE + b"/x", CODE)), "could lead out"),
    "a way up": (lambda: more(block(HERE + b"/../x", CODE)), "could lead out"),
    "a way up by pax": (lambda: more(pax({"path": f"{ROOT}/../x"}), block(HERE + b"/x", CODE)), "could lead out"),
    "a way up by GNU": (
        lambda: more(block(b"././@LongLink", HERE + b"/../x\0", b"L"), block(HERE + b"/x", CODE)),
        "could lead out",
    ),
    "a colon": (lambda: more(block(HERE + b"/cream.py:x", CODE)), "Windows reads as another one"),
    "a blank at its end": (lambda: more(block(HERE + b"/x ", CODE)), "Windows reads as another one"),
    "a folder with a dot at its end": (lambda: more(block(HERE + b"/x./y", CODE)), "Windows reads as another one"),
    "an empty name": (lambda: more(block(b"", CODE)), "could lead out"),
    "a name with NUL by pax": (lambda: more(pax({"path": f"{ROOT}/x\0y"}), block(HERE + b"/x")), "control character"),
    "a file by the name of a folder": (lambda: more(block(HERE + b"/x/", CODE)), "a folder by another"),
    "a root of another project": (
        lambda: tarred([block(b"milk-1.0/PKG-INFO", METADATA)]),
        "the sdist's folder is 'milk-1.0'",
    ),
    # Links
    "a link outside": (lambda: more(link(b"../../etc/passwd")), "leads out"),
    "an absolute link": (lambda: more(link(b"/etc/passwd")), "leads out"),
    "a link to the root's parent": (lambda: more(link(b"..")), "leads out"),
    "a link through a link": (lambda: more(link(b".", name=b"a"), link(b"a/../x", name=b"b")), "through another link"),
    "a link through a link by its other case": (
        lambda: more(link(b".", name=b"L"), link(b"l/../PKG-INFO", name=b"x")),
        "through another link",
    ),
    "a link through a link by its other form": (
        lambda: more(link(b".", name="\u00e9".encode()), link("e\u0301/../PKG-INFO".encode(), name=b"x")),
        "through another link",
    ),
    "a link through a folder that a link of another case leads out of": (
        lambda: more(block(HERE + b"/a/x", CODE), link(b"a", name=b"B"), link(b"a/../b/../cream.py", name=b"y")),
        "through another link",
    ),
    "a link through a file": (lambda: more(link(b"PKG-INFO/../cream.py")), "what is no folder"),
    "a link through nothing": (lambda: more(link(b"nothing/../cream.py")), "what is no folder"),
    "a link to a folder by its other case": (
        lambda: more(block(HERE + b"/docs/x", CODE), link(b"DOCS")),
        "no file or folder of the archive",
    ),
    "a link to nothing": (lambda: more(link(b"nothing.py")), "no file or folder of the archive"),
    "a link in a circle": (lambda: more(link(b"b", name=b"a"), link(b"a", name=b"b")), "no file or folder"),
    "a link with a backslash": (lambda: more(link(b"..\\..\\x")), "backslash"),
    "a link to nowhere": (lambda: more(link(b"")), "a link to nowhere"),
    "a file with a target": (lambda: more(block(HERE + b"/x", target=b"y")), "the target of a link"),
    "a hard link outside": (lambda: more(link(b"/etc/passwd", b"1")), "no file before it"),
    "a hard link to what comes later": (
        lambda: more(link(HERE + b"/y", b"1"), block(HERE + b"/y", CODE)),
        "no file before it",
    ),
    "PKG-INFO by a link": (
        lambda: tarred([block(HERE + b"/x", METADATA), link(b"x", name=b"PKG-INFO")]),
        "no PKG-INFO",
    ),
    "no PKG-INFO": (lambda: tarred([block(HERE + b"/cream.py", CODE)]), "no PKG-INFO"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_tar_is_refused_with_its_reason(refused: Refused, name: str) -> None:
    make, reason = HOSTILE[name]
    content = make()

    assert reason in refused(content, SDIST)


@pytest.mark.parametrize(
    "content",
    [
        tarred(GOOD),
        tarred(GOOD, end=bytes(10_240)),
        filled(256 * KIB),
        more(numbered(owner=2**32 - 2, time=2**39)),
        more(pax({"mtime": "-1.5", "atime": "999999999999", "uid": str(2**32 - 1)}), block(HERE + b"/x", CODE)),
        tarred([pax({"comment": "0" * 40}, b"g"), *GOOD]),
        more(pax({"path": f"{ROOT}/" + "long/" * 60 + "\u00e9", "mtime": "1.5"}), block(HERE + b"/x", CODE)),
        more(block(b"././@LongLink", HERE + b"/" + b"long/" * 60 + b"x\0", b"L"), block(HERE + b"/x", CODE)),
        more(pax({"size": "14"}), block(HERE + b"/x", CODE)),
        more(
            pax({"SCHILY.dev": "1", "SCHILY.ino": "2", "SCHILY.nlink": "1", "LIBARCHIVE.creationtime": "1.5"}),
            block(HERE + b"/x", CODE),
        ),
        more(block(b"x", CODE, prefix=HERE + b"/deep")),
        more(block(HERE + b"/x", CODE, b"\0", magic=bytes(8))),
        more(block(HERE + b"/docs/x", CODE), link(b"docs", name=b"folder"), link(b"./docs/../cream.py", name=b"file")),
        more(link(b"cream.py", name=b"a"), link(b"a", name=b"b"), link(HERE + b"/cream.py", b"1", name=b"c")),
        more(block(HERE + b"/empty/", kind=b"5"), link(b"empty/", name=b"folder")),
        more(
            block(HERE + b"/a/b/c", CODE),
            link(b"../.././a/b/../../a/b/c", name=b"a/b/up"),
            block(HERE + b"/Empty/", kind=b"5"),
            link(b"Empty/../a/b/up", name=b"d"),
        ),
    ],
    ids=[
        "plain",
        "padded",
        "filled",
        "numbers",
        "pax numbers",
        "git",
        "pax",
        "gnu",
        "size",
        "bsdtar",
        "prefix",
        "v7",
        "links",
        "chains",
        "folder",
        "ups",
    ],
)
def test_what_real_tools_write_is_taken(content: bytes) -> None:
    assert checked(content, SDIST).project == "cream"
