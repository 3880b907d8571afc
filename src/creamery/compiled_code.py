"""What one file of compiled code asks of the machine that loads it (the System V ABI's ELF, and its GNU extensions).

Reads what somebody else has made, so it is for a program of its own (`wheels/examiner.py`): code that is broken fails
in any way that pyelftools knows, and may take as much time and memory as there is. It imports nothing of ours, so that
the program that needs it begins fast.

A loader reads segments, and auditwheel sections, which nobody needs to run the code. Where the two do not lie on the
same bytes, the code is refused: what its sections tell is no witness.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditwheel.lddtree import _get_platform  # the one place that knows both machine and x86-64 level
from elftools.elf.dynamic import DynamicSection, DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import Section, SymbolTableSection
from elftools.elf.segments import InterpSegment, Segment

PAGE = 4096
LONGEST_NAME = 255  # of a file, on every disk: what is longer, no loader finds
_LONG = 64  # bits of an ELF file's numbers
_UNDEFINED, _WEAK = 0, 2  # SHN_UNDEF, STB_WEAK
_SYSTEMS = ("ELFOSABI_SYSV", "ELFOSABI_LINUX", "ELFOSABI_ARM", "ELFOSABI_ARM_AEABI")
"""What Linux's loaders take; to code for FreeBSD glibc's says "ELF file OS ABI invalid"."""
_LOADERS_PLACE = re.compile(r"/lib(?:64)?(?:/lp64d)?/(?:ld-linux[^/]*|ld64\.so\.[12]|ld-musl-[^/]*)")


class Refused(Exception):
    """The wheel is not to be listed; the text says why."""


@dataclass
class Code:
    """What one file of compiled code needs, and is called."""

    name: str
    needed: set[str]
    soname: str | None
    loader: str | None
    is_packed: bool = False
    """Are its relocations packed (DT_RELR)? A loader that does not know them leaves its pointers wrong, silently."""


class Extracted(io.BufferedReader):
    """A file that gives no more than it has: pyelftools asks for as much as the file says, up to 4 GiB at once."""

    def __init__(self, file: Path) -> None:
        super().__init__(io.FileIO(file))
        self.size = file.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(self.size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


def shown(text: str) -> str:
    """Somebody else's text on one line, of letters that every log and database takes."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in text[:200])


def check_tables(elf: ELFFile, size: int, name: str) -> None:
    """See that there is room in the file for as many headers as it says, before they are read one by one."""
    sections = elf["e_shoff"] + elf.num_sections() * elf["e_shentsize"]
    segments = elf["e_phoff"] + elf.num_segments() * elf["e_phentsize"]
    if max(sections, segments) > size:
        raise Refused(f"{shown(name)} is cut off, or says more of itself than it has")


def machine_of(elf: ELFFile) -> tuple[str, str | None]:
    """The machine as tags call it, and the level of x86-64 beyond the first, where the linker has left word of it."""
    system = elf["e_ident"]["EI_OSABI"]
    if system not in _SYSTEMS:
        return shown(f"{elf['e_machine']} of {system}"), None
    platform = _get_platform(elf)
    try:
        machine, level = platform.baseline_architecture, platform.extended_architecture
    except ValueError:
        return shown(str(elf["e_machine"])), None
    return machine.value, None if level is None else level.value


def read_code(elf: ELFFile, name: str) -> Code:
    """What the loader will look for, and where.

    Raises:
        Refused: segments and sections do not lie on the same bytes.
    """
    segments, sections = list(elf.iter_segments()), list(elf.iter_sections())
    loader = _loader(segments, name)
    dynamic = [each for each in segments if isinstance(each, DynamicSegment)]
    described = [each for each in sections if isinstance(each, DynamicSection)]
    if not dynamic and not described:
        return Code(name, set(), None, loader)  # linked statically, or not linked yet
    versions = [each for each in sections if isinstance(each, GNUVerNeedSection)]
    if len(dynamic) != 1 or len(described) != 1 or not _is_witnessed(elf, dynamic[0], described[0], versions):
        raise Refused(f"the sections of {shown(name)} do not tell what its dynamic segment does")
    texts: dict[str, list[str]] = {"DT_NEEDED": [], "DT_SONAME": []}
    kinds: set[str] = set()
    for tag in dynamic[0].iter_tags():
        kind = str(tag.entry.d_tag)
        kinds.add(kind)
        if kind in texts:
            texts[kind].append(str(getattr(tag, kind.removeprefix("DT_").lower())))
    if "DT_FILTER" in kinds:  # glibc's loader wants that library as it wants those of DT_NEEDED
        raise Refused(f"{shown(name)} stands for another library (DT_FILTER), which cannot be looked at")
    if any(not 0 < len(library) <= LONGEST_NAME for library in texts["DT_NEEDED"]):
        raise Refused(f"{shown(name)} needs a library with a name that no file can have")
    soname = texts["DT_SONAME"][-1] if texts["DT_SONAME"] else None
    return Code(name, set(texts["DT_NEEDED"]), soname, loader, "DT_RELR" in kinds)


def versioned_symbols(elf: ELFFile) -> Iterator[tuple[str, str]]:
    """The versions that are needed, by library; also of glibc's loader, which auditwheel leaves out.

    It has versions as libc has: `__rseq_offset` is GLIBC_2.35, and without that version no older glibc loads the code.
    """
    table = elf.get_section_by_name(".gnu.version_r")
    if isinstance(table, GNUVerNeedSection):
        for version, names in table.iter_versions():
            for each in names:
                yield str(version.name), str(each.name)


def undefined_symbols(elf: ELFFile) -> set[str]:
    """What auditwheel's `get_undefined_symbols` finds, in a fiftieth of the time: tensorflow has 600,000."""
    table = elf.get_section_by_name(".dynsym")
    if not isinstance(table, SymbolTableSection):
        return set()
    order = "<" if elf.little_endian else ">"
    layout = struct.Struct(order + ("IBxHxxxxxxxxxxxxxxxx" if elf.elfclass == _LONG else "IxxxxxxxxBxH"))
    body = table.data()
    whole = memoryview(body)[: len(body) // layout.size * layout.size]
    found = ((name, info >> 4) for name, info, section in layout.iter_unpack(whole) if section == _UNDEFINED)
    return {table.stringtable.get_string(name) for name, binding in found if binding != _WEAK}


def _loader(segments: Sequence[Segment], name: str) -> str | None:
    """The loader of a program, by the last part of its path.

    Raises:
        Refused: no other machine has one there: programs of Nix, for instance.
    """
    found = [each.get_interp_name() for each in segments if isinstance(each, InterpSegment)]
    for path in found:
        if not _LOADERS_PLACE.fullmatch(path):
            raise Refused(f"{shown(name)} is a program for the loader {shown(path)}, which not every Linux has")
    return found[0].rpartition("/")[2] if found else None


def _is_witnessed(
    elf: ELFFile, segment: DynamicSegment, section: DynamicSection, versions: Sequence[GNUVerNeedSection]
) -> bool:
    """Do the sections that are read here lie where a loader finds the same tables?"""
    loads = [each.header for each in elf.iter_segments() if each["p_type"] == "PT_LOAD" and each["p_memsz"]]
    said = {str(tag.entry.d_tag): int(tag.entry.d_val) for tag in segment.iter_tags()}
    same: list[tuple[Section | None, int | None]] = [
        (section, segment["p_vaddr"]),
        (elf.get_section(section["sh_link"]), said.get("DT_STRTAB")),
    ]
    for tag, name in (("DT_SYMTAB", ".dynsym"), ("DT_VERNEED", ".gnu.version_r")):  # as auditwheel looks for them
        named = elf.get_section_by_name(name)
        if named is not None or tag in said:
            same.append((named, said.get(tag)))
    for each in versions:
        same += [(each, said.get("DT_VERNEED")), (elf.get_section(each["sh_link"]), said.get("DT_STRTAB"))]
    return (
        segment["p_offset"] == section["sh_offset"]
        and all(map(_is_whole, versions))
        and all(each is not None and _offset_of(loads, at, each["sh_size"]) == each["sh_offset"] for each, at in same)
    )


def _offset_of(loads: Sequence[Any], address: int | None, size: int) -> int | None:
    """Where in the file lies what is loaded to an address; None: nowhere, or several parts are mapped over it."""
    if address is None:
        return None
    first, last = address // PAGE, (address + max(size, 1) - 1) // PAGE
    over = [
        each
        for each in loads
        if each["p_vaddr"] // PAGE <= last and (each["p_vaddr"] + each["p_memsz"] - 1) // PAGE >= first
    ]
    if len(over) != 1:
        return None
    start, end = over[0]["p_vaddr"], over[0]["p_vaddr"] + over[0]["p_filesz"]
    if over[0]["p_filesz"] == over[0]["p_memsz"]:  # else what follows in the last page is zeroed
        end = -(-end // PAGE) * PAGE
    is_inside = start // PAGE * PAGE <= address and address + size <= end
    return int(over[0]["p_offset"] + address - start) if is_inside else None


def _is_whole(table: GNUVerNeedSection) -> bool:
    """Has it just as many entries as it says? A loader follows them to their end, and auditwheel counts."""
    left = table.num_versions()
    for version, names in table.iter_versions():
        left -= 1
        names_left = version["vn_cnt"]
        for each in names:
            names_left -= 1
            if (names_left == 0) != (each["vna_next"] == 0):
                return False
        if (left == 0) != (version["vn_next"] == 0):
            return False
    return True
