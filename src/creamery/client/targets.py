"""Whom files are for: a Python and a platform, as `uv --python-version --python-platform` name them.

Which wheels fit, and which of them fits best, is said by tags (PEP 425, PEP 600, PEP 656) in the order in which pip and
uv both have them; `packaging` makes them for any Python, and here for platforms other than this one too.
"""

from __future__ import annotations

import platform as this_platform
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from packaging.markers import Environment, default_environment
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms, platform_tags, sys_tags

from creamery.client.errors import UnusableInput

ALIASES = {
    "linux": "x86_64-unknown-linux-gnu",
    "macos": "aarch64-apple-darwin",
    "windows": "x86_64-pc-windows-msvc",
}
GLIBC, MUSL, MACOS = 28, 2, 13
"""What uv takes a platform to have where its name does not say: manylinux_2_28, musllinux_1_2, macOS 13."""

_VERSION = re.compile(r"3\.(\d{1,2})(?:\.\d{1,2})?", re.ASCII)
_LINUX = re.compile(
    r"(?P<cpu>x86_64|aarch64)-(?:(?P<gnu>unknown-linux-gnu)|(?P<musl>unknown-linux-musl)"
    r"|(?P<old>manylinux2014)|manylinux_2_(?P<glibc>\d{1,2}))",
    re.ASCII,
)
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_WINDOWS = {
    "x86_64-pc-windows-msvc": ("win_amd64", "AMD64"),
    "aarch64-pc-windows-msvc": ("win_arm64", "ARM64"),
    "i686-pc-windows-msvc": ("win32", "x86"),
}
_MACS = {"aarch64-apple-darwin": "arm64", "x86_64-apple-darwin": "x86_64"}


@dataclass(frozen=True, slots=True)
class Target:
    """A Python on a platform.

    Attributes:
        python: its version, such as `3.12`; None: the Python that runs this.
        platform: its name; None: the platform that this runs on.
    """

    python: str | None = None
    platform: str | None = None

    def __post_init__(self) -> None:
        """Raises UnusableInput: there is no such Python or platform."""
        if self.python is not None and not _VERSION.fullmatch(self.python):
            raise UnusableInput(f"{self.python!r} is no Python to fetch for.", "Write it like 3.12.")
        if self.platform is not None and not self._is_known_platform():
            raise UnusableInput(
                f"{self.platform!r} is no platform to fetch for.",
                "Write linux, macos, windows, or more exactly, such as x86_64-manylinux_2_34 or aarch64-apple-darwin.",
            )

    def uv_options(self) -> list[str]:
        """How uv is told. The Python that runs this is the one that it may ask; it downloads none."""
        options = ["--python", sys.executable, "--no-python-downloads"]
        if self.python is not None:
            options += ["--python-version", self.python]
        if self.platform is not None:
            options += ["--python-platform", self.platform]
        return options

    def tags(self) -> list[Tag]:
        """What a wheel may say of itself, the best first."""
        if self.python is None and this_platform.python_implementation() != "CPython":
            return list(sys_tags())
        # What promises nothing about its C library last: uv has it there, packaging has it first.
        platforms = sorted(self._platforms(), key=lambda name: name.startswith("linux_"))
        version = self._version()
        name = f"cp{version[0]}{version[1]}"
        abis = None if self.python is None else [name]  # this Python may be another build, such as a free-threaded one
        return [*cpython_tags(version, abis, platforms), *compatible_tags(version, name, platforms)]

    def environment(self) -> Environment:
        """What markers are held against (PEP 508)."""
        found = default_environment()
        if self.python is not None:
            major, minor = self._version()
            full = self.python if self.python.count(".") > 1 else f"{self.python}.0"
            found["python_version"] = f"{major}.{minor}"
            found["python_full_version"] = found["implementation_version"] = full
        if self.platform is not None:
            found["os_name"], found["sys_platform"], found["platform_system"] = self._system()
            found["platform_machine"] = self._machine()
            found["platform_release"] = found["platform_version"] = ""
        return found

    def _name(self) -> str:
        return ALIASES.get(self.platform or "", self.platform or "")

    def _is_known_platform(self) -> bool:
        name = self._name()
        return name in _WINDOWS or name in _MACS or _LINUX.fullmatch(name) is not None

    def _version(self) -> tuple[int, int]:
        match = _VERSION.fullmatch(self.python or this_platform.python_version().rstrip("+"))
        return (3, int(match[1])) if match else sys.version_info[:2]

    def _system(self) -> tuple[str, str, str]:
        if self._name() in _WINDOWS:
            return "nt", "win32", "Windows"
        return ("posix", "darwin", "Darwin") if self._name() in _MACS else ("posix", "linux", "Linux")

    def _machine(self) -> str:
        name = self._name()
        if name in _WINDOWS:
            return _WINDOWS[name][1]
        return _MACS.get(name) or name.partition("-")[0]

    def _platforms(self) -> Iterator[str]:
        if self.platform is None:
            return platform_tags()
        name = self._name()
        if name in _WINDOWS:
            return iter([_WINDOWS[name][0]])
        if name in _MACS:
            return mac_platforms((MACOS, 0), _MACS[name])
        return iter(_linux_platforms(name))


def _linux_platforms(name: str) -> Sequence[str]:
    """The newest first; what has no promise about its C library last."""
    match = _LINUX.fullmatch(name)
    assert match is not None  # noqa: S101 - a target of another name was refused
    cpu = match["cpu"]
    if match["musl"]:
        return [*(f"musllinux_1_{minor}_{cpu}" for minor in range(MUSL, -1, -1)), f"linux_{cpu}"]
    newest = int(match["glibc"] or (17 if match["old"] else GLIBC))
    oldest = 5 if cpu == "x86_64" else 17  # PEP 599: manylinux2014 is the first for other processors
    found = []
    for minor in range(newest, oldest - 1, -1):
        found.append(f"manylinux_2_{minor}_{cpu}")
        if minor in _LEGACY:
            found.append(f"{_LEGACY[minor]}_{cpu}")
    return [*found, f"linux_{cpu}"]
