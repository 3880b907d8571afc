"""What an installation needs of this machine: uv, a Python, room, and, for what has no wheel, a compiler."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from creamery.client.checks import Check
from creamery.client.finding_uv import find_uv
from creamery.client.programs import ask

SAYS_ITS_COMMAND = (0, 9, 15)
"""The first uv that tells an index which of its commands asks."""

LEAST_FREE_BYTES = 1_000_000_000
PYTHON_SECONDS = 20.0
"""uv asks each Python that it meets what it is."""

_COMPILERS = ("cc", "gcc", "clang", "cl") if os.name == "nt" else ("cc", "gcc", "clang")
_NO_WHEEL = "what has no wheel, and has code in C, cannot be built here"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where an installation would run.

    Attributes:
        environ: this process's environment.
        folder: where it was called.
        place: tells where packages go, in uv's words; none: uv knows.
    """

    environ: Mapping[str, str]
    folder: Path
    place: Callable[[], Sequence[str]]


def look_at_uv(machine: Machine) -> Iterator[Check]:
    """Is it there, and new enough?

    Raises:
        UnusableInput: there is none.
    """
    uv = find_uv()
    said = ask([str(uv), "--version"], machine.environ)
    version = re.match(r"uv (\d+)\.(\d+)\.(\d+)", said or "")
    if version is None:
        yield Check("uv", "wrong", f"{uv} does not say its version", "Install it anew: pip install uv.")
    elif tuple(map(int, version.groups())) < SAYS_ITS_COMMAND:
        old = f"{version[0]} ({uv}) does not say which of its commands asks, so the hub shows it no built wheels"
        yield Check("uv", "warning", old, f"Take {_dotted(SAYS_ITS_COMMAND)} or newer: pip install --upgrade uv.")
    else:
        yield Check("uv", "ok", f"{version[0]} ({uv})")


def look_at_python(machine: Machine) -> Iterator[Check]:
    """Where would packages go?

    Raises:
        UnusableInput: there is no uv that knows.
    """
    words = machine.place()[1:] or ([machine.environ["UV_PYTHON"]] if machine.environ.get("UV_PYTHON") else [])
    command = [str(find_uv()), "python", "find", "--no-project", *words]
    found = ask(command, machine.environ, seconds=PYTHON_SECONDS)
    if found is None:
        asked = f" that is {words[0]}" if words else ""
        yield Check("python", "wrong", f"uv finds no Python{asked}", f"Make an environment: {command[0]} venv")
        return
    version = ask([*command, "--show-version"], machine.environ, seconds=PYTHON_SECONDS) or "of unknown version"
    yield Check("python", "ok", f"packages go to {found} ({version})")
    active = machine.environ.get("VIRTUAL_ENV")
    if active and not Path(active, "pyvenv.cfg").is_file():
        yield Check("python", "warning", f"VIRTUAL_ENV names {active}, and there is no environment", "Unset it.")


def look_at_compiler(machine: Machine) -> Iterator[Check]:
    """Can what has no wheel be built?"""
    named = shlex.split(machine.environ.get("CC", ""))[:1]
    for name in named or _COMPILERS:
        if found := shutil.which(name, path=machine.environ.get("PATH")):
            yield Check("compiler", "ok", found)
            return
    if named:
        yield Check("compiler", "warning", f"CC names {named[0]}, and there is none: {_NO_WHEEL}", "Unset CC.")
    else:
        remedy = "Let another machine build it and push the wheel, or install a compiler."
        yield Check("compiler", "note", f"there is none: {_NO_WHEEL}", remedy)


def look_at_folders(machine: Machine) -> Iterator[Check]:
    """Is there room where uv works?

    Raises:
        UnusableInput: there is no uv, so no cache of its.
    """
    named = machine.environ.get("TMPDIR") if os.name == "posix" else None
    yield _of_folder("temporary folder", Path(named or tempfile.gettempdir()), "Name another in TMPDIR.")
    cache = ask([str(find_uv()), "cache", "dir"], machine.environ)
    remedy = "Name another in UV_CACHE_DIR, or make room: uv cache prune."
    if cache is None:
        yield Check("uv's cache", "wrong", "uv does not say where its cache is", "See what `uv cache dir` says.")
    else:
        yield _of_folder("uv's cache", Path(cache), remedy, is_made=True)


def look_at_python_path(machine: Machine) -> Iterator[Check]:
    """What every Python would find before its own packages."""
    folders = [Path(each) for each in machine.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    if not folders:
        yield Check("PYTHONPATH", "ok", "not set")
        return
    yield Check("PYTHONPATH", "note", f"{machine.environ['PYTHONPATH']}: builds find what is there before their own")
    for folder in folders:
        if (folder / "sitecustomize.py").is_file() or (folder / "sitecustomize").is_dir():
            yield Check("PYTHONPATH", "note", f"sitecustomize in {folder} runs in every Python, in builds as well")


def _of_folder(name: str, folder: Path, remedy: str, *, is_made: bool = False) -> Check:
    """`is_made`: whoever needs it makes it, if it can be made."""
    there = folder
    while is_made and not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Check(name, "wrong", f"{folder} cannot be written to: {error.strerror}", remedy)
    gigabytes = f"{free / 1e9:.1f} GB are free"
    if free < LEAST_FREE_BYTES:
        return Check(name, "warning", f"{folder}: {gigabytes}", remedy)
    return Check(name, "ok", f"{folder}: {gigabytes}")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
