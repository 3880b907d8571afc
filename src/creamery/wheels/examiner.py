"""A program: looks through a wheel's compiled code, and says on standard output which platform tags are true.

`examiner.py PATH FILENAME BYTES SECONDS`: the latter are the most memory and processor time that it takes. It is run
by `elf.py`, and imports nothing of ours. The rules are auditwheel's: which libraries and which versions of symbols each
policy of PEP 600 and PEP 656 allows. Only the wheel counts, and not what this machine has: a library is there if a
policy allows it, or the wheel brings it.

A loader reads the dynamic segment, and auditwheel the sections, which nobody needs to run it; where they tell different
things, the wheel is refused.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from auditwheel.architecture import Architecture
from auditwheel.elfutils import elf_find_versioned_symbols, filter_undefined_symbols
from auditwheel.lddtree import _get_platform  # the one place that knows both machine and x86-64 level
from auditwheel.libc import Libc
from auditwheel.policy import Policy, WheelPolicies
from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection, DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from packaging.utils import parse_wheel_filename

NICE = 10
MAGIC = b"\x7fELF"
PIECE = 1024 * 1024
MOST_NAMED = 8

_MANYLINUX = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_POLICY = re.compile(r"(manylinux|musllinux)_(\d+)_(\d+)_(\w+)")
_LOADER = re.compile(r"ld-linux.*|ld64\.so\.[12]|ld-musl-.*")
_MUSL = re.compile(r"libc\.musl-.*\.so\.1|libc\.so")


class Refused(Exception):
    """The wheel is not to be listed; the text says why."""


@dataclass
class Needs:
    """What all of a wheel's code needs together."""

    architecture: Architecture | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    symbols: dict[str, set[str]] = field(default_factory=dict)
    provided: set[str] = field(default_factory=set)
    files: list[tuple[str, Path]] = field(default_factory=list)


def main() -> None:
    """Say it, as one object of JSON."""
    most_bytes, seconds = int(sys.argv[3]), int(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)
    verdict: dict[str, Any] = {"tags": None, "reason": None, "libc": None, "floor": None, "libraries": []}
    try:
        verdict |= examine(Path(sys.argv[1]), sys.argv[2])
    except Refused as error:
        verdict["reason"] = str(error)
    except (
        ELFError,
        ValueError,
        KeyError,
        IndexError,
        AttributeError,
        TypeError,
        OverflowError,
        RecursionError,
    ) as error:
        verdict["reason"] = f"its compiled code cannot be read: {type(error).__name__}: {str(error)[:200]}"
    except MemoryError:
        verdict["reason"] = "its compiled code takes too much memory to look through"
    json.dump(verdict, sys.stdout)


def examine(path: Path, filename: str) -> dict[str, Any]:
    """What is true of a wheel.

    Raises:
        Refused: it is not to be listed.
    """
    platforms = sorted({tag.platform for tag in parse_wheel_filename(filename)[3]})
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        needs = Needs()
        for name, file in _compiled(archive, Path(folder)):
            _add(needs, name, file)
        architecture = needs.architecture
        if architecture is None:
            return {}
        _refuse_other_machines(platforms, architecture)
        libc = _libc_of(needs)
        policy, policies = _policy_for(needs, libc, architecture)
        if policy == policies.linux:
            raise Refused(_why_none(needs, policies))
    floor = _floor(policy.name)
    found = {"libc": None if libc is None else libc.value, "floor": floor}
    if libc == Libc.MUSL and all(name.startswith("musllinux") for name in platforms):
        return found  # musl's symbols have no versions: what it needs, only its builder knows
    if all(_is_honest(name, policy.name, floor) for name in platforms):
        return found
    return {**found, "tags": sorted((policy.name, *policy.aliases))}


def _compiled(archive: zipfile.ZipFile, folder: Path) -> Iterator[tuple[str, Path]]:
    """Each ELF file, in a file of its own."""
    for number, member in enumerate(archive.infolist()):
        if member.is_dir() or member.file_size < len(MAGIC):
            continue
        with archive.open(member) as source:
            begin = source.read(len(MAGIC))
            if begin != MAGIC:
                continue
            file = folder / f"{number}"
            with file.open("wb") as target:
                target.write(begin)
                while piece := source.read(PIECE):
                    target.write(piece)
        yield member.filename, file


def _add(needs: Needs, name: str, file: Path) -> None:
    with file.open("rb") as stream:
        elf = ELFFile(stream)
        platform = _get_platform(elf)
        machine = platform.baseline_architecture  # raises a ValueError for what no policy knows
        if needs.architecture not in {None, machine}:
            raise Refused(f"it has code for several machines: {needs.architecture} and {machine} ({name})")
        needs.architecture = machine
        extended = platform.extended_architecture
        if extended not in {None, machine}:
            raise Refused(f"{name} needs a processor of the level {extended}, which no tag can say")
        needed, soname = _dynamic(elf, name)
        for library in needed:
            needs.libraries.setdefault(library, name)
        needs.provided |= {PurePosixPath(name).name} | ({soname} if soname else set())
        for library, symbol in elf_find_versioned_symbols(elf):
            needs.symbols.setdefault(library, set()).add(symbol)
    needs.files.append((name, file))


def _dynamic(elf: ELFFile, name: str) -> tuple[set[str], str | None]:
    """What the loader will look for, and what this is called.

    Raises:
        Refused: segments and sections tell different things.
    """
    segments = [segment for segment in elf.iter_segments() if isinstance(segment, DynamicSegment)]
    sections = [section for section in elf.iter_sections() if isinstance(section, DynamicSection)]
    in_segments = {tag.needed for tag in _tags(segments, "DT_NEEDED")}
    in_sections = {tag.needed for tag in _tags(sections, "DT_NEEDED")}
    versions = {tag["d_val"] for tag in _tags(segments, "DT_VERNEED")}
    counts = {tag["d_val"] for tag in _tags(segments, "DT_VERNEEDNUM")}
    tables = [section for section in elf.iter_sections() if isinstance(section, GNUVerNeedSection)]
    if (
        len(segments) > 1
        or in_segments != in_sections
        or versions != {table["sh_addr"] for table in tables}
        or counts != {table.num_versions() for table in tables}
    ):
        raise Refused(f"the sections of {name} do not tell what its dynamic segment needs")
    return in_segments, next((tag.soname for tag in _tags(segments, "DT_SONAME")), None)


def _tags(dynamic: Sequence[Any], kind: str) -> list[Any]:
    """All entries of a kind; they have an attribute each that their class does not name."""
    return [tag for each in dynamic for tag in each.iter_tags(kind)]


def _refuse_other_machines(platforms: list[str], architecture: Architecture) -> None:
    for platform in platforms:
        if platform == "any":
            raise Refused("its name says that it runs anywhere, and it has compiled code for Linux in it")
        if not platform.startswith(("linux_", "manylinux", "musllinux")):
            raise Refused(f"its name says {platform}, and it has compiled code for Linux in it")
        if not platform.endswith(f"_{architecture}"):
            raise Refused(f"its name says {platform}, and its code is for {architecture}")


def _libc_of(needs: Needs) -> Libc | None:
    """Which libc it is made for.

    Raises:
        Refused: for several.
    """
    found = {Libc.MUSL for library in needs.libraries if _MUSL.fullmatch(library)}
    if "libc.so.6" in needs.libraries or any(
        each.startswith("GLIBC_") for all_ in needs.symbols.values() for each in all_
    ):
        found.add(Libc.GLIBC)
    if len(found) > 1:
        raise Refused("it needs both glibc and musl")
    return next(iter(found), None)


def _policy_for(needs: Needs, libc: Libc | None, architecture: Architecture) -> tuple[Policy, WheelPolicies]:
    """The policy that most machines keep; what needs no libc at all is counted with glibc's."""
    policies = WheelPolicies(
        libc=libc or Libc.GLIBC, arch=architecture, musl_policy=_newest_musl() if libc == Libc.MUSL else None
    )
    by_symbols = policies.versioned_symbols_policy(needs.symbols)
    for policy in sorted(policies, reverse=True):
        if policy == policies.linux:
            return policy, policies
        if not by_symbols < policy and not _foreign(needs, policy) and not _forbidden(needs, policy):
            return policy, policies
    return policies.linux, policies


def _newest_musl() -> str:
    """Not this machine's: a hub may run on anything."""
    names = {
        policy.name for policy in WheelPolicies(libc=Libc.MUSL, arch=Architecture.x86_64, musl_policy="musllinux_1_2")
    }
    return str(max(names - {"linux_x86_64"})).rsplit("_", 2)[0]


def _foreign(needs: Needs, policy: Policy) -> list[str]:
    """Libraries that neither the policy allows nor the wheel brings."""
    return sorted(
        library
        for library in needs.libraries
        if library not in policy.whitelist and library not in needs.provided and not _LOADER.fullmatch(library)
    )


def _forbidden(needs: Needs, policy: Policy) -> dict[str, list[str]]:
    """Symbols that an allowed library has only since later."""
    listed = {name: symbols for name, symbols in policy.blacklist.items() if name in needs.libraries}
    found: dict[str, list[str]] = {}
    for _, file in needs.files if listed else ():
        found |= filter_undefined_symbols(file, listed)
    return found


def _why_none(needs: Needs, policies: WheelPolicies) -> str:
    newest = policies.lowest
    foreign = _foreign(needs, newest)
    if foreign:
        named = ", ".join(f"{library} ({needs.libraries[library]})" for library in foreign[:MOST_NAMED])
        return f"it needs libraries that it does not bring, and that not every Linux has: {named}"
    symbols = sorted({symbol for found in needs.symbols.values() for symbol in found})
    return f"it needs versions of symbols that no policy allows: {', '.join(symbols[-MOST_NAMED:])}"


def _floor(name: str) -> tuple[int, int] | None:
    """The libc version in a policy's or tag's name."""
    legacy = next((floor for word, floor in _MANYLINUX.items() if name.startswith(f"{word}_")), None)
    found = _POLICY.fullmatch(name)
    return legacy or (None if found is None else (int(found[2]), int(found[3])))


def _is_honest(platform: str, policy: str, floor: tuple[int, int] | None) -> bool:
    """Does a tag claim no more than the policy does?"""
    claimed = _floor(platform)
    same = platform[:9] == policy[:9]  # `manylinux` or `musllinux`
    return same and claimed is not None and floor is not None and claimed >= floor


if __name__ == "__main__":
    main()
