"""What lies in the environment that uv has installed into, as its metadata says it (`*.dist-info`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_version, parse_wheel_filename

from creamery.client.places import place_words
from creamery.client.programs import ask
from creamery.client.site_packages import infos, is_direct, seen, version_in

SECONDS = 30.0


class Environment:
    """What is installed in one folder, which is listed once.

    Raises:
        OSError: it cannot be listed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._infos = infos(str(folder))

    def tags(self, name: str, version: str) -> frozenset[str] | None:
        """The tags of the wheel that a package was installed from; None: it is not there."""
        info = self._info(name, version)
        if info is None:
            return None
        wheel = info / "WHEEL"
        text = wheel.read_text(encoding="utf-8", errors="replace") if wheel.is_file() else ""
        lines = (line.partition(":") for line in text.splitlines())
        return frozenset(value.strip() for head, _, value in lines if head.lower() == "tag")

    def is_of_an_index(self, name: str, version: str) -> bool:
        """Was a package installed from an index, and not from a folder, an address or a repository (PEP 610)?"""
        info = self._info(name, version)
        return info is not None and not is_direct(str(info))

    def record(self, name: str, version: str) -> Path:
        """The list of a package's files, which is there where the package is."""
        return (self._info(name, version) or self._folder) / "RECORD"

    def _info(self, name: str, version: str) -> Path | None:
        info = self._infos.get(name)
        is_it = info is not None and canonicalize_version(version_in(info)) == canonicalize_version(version)
        return Path(info) if info is not None and is_it else None


def location(uv: str, names: Sequence[str], arguments: Sequence[str], own: Mapping[str, str]) -> Path | None:
    """The folder that packages were installed into: seen where it is a virtual environment's, else as uv says it."""
    if (folder := seen(arguments, own)) is not None:
        return Path(folder)
    words = [uv, "pip", "show", *place_words(arguments), *names]
    for line in (ask(words, own, seconds=SECONDS) or "").splitlines():
        if line.startswith("Location: "):
            return Path(line.removeprefix("Location: ").strip())
    return None


def tags_of(filename: str) -> frozenset[str]:
    """What a wheel's name says that it is for."""
    try:
        return frozenset(map(str, parse_wheel_filename(filename)[3]))
    except InvalidWheelFilename:
        return frozenset()
