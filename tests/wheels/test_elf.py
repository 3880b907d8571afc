"""Which platform tags are true of compiled code, and what is refused; over real code of this machine's compiler."""

from __future__ import annotations

import io
import platform
import resource
import signal
import struct
import subprocess
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from creamery.limits import MIB, Limits
from creamery.wheels import examiner
from creamery.wheels.elf import CannotExamine, Verdict, examine, has_elf
from tests.doubles.compiled import (
    NEW,
    OLD,
    PLAIN,
    POINTERS,
    compiled,
    compiled_wheel,
    library,
    needing,
    needing_version,
    needs_gcc,
    program_of,
)

pytestmark = [needs_gcc, pytest.mark.skipif(platform.machine() != "x86_64", reason="its objects are x86-64's")]

LIMITS = Limits()
LINUX = "cp311-cp311-linux_x86_64"
OLDEST = ("manylinux1_x86_64", "manylinux_2_5_x86_64")
PACKED = "-Wl,-z,pack-relative-relocs"
NEEDS_NEW = ("manylinux_2_34_x86_64",)


def examined(tmp_path: Path, code: bytes, tag: str = LINUX, limits: Limits = LIMITS) -> Verdict:
    """By the program itself."""
    made = compiled_wheel(tmp_path, {"acme/ext.so": code}, tag)
    return examine(made, made.name, limits)


@pytest.fixture
def verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Verdict]:
    """By what the program is made of: a tenth of the time."""
    monkeypatch.chdir(tmp_path)

    def look(code: bytes, tag: str = LINUX, more: Mapping[str, bytes] = MappingProxyType({})) -> Verdict:
        made = compiled_wheel(tmp_path, {"acme/ext.so": code, **more}, tag)
        found = examiner.verdict_on(made, made.name)
        return Verdict(
            **{**found, "tags": found["tags"] and tuple(found["tags"]), "libraries": tuple(found["libraries"])}
        )

    return look


@pytest.mark.parametrize(
    ("code", "tags", "floor"), [(OLD, OLDEST, (2, 5)), (NEW, NEEDS_NEW, (2, 34))], ids=["old", "new"]
)
def test_a_wheel_of_this_machine_gets_the_tag_of_what_it_needs(
    tmp_path: Path, code: str, tags: tuple[str, ...], floor: tuple[int, int]
) -> None:
    found = examined(tmp_path, compiled(tmp_path, code))

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
    tmp_path: Path, claimed: str, tags: tuple[str, ...] | None, verdict: Callable[..., Verdict]
) -> None:
    found = verdict(compiled(tmp_path, NEW), f"cp311-cp311-{claimed}")

    assert (found.tags, found.reason) == (tags, None)


def test_musl_gets_a_musl_tag_wherever_it_is_looked_at(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    code = needing(tmp_path, "libc.musl-x86_64.so.1", "-nostdlib")

    assert verdict(code) == Verdict(("musllinux_1_2_x86_64",), None, "musl", (1, 2))
    assert verdict(code, "cp311-cp311-manylinux_2_17_x86_64").tags == ("musllinux_1_2_x86_64",)
    assert verdict(code, "cp311-cp311-musllinux_1_1_x86_64") == Verdict(libc="musl")


def test_musl_by_the_name_that_zig_and_rust_give_it_is_musl(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    """It was refused for needing `libc.so`, which musl's loader takes for itself."""
    code = needing(tmp_path, "libc.so", "-nostdlib")

    assert verdict(code).tags == ("musllinux_1_2_x86_64",)


def test_code_for_both_libcs_is_refused(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    musl = needing(tmp_path, "libc.musl-x86_64.so.1", "-nostdlib")

    found = verdict(compiled(tmp_path, OLD), more={"acme/other": musl})

    assert found == Verdict(reason="some of its code is made for glibc, and some for musl")


def test_code_that_needs_no_libc_gets_the_oldest_tag_and_keeps_those_of_either(
    tmp_path: Path, verdict: Callable[..., Verdict]
) -> None:
    """One that was built for musl had become manylinux, where nobody who needed it found it."""
    code = compiled(tmp_path, PLAIN, options=["-nostdlib"])

    assert verdict(code) == Verdict(OLDEST)
    assert verdict(code, "cp311-cp311-musllinux_1_2_x86_64") == Verdict()
    assert verdict(code, "cp311-cp311-manylinux_2_17_x86_64.musllinux_1_2_x86_64") == Verdict()


def test_a_glibc_between_two_of_auditwheels_has_a_tag_of_its_own(
    tmp_path: Path, verdict: Callable[..., Verdict]
) -> None:
    code = needing_version(tmp_path, "libc.so.6", "GLIBC_2.29")

    assert verdict(code) == Verdict(("manylinux_2_29_x86_64",), None, "glibc", (2, 29))
    assert verdict(code, "cp311-cp311-manylinux_2_29_x86_64").tags is None
    assert verdict(code, "cp311-cp311-manylinux_2_28_x86_64").tags == ("manylinux_2_29_x86_64",)


@pytest.mark.parametrize(
    ("library", "version", "floor"),
    [("libstdc++.so.6", "GLIBCXX_3.4.29", (2, 34)), ("libc.so.6", "GLIBC_ABI_DT_RELR", (2, 36))],
)
def test_other_versions_than_glibcs_numbers_count_by_auditwheels_tables(
    tmp_path: Path, library: str, version: str, floor: tuple[int, int], verdict: Callable[..., Verdict]
) -> None:
    major, minor = floor

    assert verdict(needing_version(tmp_path, library, version)).tags == (f"manylinux_{major}_{minor}_x86_64",)


def test_versions_of_the_loader_count_as_those_of_glibc_do(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    """Auditwheel leaves them out, and code that needs `__rseq_offset` became manylinux1, and musllinux stayed."""
    code = needing_version(tmp_path, "ld-linux-x86-64.so.2", "GLIBC_2.35")

    for claimed in ("linux_x86_64", "manylinux_2_17_x86_64", "musllinux_1_2_x86_64"):
        assert verdict(code, f"cp311-cp311-{claimed}") == Verdict(("manylinux_2_35_x86_64",), None, "glibc", (2, 35))
    assert verdict(code, "cp311-cp311-manylinux_2_35_x86_64").tags is None


def packed(folder: Path, *options: str) -> bytes:
    """Code with packed relocations, and without the version of libc that says so: that comes with a need of libc."""
    made = compiled(folder, POINTERS, options=["-nostdlib", "-Wl,--no-as-needed", PACKED, *options])
    with io.BytesIO(made) as stream:
        table = ELFFile(stream).get_section_by_name(".dynamic")
        if not isinstance(table, DynamicSection) or not list(table.iter_tags("DT_RELR")):
            pytest.skip("needs a linker that packs relocations: GNU's from 2.38 on")
    return made


def test_packed_relocations_need_a_glibc_that_knows_them(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    """An older one loads the code, and leaves its pointers wrong: it was listed as manylinux1."""
    code = packed(tmp_path)

    assert verdict(code).tags == ("manylinux_2_36_x86_64",)
    assert verdict(code, "cp311-cp311-manylinux_2_36_x86_64") == Verdict()
    assert verdict(code, "cp311-cp311-manylinux_2_36_x86_64.musllinux_1_2_x86_64").tags == ("manylinux_2_36_x86_64",)


def test_packed_relocations_for_musl_are_refused(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    """musl 1.2.3 does not know them, and musllinux_1_2 is offered to it (PEP 656 has no third number)."""
    of_musl = packed(tmp_path, str(library(tmp_path, "libc.musl-x86_64.so.1")))
    of_none = packed(tmp_path)
    reason = "acme/ext.so has packed relocations (DT_RELR): it needs musl 1.2.4, which no tag can say"

    assert verdict(of_musl) == Verdict(reason=reason, libc="musl")
    assert verdict(of_none, "cp311-cp311-musllinux_1_2_x86_64") == Verdict(reason=reason)


def test_a_library_that_stands_for_another_is_refused(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    """glibc does not load it without the other, which no DT_NEEDED names."""
    found = verdict(compiled(tmp_path, PLAIN, options=["-nostdlib", "-Wl,-F,libfoo.so.1"]))

    assert found == Verdict(reason="acme/ext.so stands for another library (DT_FILTER), which cannot be looked at")


def test_code_of_another_system_on_the_same_machine_is_refused(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    code = bytearray(compiled(tmp_path, PLAIN, options=["-nostdlib"]))
    code[7] = 9  # EI_OSABI: FreeBSD

    assert verdict(bytes(code)).reason == (
        "its name says x86_64, and its code is for EM_X86_64 of ELFOSABI_FREEBSD (acme/ext.so)"
    )


@pytest.mark.parametrize(
    ("library", "version"),
    [("libc.so.6", "GLIBC_PRIVATE"), ("ld-linux-x86-64.so.2", "GLIBC_PRIVATE"), ("libstdc++.so.6", "GLIBCXX_9.9.9")],
)
def test_a_version_that_no_policy_knows_is_refused(
    tmp_path: Path, library: str, version: str, verdict: Callable[..., Verdict]
) -> None:
    found = verdict(needing_version(tmp_path, library, version))

    assert found.reason == f"it needs versions of symbols that no policy allows: {version}"


def test_a_symbol_that_is_not_in_every_build_of_an_allowed_library_is_refused(
    tmp_path: Path, verdict: Callable[..., Verdict]
) -> None:
    source = tmp_path / "libz.c"
    source.write_text("void inflateReset2(void) {}\nvoid inflate_fast(void) {}\n")
    z = tmp_path / "libz.so.1"
    subprocess.run(["gcc", "-shared", "-nostdlib", "-Wl,-soname,libz.so.1", "-o", z, source], check=True)
    code = compiled(tmp_path, "void inflate_fast(void);\nvoid f(void) { inflate_fast(); }\n", options=[str(z)])

    found = verdict(code)

    assert found.reason == "it needs symbols that not every libz.so.1 has: inflate_fast"


def test_a_library_that_every_linux_has_is_allowed(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    assert verdict(needing(tmp_path, "libz.so.1")).tags == OLDEST


def test_a_library_that_not_every_linux_has_is_refused_by_name_unless_the_wheel_brings_it(
    tmp_path: Path, verdict: Callable[..., Verdict]
) -> None:
    code = needing(tmp_path, "libfoo.so.1")

    refused = verdict(code)
    brought = verdict(code, more={"acme/libfoo.so.1": (tmp_path / "libfoo.so.1").read_bytes()})

    assert (refused.tags, refused.libraries) == (None, ("libfoo.so.1",))
    assert refused.reason == (
        "it needs libraries that it does not bring, and that not every Linux has: libfoo.so.1 (acme/ext.so)"
    )
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
def test_code_for_another_platform_than_the_name_says_is_refused(
    tmp_path: Path, tag: str, word: str, verdict: Callable[..., Verdict]
) -> None:
    found = verdict(compiled(tmp_path, OLD), tag)

    assert found.tags is None
    assert word in (found.reason or "")


def test_code_of_another_machine_is_looked_through_as_well(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    code = bytearray(compiled(tmp_path, PLAIN, options=["-nostdlib"]))
    struct.pack_into("<H", code, 18, 183)  # e_machine: aarch64

    assert verdict(bytes(code), "cp311-cp311-linux_aarch64").tags == (
        "manylinux2014_aarch64",
        "manylinux_2_17_aarch64",
    )
    assert verdict(bytes(code)).reason == "its name says x86_64, and its code is for aarch64 (acme/ext.so)"


def test_code_for_another_machine_beside_the_wheels_own_is_data_unless_python_imports_it(
    tmp_path: Path, verdict: Callable[..., Verdict]
) -> None:
    """A kernel for a graphics card, for instance: pytorch's builds for AMD have hundreds."""
    own = compiled(tmp_path, OLD)
    other = bytearray(compiled(tmp_path, "int PyInit_fast(void) { return 0; }\n", options=["-nostdlib"]))
    struct.pack_into("<H", other, 18, 224)  # e_machine: AMDGPU

    assert verdict(own, more={"acme/kernel.hsaco": bytes(other)}).tags == OLDEST
    assert verdict(own, more={"acme/fast.abi3.so": bytes(other)}).reason == (
        "its name says x86_64, and acme/fast.abi3.so is for EM_AMDGPU"
    )


@pytest.mark.parametrize("tag", ["android_24_x86_64", "freebsd_14_0_release_amd64"])
def test_tags_of_systems_that_have_elf_files_of_their_own_stay(
    tmp_path: Path, tag: str, verdict: Callable[..., Verdict]
) -> None:
    assert verdict(compiled(tmp_path, NEW), f"cp311-cp311-{tag}") == Verdict()


@pytest.mark.parametrize("tag", ["linux_armv6l", "linux_sparc"])
def test_a_machine_without_manylinux_tags_is_refused_by_its_name(
    tmp_path: Path, tag: str, verdict: Callable[..., Verdict]
) -> None:
    found = verdict(compiled(tmp_path, OLD), f"cp311-cp311-{tag}")

    assert found.reason == f"its name says {tag}, for which there are no manylinux or musllinux tags"


def test_programs_count_and_those_for_a_loader_of_their_own_are_refused(
    tmp_path: Path, verdict: Callable[..., Verdict]
) -> None:
    program = program_of(tmp_path)
    static = program_of(tmp_path, "-static", "-nostdlib", "-Wl,--entry=main")
    of_nix = program_of(tmp_path, "-Wl,--dynamic-linker=/nix/store/x-glibc-2.34/lib/ld-linux-x86-64.so.2")

    assert verdict(program, "py3-none-linux_x86_64").libc == "glibc"
    assert verdict(static, "py3-none-linux_x86_64") == Verdict(OLDEST)
    assert verdict(of_nix, "py3-none-linux_x86_64").reason == (
        "acme/ext.so is a program for the loader /nix/store/x-glibc-2.34/lib/ld-linux-x86-64.so.2, which not every"
        " Linux has"
    )


def section_headers_cut(code: bytes) -> bytes:
    """As a loader reads it, it is whole; as auditwheel does, it needs nothing."""
    lying = bytearray(code)
    struct.pack_into("<Q", lying, 0x28, 0)  # e_shoff
    struct.pack_into("<HH", lying, 0x3C, 0, 0)  # e_shnum, e_shstrndx
    return bytes(lying)


def at_other_bytes(section: str) -> Callable[[bytes], bytes]:
    """The section's header says that it lies where a harmless copy of it does; a loader finds the old one."""

    def lie(code: bytes) -> bytes:
        header, offset, size = header_of(code, section)
        copy = code[offset : offset + size].replace(b"GLIBC_2.34", b"GLIBC_2.5\0")
        lying = bytearray(code + copy)
        struct.pack_into("<Q", lying, header + 0x18, len(code))  # sh_offset
        return bytes(lying)

    return lie


def header_of(code: bytes, section: str) -> tuple[int, int, int]:
    """Where its header is, and where and how long the section."""
    with io.BytesIO(code) as stream:
        elf = ELFFile(stream)
        number = next(at for at, each in enumerate(elf.iter_sections()) if each.name == section)
        found = elf.get_section(number)
        return elf["e_shoff"] + number * elf["e_shentsize"], found["sh_offset"], found["sh_size"]


def entries_cut(code: bytes) -> bytes:
    """The table of versions says that it has one entry, and goes on."""
    header, offset, _ = header_of(code, ".gnu.version_r")
    lying = bytearray(code)
    struct.pack_into("<I", lying, header + 0x2C, 1 + struct.unpack_from("<I", code, header + 0x2C)[0])  # sh_info
    assert struct.unpack_from("<H", code, offset)[0] == 1
    return bytes(lying)


LIES: dict[str, Callable[[bytes], bytes]] = {
    "no more than its first bytes": lambda _: b"\x7fELF",
    "cut off": lambda code: code[: len(code) // 2],
    "its end away": lambda code: code[:100],
    "sections without number": lambda code: code[:0x3C] + b"\xff\xff" + code[0x3E:],
    "sections at the end of the world": lambda code: code[:0x28] + b"\xff" * 8 + code[0x30:],
    "no sections": section_headers_cut,
    "another table of versions": at_other_bytes(".gnu.version_r"),
    "another table of names": at_other_bytes(".dynstr"),
    "another dynamic table": at_other_bytes(".dynamic"),
    "more versions than there are": entries_cut,
    "noise": lambda code: code[:64] + bytes(reversed(code[64:])),
    "no machine": lambda code: code[:18] + b"\xfe\xfe" + code[20:],
}


@pytest.mark.parametrize("lie", LIES)
def test_code_that_lies_or_is_broken_is_refused(tmp_path: Path, lie: str, verdict: Callable[..., Verdict]) -> None:
    found = verdict(LIES[lie](compiled(tmp_path, NEW)))

    assert found.tags is None
    assert found.reason


def endless_name(code: bytes, size: int) -> bytes:
    """What it needs has a name that does not end before the file does."""
    _, dynamic, _ = header_of(code, ".dynamic")
    _, names, _ = header_of(code, ".dynstr")
    lying = bytearray(code)
    assert struct.unpack_from("<Q", code, dynamic)[0] == 1  # DT_NEEDED
    struct.pack_into("<Q", lying, dynamic + 8, len(code) - names)
    return bytes(lying) + b"A" * size + b"\0"


def test_what_takes_too_long_is_ended_and_refused(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    made = compiled_wheel(tmp_path, {"acme/ext.so": endless_name(compiled(tmp_path, OLD), 200 * MIB)})
    begun = time.monotonic()

    found = examine(made, made.name, Limits(elf_seconds=0.7), private)

    assert found == Verdict(reason="its compiled code could not be looked through in 0.7 s")
    assert time.monotonic() - begun < 5
    assert list(private.iterdir()) == []


def test_what_takes_too_much_memory_is_refused(tmp_path: Path) -> None:
    code = endless_name(compiled(tmp_path, OLD), 40 * MIB)

    large = examined(tmp_path, code, limits=Limits(elf_bytes=64 * MIB))

    assert large == Verdict(reason="its compiled code takes too much memory to look through")


def test_what_takes_too_much_of_the_disk_is_refused(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    made = compiled_wheel(tmp_path, {"acme/ext.so": compiled(tmp_path, OLD) + bytes(4 * MIB)})

    found = examine(made, made.name, Limits(archive_bytes=MIB), private)

    assert found == Verdict(reason="its compiled code inflates to a file that is too large to look through")
    assert list(private.iterdir()) == []


def test_a_limit_that_the_hub_was_started_with_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not root may not raise it: each look would have failed, and been tried again for ever."""
    limits = {resource.RLIMIT_AS: (MIB, MIB), resource.RLIMIT_FSIZE: (MIB, resource.RLIM_INFINITY)}
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)

    examiner._bound(resource.RLIMIT_AS, 2 * MIB)
    examiner._bound(resource.RLIMIT_FSIZE, 2 * MIB)

    assert limits == {resource.RLIMIT_AS: (MIB, MIB), resource.RLIMIT_FSIZE: (2 * MIB, 2 * MIB)}


def test_a_name_that_no_file_has_is_refused_and_not_repeated(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    """A reason of megabytes would have gone through the hub's memory into its database."""
    found = verdict(endless_name(compiled(tmp_path, OLD), MIB))

    assert found == Verdict(reason="acme/ext.so needs a library with a name that no file can have")


def test_names_are_told_in_letters_that_every_log_takes(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    code = needing(tmp_path, "libf\x1b[31m\u00e9.so.1")

    found = verdict(code)

    assert found.libraries == ("libf?[31m?.so.1",)
    assert "libf?[31m?.so.1 (acme/ext.so)" in (found.reason or "")


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

    assert examined(tmp_path, compiled(tmp_path, OLD)).tags == OLDEST


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
