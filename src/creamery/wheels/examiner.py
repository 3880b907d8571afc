"""A program: looks through a wheel's compiled code, and says on standard output which platform tags are true.

`examiner.py PATH FILENAME BYTES SECONDS FILE_BYTES`: the latter are the most memory and processor time that it takes,
and the longest file that it writes. It is run by `elf.py`, imports nothing of ours but `compiled_code.py`, and writes
into the folder that it is run in, one file at a time. Whatever the code is, it ends with 0 and a verdict; else with a
sentence on standard error, where this machine is in the way.

The rules are auditwheel's: which libraries and which versions of symbols each policy of PEP 600 and PEP 656 allows.
`auditwheel show` itself asks the machine that it runs on for libraries and for its libc; here only the wheel counts: a
library is there if a policy allows it, or if the wheel brings it. Whether an RPATH leads to it is not asked: what is
loaded already is found without one, and published wheels rely on that (triton's plugins).
"""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from auditwheel.architecture import Architecture
from auditwheel.elfutils import elf_is_python_extension
from auditwheel.libc import Libc
from auditwheel.policy import Policy, WheelPolicies
from elftools.elf.elffile import ELFFile
from packaging.utils import parse_wheel_filename

from creamery.compiled_code import (
    Code,
    Extracted,
    Refused,
    check_tables,
    machine_of,
    read_code,
    shown,
    undefined_symbols,
    versioned_symbols,
)

NICE = 10
MAGIC = b"\x7fELF"
PIECE = 1024 * 1024
MOST_NAMED, MOST_LISTED = 8, 100
MUSLLINUX = "musllinux_1_2"

_PACKED_FLOOR = (2, 36)  # the first glibc that applies packed relocations (DT_RELR)

_FAULTS_OF_CODE = {
    errno.EINVAL: "its compiled code cannot be read: it points to where no file can have anything",
    errno.EFBIG: "its compiled code inflates to a file that is too large to look through",
}
"""What fails because of the code; any other OSError is this machine's fault."""

_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_POLICY = re.compile(r"(manylinux|musllinux)_(\d{1,4})_(\d{1,4})_(\w+)")
_GLIBC = re.compile(r"GLIBC_(\d{1,4})\.(\d{1,4})(?:\.\d{1,4})?")
_OF_GLIBC = re.compile(
    r"lib(?:c|m|mvec)\.so\.6|lib(?:pthread\.so\.0|dl\.so\.2|rt\.so\.1|util\.so\.1|resolv\.so\.2)"
    r"|ld-linux[^/]*|ld64\.so\.[12]"
)
_LOADER = re.compile(r"ld-linux[^/]*|ld64\.so\.[12]|ld-musl-[^/]*")
_OF_MUSL = re.compile(r"libc\.musl-[^/]*\.so\.1|libc\.so|ld-musl-[^/]*")
_NOWHERE = re.compile(r"any|macosx_.*|win.*|ios_.*|pyodide_.*|emscripten_.*|pyemscripten_.*|wasi_.*")
"""Where no ELF file is ever loaded."""


@dataclass
class Needs:
    """What all of a wheel's code needs together."""

    files: list[Code] = field(default_factory=list)
    symbols: dict[str, set[str]] = field(default_factory=dict)
    listed: dict[str, set[str]] = field(default_factory=dict)
    """Undefined symbols that some policy forbids, by the library that has them."""

    def libraries(self) -> dict[str, str]:
        """What is needed and not brought, with one of the files that need it."""
        brought = {code.name.rpartition("/")[2] for code in self.files} | {code.soname for code in self.files}
        wanted = {library: code.name for code in reversed(self.files) for library in code.needed}
        return {
            library: by for library, by in wanted.items() if library not in brought and not _LOADER.fullmatch(library)
        }


def main() -> None:
    """Say it, as one object of JSON."""
    most_bytes, seconds, file_bytes = map(int, sys.argv[3:6])
    _bound(resource.RLIMIT_AS, most_bytes)
    _bound(resource.RLIMIT_CPU, seconds)  # for when nobody is left to end it
    _bound(resource.RLIMIT_FSIZE, file_bytes)
    _bound(resource.RLIMIT_CORE, 0)
    os.nice(NICE)
    try:
        json.dump(verdict_on(Path(sys.argv[1]), sys.argv[2]), sys.stdout)
    except OSError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _bound(kind: int, most: int) -> None:
    """Set a limit of this process; one that is lower already stays, for only root may raise it."""
    hard = resource.getrlimit(kind)[1]
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (least, least))


def verdict_on(path: Path, filename: str) -> dict[str, Any]:
    """What is true of a wheel, or why it is not to be listed. An OSError is this machine's fault."""
    verdict: dict[str, Any] = {"tags": None, "reason": None, "libc": None, "floor": None, "libraries": []}
    try:
        _examine(path, filename, verdict)
    except Refused as error:
        verdict["reason"] = str(error)
    except MemoryError:
        verdict["reason"] = "its compiled code takes too much memory to look through"
    except OSError as error:
        if error.errno not in _FAULTS_OF_CODE:
            raise
        verdict["reason"] = _FAULTS_OF_CODE[error.errno]
    except Exception as error:  # noqa: BLE001 - pyelftools fails on broken code in any way; told to who runs this
        verdict["reason"] = f"its compiled code cannot be read: {type(error).__name__}: {shown(str(error))}"
    return verdict


def _examine(path: Path, filename: str, verdict: dict[str, Any]) -> None:
    platforms = sorted({tag.platform for tag in parse_wheel_filename(filename)[3]})
    with zipfile.ZipFile(path) as archive:
        compiled = [member for member in archive.infolist() if _is_compiled(archive, member)]
        if not compiled:
            return
        _check_may_have_code(platforms, compiled[0].filename)
        claims = [platform for platform in platforms if platform.startswith(("linux_", "manylinux", "musllinux"))]
        if not claims:
            return  # Android, FreeBSD and others have ELF files of their own, and no policy here
        architecture = _architecture_of(claims)
        needs = _needs_of(archive, compiled, architecture)
    libc = _libc_of(needs)
    verdict["libc"] = None if libc is None else libc.value
    _judge(needs, libc, architecture, claims, verdict)


def _is_compiled(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    if member.is_dir() or member.file_size < len(MAGIC):
        return False
    with archive.open(member) as source:
        return source.read(len(MAGIC)) == MAGIC


def _check_may_have_code(platforms: Sequence[str], name: str) -> None:
    for platform in platforms:
        if _NOWHERE.fullmatch(platform):
            said = "that it runs anywhere" if platform == "any" else platform
            raise Refused(f"its name says {said}, and {shown(name)} is compiled code for Linux")


def _architecture_of(claims: Sequence[str]) -> Architecture:
    """What the wheel's name says that its code is for.

    Raises:
        Refused: several, or what no policy knows.
    """
    known = {each.value: each for each in Architecture if each.baseline == each}
    found = {next((known[each] for each in known if claim.endswith(f"_{each}")), None) for claim in claims}
    architecture = next(iter(found))
    if len(found) > 1:
        raise Refused(f"its name says {' and '.join(claims)}, and compiled code is for one of them")
    if architecture is None:
        raise Refused(f"its name says {claims[0]}, for which there are no manylinux or musllinux tags")
    return architecture


def _needs_of(archive: zipfile.ZipFile, compiled: Sequence[zipfile.ZipInfo], architecture: Architecture) -> Needs:
    """What the code for this machine needs.

    What is for another one is data, as auditwheel sees it (kernels of graphics cards), unless Python is to import it.

    Raises:
        Refused: there is none, or Python cannot import some.
    """
    needs, listed = Needs(), _listed_symbols(architecture)
    others: dict[str, str] = {}
    for member in compiled:
        with _extracted(archive, member) as stream:
            elf = ELFFile(stream)
            check_tables(elf, stream.size, member.filename)
            machine, level = machine_of(elf)
            if machine == architecture.value:
                if level is not None:
                    raise Refused(f"{shown(member.filename)} needs a processor of {level}, which no tag can say")
                _add(needs, elf, member.filename, listed)
                continue
            # By the name that it has in the wheel: the symbol that Python looks for is called after it.
            if elf_is_python_extension(Path(PurePosixPath(member.filename).name), elf)[0]:
                raise Refused(f"its name says {architecture.value}, and {shown(member.filename)} is for {machine}")
            others[machine] = shown(member.filename)
    if not needs.files:
        named = ", ".join(f"{machine} ({name})" for machine, name in sorted(others.items())[:MOST_NAMED])
        raise Refused(f"its name says {architecture.value}, and its code is for {named}")
    return needs


@contextmanager
def _extracted(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[Extracted]:
    """A member in a file of its own, as long as it is looked at."""
    file = Path("code")
    with archive.open(member) as source, file.open("wb") as target:
        while piece := source.read(PIECE):
            target.write(piece)
    with Extracted(file) as stream:
        yield stream
    file.unlink()


def _listed_symbols(architecture: Architecture) -> dict[str, frozenset[str]]:
    """All symbols that any policy forbids to take from a library that it allows."""
    found: dict[str, frozenset[str]] = {}
    for libc in (Libc.GLIBC, Libc.MUSL) if architecture != Architecture.ppc64 else (Libc.GLIBC,):
        for policy in _policies(libc, architecture):
            for library, symbols in policy.blacklist.items():
                found[library] = found.get(library, frozenset()) | symbols
    return found


def _add(needs: Needs, elf: ELFFile, name: str, listed: Mapping[str, frozenset[str]]) -> None:
    code = read_code(elf, name)
    needs.files.append(code)
    for library, symbol in versioned_symbols(elf):
        needs.symbols.setdefault(library, set()).add(symbol)
    asked = {library: symbols for library, symbols in listed.items() if library in code.needed}
    undefined = {"*"} | (undefined_symbols(elf) if asked else set())  # an asterisk forbids the library
    for library, symbols in asked.items():
        needs.listed.setdefault(library, set()).update(symbols & undefined)


def _libc_of(needs: Needs) -> Libc | None:
    """Which libc the code is made for; None: it shows none.

    Raises:
        Refused: some is made for one, and some for the other.
    """
    asked = {name for code in needs.files for name in (*code.needed, code.loader or "")}
    versions = set().union(*needs.symbols.values())
    is_musl = any(map(_OF_MUSL.fullmatch, asked))
    is_glibc = any(map(_OF_GLIBC.fullmatch, asked)) or any(each.startswith("GLIBC_") for each in versions)
    if is_musl and is_glibc:
        raise Refused("some of its code is made for glibc, and some for musl")
    if is_musl:
        return Libc.MUSL
    return Libc.GLIBC if is_glibc else None


def _judge(
    needs: Needs, libc: Libc | None, architecture: Architecture, claims: Sequence[str], verdict: dict[str, Any]
) -> None:
    """Which tags are true; what needs no libc is held against that of its name, or else glibc.

    Raises:
        Refused: none is.
    """
    is_musl = libc == Libc.MUSL or (libc is None and all(claim.startswith("musllinux") for claim in claims))
    packed = next((code.name for code in needs.files if code.is_packed), None)
    if is_musl and packed is not None:
        raise Refused(f"{shown(packed)} has packed relocations (DT_RELR): it needs musl 1.2.4, which no tag can say")
    policies = _policies(Libc.MUSL if is_musl else Libc.GLIBC, architecture)
    libraries = needs.libraries()
    if is_musl:  # whose loader takes every such name for its own
        libraries = {library: by for library, by in libraries.items() if not _OF_MUSL.fullmatch(library)}
    policy = _policy_for(needs, libraries, policies)
    if policy is None:
        verdict["libraries"] = [shown(each) for each in _foreign(libraries, policies.lowest)[:MOST_LISTED]]
        raise Refused(_why_none(needs, libraries, policies))
    floor = max(_floor(policy.name) or (0, 0), _glibc_needed(needs))
    is_free = libc is None and not libraries and packed is None
    if all(_is_honest(claim, floor, is_musl=is_musl, is_free=is_free) for claim in claims):
        verdict["floor"] = floor if libc == Libc.GLIBC else None  # musl's symbols have no versions to tell it
        return
    verdict["floor"] = None if libc is None else floor
    named = next((each for each in policies if _floor(each.name) == floor), None)
    own = f"manylinux_{floor[0]}_{floor[1]}_{architecture.value}"
    verdict["tags"] = [own] if named is None else sorted((named.name, *named.aliases))


def _policies(libc: Libc, architecture: Architecture) -> WheelPolicies:
    """Those for one libc; of musl's the newest that every living Alpine keeps, not that of this machine.

    Raises:
        Refused: there are none.
    """
    if libc == Libc.MUSL and architecture == Architecture.ppc64:
        raise Refused("its code is for musl on ppc64, for which there are no musllinux tags")
    return WheelPolicies(libc=libc, arch=architecture, musl_policy=MUSLLINUX if libc == Libc.MUSL else None)


def _policy_for(needs: Needs, libraries: Mapping[str, str], policies: WheelPolicies) -> Policy | None:
    """The policy that most machines keep, of those that allow everything but glibc's own versions.

    These are numbers, and PEP 600 has a tag for each of them, where auditwheel has tables for some.
    """
    asked = {
        library: {each for each in found if not _GLIBC.fullmatch(each)} for library, found in needs.symbols.items()
    }
    by_symbols = policies.versioned_symbols_policy(asked)
    for policy in sorted(policies, reverse=True):
        if policy == policies.linux:
            break
        listed = any(needs.listed.get(name, set()) & symbols for name, symbols in policy.blacklist.items())
        if not by_symbols < policy and not listed and not _foreign(libraries, policy):
            return policy
    return None


def _glibc_needed(needs: Needs) -> tuple[int, int]:
    found = (_GLIBC.fullmatch(symbol) for symbols in needs.symbols.values() for symbol in symbols)
    by_symbols = max(((int(each[1]), int(each[2])) for each in found if each is not None), default=(0, 0))
    return max(by_symbols, _PACKED_FLOOR) if any(code.is_packed for code in needs.files) else by_symbols


def _foreign(libraries: Mapping[str, str], policy: Policy) -> list[str]:
    return sorted(library for library in libraries if library not in policy.whitelist)


def _why_none(needs: Needs, libraries: Mapping[str, str], policies: WheelPolicies) -> str:
    foreign = _foreign(libraries, policies.lowest)
    if foreign:
        named = ", ".join(f"{shown(each)} ({shown(libraries[each])})" for each in foreign[:MOST_NAMED])
        more = f", and {len(foreign) - MOST_NAMED} more" if len(foreign) > MOST_NAMED else ""
        return f"it needs libraries that it does not bring, and that not every Linux has: {named}{more}"
    for library, symbols in needs.listed.items():
        if symbols & policies.lowest.blacklist.get(library, frozenset()):
            return f"it needs symbols that not every {library} has: {shown(', '.join(sorted(symbols)[:MOST_NAMED]))}"
    known, asked = policies.lowest.symbol_versions, set().union(*needs.symbols.values())
    split = ((each, *each.partition("_")) for each in asked if not _GLIBC.fullmatch(each))
    versions = sorted(each for each, kind, _, version in split if version not in known.get(kind, {version}))
    return f"it needs versions of symbols that no policy allows: {shown(', '.join(versions[:MOST_NAMED]))}"


def _floor(name: str) -> tuple[int, int] | None:
    """The version of a libc in a policy's or tag's name."""
    legacy = next((floor for word, floor in _LEGACY.items() if name.startswith(f"{word}_")), None)
    found = _POLICY.fullmatch(name)
    return legacy or (None if found is None else (int(found[2]), int(found[3])))


def _is_honest(claim: str, floor: tuple[int, int], *, is_musl: bool, is_free: bool) -> bool:
    """Does a tag claim no more than is true? For what needs nothing of any libc, those of both do."""
    claimed = _floor(claim)
    if claimed is None:
        return False  # `linux_x86_64` says nothing of a libc
    if claim.startswith("musllinux"):
        return is_musl or is_free
    return not is_musl and claimed >= floor


if __name__ == "__main__":
    main()
