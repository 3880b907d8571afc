"""Is a file the wheel that its name says? What is handed out unlooked at would fail the installation.

That the bytes are those that a cache has promised says only that it is consistent. What the hub looks for when a wheel
is pushed is much more (`wheels/checking.py`); this is what installers stumble over.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from email.parser import HeaderParser
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

MOST_UNPACKED = 16 * 1024**3
MOST_METADATA = 16 * 1024**2

_INFO = re.compile(r"[^/]+\.dist-info(?=/)")
_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, NotImplementedError)


def why_broken(wheel: Path) -> str | None:
    """Why nobody can install a file that is called as a wheel is; None: nothing is known against it."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    try:
        with zipfile.ZipFile(wheel) as archive:
            wrong = _why_strange(archive) or _why_another(archive, name, version)
            broken = None if wrong else archive.testzip()
    except _UNREADABLE as error:
        return f"it cannot be unpacked ({type(error).__name__})"
    return wrong if broken is None else f"{broken[:200]!r} in it is broken"


def _why_strange(archive: zipfile.ZipFile) -> str | None:
    if sum(each.file_size for each in archive.infolist()) > MOST_UNPACKED:
        return f"it unpacks to more than {MOST_UNPACKED} bytes"
    folders = _folders(archive)
    if len(folders) != 1:
        return f"it has {len(folders)} folders with metadata"
    missing = [each for each in ("METADATA", "WHEEL", "RECORD") if f"{folders[0]}/{each}" not in archive.NameToInfo]
    return f"it has no {missing[0]}" if missing else None


def _why_another(archive: zipfile.ZipFile, name: str, version: Version) -> str | None:
    metadata = archive.getinfo(f"{_folders(archive)[0]}/METADATA")
    if metadata.file_size > MOST_METADATA:
        return f"its METADATA has more than {MOST_METADATA} bytes"
    said = HeaderParser().parsestr(archive.read(metadata).decode("utf-8", "replace"))
    its_name, its_version = str(said["Name"]), str(said["Version"])
    try:
        if canonicalize_name(its_name) == name and Version(its_version) == version:
            return None
    except InvalidVersion:
        pass
    return f"it says that it is {its_name[:100]!r} {its_version[:100]!r}"


def _folders(archive: zipfile.ZipFile) -> list[str]:
    return sorted({match[0] for each in archive.namelist() if (match := _INFO.match(each))})
