"""Which platform tags are true of compiled code, and what is refused; over real code of this machine's compiler."""

from __future__ import annotations

import io
import platform
import signal
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from creamery.limits import MIB, Limits
from creamery.wheels.elf import CannotExamine, Verdict, examine, has_elf
from tests.doubles.compiled import NEW, OLD, PLAIN, compiled, compiled_wheel, needing, needs_gcc

pytestmark = [needs_gcc, pytest.mark.skipif(platform.machine() != "x86_64", reason="its objects are x86-64's")]

LIMITS = Limits()
LINUX = "cp311-cp311-linux_x86_64"
OLDEST = ("manylinux1_x86_64", "manylinux_2_5_x86_64")
NEEDS_NEW = ("manylinux_2_34_x86_64",)


def verdict(
    tmp_path: Path,
    code: bytes,
    tag: str = LINUX,
    limits: Limits = LIMITS,
    more: Mapping[str, bytes] = MappingProxyType({}),
) -> Verdict:
    made = compiled_wheel(tmp_path, {"acme/ext.so": code, **more}, tag)
    return examine(made, made.name, limits)


@pytest.mark.parametrize(
    ("code", "tags", "floor"), [(OLD, OLDEST, (2, 5)), (NEW, NEEDS_NEW, (2, 34))], ids=["old", "new"]
)
def test_a_wheel_of_this_machine_gets_the_tag_of_what_it_needs(
    tmp_path: Path, code: str, tags: tuple[str, ...], floor: tuple[int, int]
) -> None:
    found = verdict(tmp_path, compiled(tmp_path, code))

    assert found == Verdict(tags, None, "glibc", floor)


@pytest.mark.parametrize(
    ("claimed", "tags"),
    [
        ("manylinux_2_17_x86_64", NEEDS_NEW),
        ("manylinux2014_x86_64.manylinux_2_17_x86_64", NEEDS_NEW),
        ("manylinux1_x86_64", NEEDS_NEW),
        ("manylinux_2_34_x86_64", None),
        ("manylinux_2_35_x86_64", None),
        ("manylinux_2_35_x86_64.manylinux_2_17_x86_64", NEEDS_NEW),
        ("musllinux_1_2_x86_64", NEEDS_NEW),
    ],
)
def test_a_tag_that_claims_too_much_is_replaced_and_one_that_is_true_stays(
    tmp_path: Path, claimed: str, tags: tuple[str, ...] | None
) -> None:
    found = verdict(tmp_path, compiled(tmp_path, NEW), f"cp311-cp311-{claimed}")

    assert (found.tags, found.reason) == (tags, None)


def test_musl_gets_a_musl_tag_wherever_it_is_looked_at(tmp_path: Path) -> None:
    code = needing(tmp_path, "libc.musl-x86_64.so.1", "-nostdlib")

    assert verdict(tmp_path, code) == Verdict(("musllinux_1_2_x86_64",), None, "musl", (1, 2))
    assert verdict(tmp_path, code, "cp311-cp311-manylinux_2_17_x86_64").tags == ("musllinux_1_2_x86_64",)
    assert verdict(tmp_path, code, "cp311-cp311-musllinux_1_1_x86_64").tags is None


def test_code_that_needs_no_libc_gets_the_oldest_tag(tmp_path: Path) -> None:
    found = verdict(tmp_path, compiled(tmp_path, PLAIN, options=["-nostdlib"]))

    assert (found.tags, found.reason, found.libc) == (OLDEST, None, None)


def test_a_library_that_every_linux_has_is_allowed(tmp_path: Path) -> None:
    assert verdict(tmp_path, needing(tmp_path, "libz.so.1")).tags == OLDEST


def test_a_library_that_not_every_linux_has_is_refused_by_name_unless_the_wheel_brings_it(tmp_path: Path) -> None:
    code = needing(tmp_path, "libfoo.so.1")

    refused = verdict(tmp_path, code)
    brought = verdict(tmp_path, code, more={"acme/libfoo.so.1": (tmp_path / "libfoo.so.1").read_bytes()})

    assert refused.tags is None
    assert "libfoo.so.1 (acme/ext.so)" in (refused.reason or "")
    assert (brought.tags, brought.reason) == (OLDEST, None)


@pytest.mark.parametrize(
    ("tag", "word"),
    [
        ("py3-none-any", "runs anywhere"),
        ("cp311-cp311-macosx_11_0_x86_64", "macosx_11_0_x86_64"),
        ("cp311-cp311-win_amd64", "win_amd64"),
        ("cp311-cp311-manylinux_2_17_aarch64", "its code is for x86_64"),
        ("cp311-cp311-linux_i686", "its code is for x86_64"),
    ],
)
def test_code_for_another_platform_than_the_name_says_is_refused(tmp_path: Path, tag: str, word: str) -> None:
    found = verdict(tmp_path, compiled(tmp_path, OLD), tag)

    assert found.tags is None
    assert word in (found.reason or "")


def test_code_of_another_machine_is_looked_through_as_well(tmp_path: Path) -> None:
    code = bytearray(compiled(tmp_path, PLAIN, options=["-nostdlib"]))
    struct.pack_into("<H", code, 18, 183)  # e_machine: aarch64

    assert verdict(tmp_path, bytes(code), "cp311-cp311-linux_aarch64").tags == (
        "manylinux2014_aarch64",
        "manylinux_2_17_aarch64",
    )
    assert "several machines" in (verdict(tmp_path, bytes(code), more={"b": compiled(tmp_path, OLD)}).reason or "")


def section_headers_cut(code: bytes) -> bytes:
    """As a loader reads it, it is whole; as auditwheel does, it needs nothing."""
    lying = bytearray(code)
    struct.pack_into("<Q", lying, 0x28, 0)  # e_shoff
    struct.pack_into("<HH", lying, 0x3C, 0, 0)  # e_shnum, e_shstrndx
    return bytes(lying)


LIES: dict[str, Callable[[bytes], bytes]] = {
    "no more than its first bytes": lambda _: b"\x7fELF",
    "cut off": lambda code: code[: len(code) // 2],
    "its end away": lambda code: code[:100],
    "sections without number": lambda code: code[:0x3C] + b"\xff\xff" + code[0x3E:],
    "sections at the end of the world": lambda code: code[:0x28] + b"\xff" * 8 + code[0x30:],
    "no sections": section_headers_cut,
    "noise": lambda code: code[:64] + bytes(reversed(code[64:])),
    "no machine": lambda code: code[:18] + b"\xfe\xfe" + code[20:],
}


@pytest.mark.parametrize("lie", LIES)
def test_code_that_lies_or_is_broken_is_refused(tmp_path: Path, lie: str) -> None:
    found = verdict(tmp_path, LIES[lie](compiled(tmp_path, NEW)))

    assert found.tags is None
    assert found.reason


def test_what_takes_too_long_or_too_much_is_refused(tmp_path: Path) -> None:
    code = compiled(tmp_path, OLD)

    slow = verdict(tmp_path, code, limits=Limits(elf_seconds=0.01))
    large = verdict(tmp_path, code, limits=Limits(elf_bytes=64 * MIB), more={"big": b"\x7fELF" + bytes(200 * MIB)})

    assert "in 0.01 s" in (slow.reason or "")
    assert large.tags is None
    assert large.reason


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed (signal 11)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "took too long (signal 24)"),
        ("print('[]')", "told nothing that can be read"),
        ("print('{' * 100_000)", "told nothing that can be read"),
        ("print('x' * 10_000_000)", "told nothing that can be read"),
    ],
)
def test_a_program_that_breaks_over_a_wheel_has_refused_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, reason: str
) -> None:
    (tmp_path / "examiner.py").write_text(program)
    monkeypatch.setattr("creamery.wheels.elf.EXAMINER", tmp_path / "examiner.py")

    found = examine(tmp_path / "a.whl", "a.whl", LIMITS)

    assert found.reason is not None
    assert found.reason.endswith(reason)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import auditwheel_that_is_not_there", "No module named 'auditwheel_that_is_not_there'"),
        ("import sys; sys.exit('OSError: No space left on device')", "No space left on device"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", f"ended with -{signal.SIGKILL.value}"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", f"ended with -{signal.SIGTERM.value}"),
    ],
)
def test_a_machine_that_is_in_the_way_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, why: str
) -> None:
    """Every wheel that was pushed to a hub with a full disk was refused for ever."""
    (tmp_path / "examiner.py").write_text(program)
    monkeypatch.setattr("creamery.wheels.elf.EXAMINER", tmp_path / "examiner.py")

    with pytest.raises(CannotExamine, match=why):
        examine(tmp_path / "a.whl", "a.whl", LIMITS)


def test_a_wheel_or_a_folder_that_is_not_there_refuses_nothing(tmp_path: Path) -> None:
    made = compiled_wheel(tmp_path, {"acme/ext.so": b"\x7fELF"})

    with pytest.raises(CannotExamine, match="nowhere"):
        examine(made, made.name, LIMITS, tmp_path / "nowhere")
    with pytest.raises(CannotExamine, match="No such file"):
        examine(tmp_path / "gone.whl", made.name, LIMITS)


def test_nothing_of_the_hubs_environment_reaches_who_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/nowhere.so")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "elftools.py").write_text("raise SystemExit('read')")

    assert verdict(tmp_path, compiled(tmp_path, OLD)).tags == OLDEST


@pytest.mark.parametrize("name", ["ext.so", "data.py", "no_suffix"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_compiled_code_is_known_by_its_first_bytes(tmp_path: Path, name: str, compression: int) -> None:
    path = tmp_path / "some.whl"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("empty", b"")
        archive.writestr("short", b"\x7fEL")
        archive.writestr("text.py", b"print()\n" * 100)
    with path.open("rb") as stream:
        assert not has_elf(stream)

    with zipfile.ZipFile(path, "a", compression) as archive:
        archive.writestr(name, b"\x7fELF" + bytes(1_000))
    with path.open("rb") as stream:
        assert has_elf(stream)


def test_compiled_code_is_known_also_behind_blocks_that_hold_nothing(tmp_path: Path) -> None:
    """A few hundred bytes of them hid it, and the wheel was listed unchecked."""
    code = b"\x7fELF" + bytes(100)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = b"\0\0\0\xff\xff" * 1_000 + packer.compress(code) + packer.flush()
    made = zip_of_one(b"ext.so", deflated, code)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.read("ext.so") == code

    assert has_elf(io.BytesIO(made))


def zip_of_one(name: bytes, deflated: bytes, content: bytes) -> bytes:
    said = (0, 8, 0, 33, zlib.crc32(content), len(deflated), len(content), len(name), 0)
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, *said) + name + deflated
    central = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, *said, 0, 0, 0, 0, 0) + name
    return local + central + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)
