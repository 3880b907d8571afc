"""Is a wheel for the interpreter and the machine that a build was for (PEP 425, PEP 600, PEP 656)?

The hub asks it of whoever pushes, so that no key leads to a wheel of another machine; whoever is handed a wheel asks it
again, for an installer that is handed a foreign one gives up.
"""

from __future__ import annotations

import re

from packaging.utils import parse_wheel_filename

from creamery.contract.build_key import Build

_SYSTEMS = {"linux": ("linux", "manylinux", "musllinux"), "macos": ("macosx",), "windows": ("win",)}
_FAT = ("universal2", "fat", "intel")
_LIBC = re.compile(r"(many|musl)linux_(\d+)_(\d+)_", re.ASCII)
_FAMILY = {"many": "glibc", "musl": "musl"}
_LEGACY = {"manylinux1": "manylinux_2_5", "manylinux2010": "manylinux_2_12", "manylinux2014": "manylinux_2_17"}


def why_foreign(build: Build, filename: str) -> str | None:
    """Why the wheel is for another interpreter or machine than the build; None: it is for this one.

    Raises:
        packaging.utils.InvalidWheelFilename: it is no wheel's name.
    """
    _, _, _, tags = parse_wheel_filename(filename)
    if not any(_is_for(build, tag.interpreter, tag.abi) for tag in tags):
        return f"{filename} is for another interpreter than the record says ({build.python}, {build.abi})"
    if not any(_runs_on(build, tag.platform) and _has_libc(build, tag.platform) for tag in tags):
        place = f"{build.system}, {build.architecture}, {build.libc or 'no libc'}"
        return f"{filename} is for another platform than the record says ({place})"
    return None


def _is_for(build: Build, interpreter: str, abi: str) -> bool:
    if abi == build.abi:
        return interpreter == build.python
    if abi == "abi3":  # of this version and all later ones
        return interpreter[:3] == build.python[:3] == "cp3" and _minor(interpreter) <= _minor(build.python)
    return abi == "none" and interpreter in {build.python, build.python.replace("cp", "py"), "py3", "py2"}


def _minor(interpreter: str) -> int:
    return int(interpreter[3:]) if interpreter[3:].isdecimal() else 0


def _runs_on(build: Build, platform: str) -> bool:
    if platform == "any":
        return True
    begins = _SYSTEMS.get(build.system, (build.system,))
    architectures = (build.architecture, *_FAT) if build.system == "macos" else (build.architecture,)
    return platform.startswith(begins) and (platform.endswith(architectures) or platform == "win32")


def _has_libc(build: Build, platform: str) -> bool:
    """Whoever has the key has the libc that stands in it, and could load neither another's wheel nor a newer one's."""
    begin, separator, rest = platform.partition("_")
    match = _LIBC.match(_LEGACY.get(begin, begin) + separator + rest)
    if match is None or build.libc is None:
        return True
    family, _, version = build.libc.partition(" ")
    major, _, minor = version.partition(".")
    return family == _FAMILY[match[1]] and (int(match[2]), int(match[3])) <= (int(major), int(minor))
