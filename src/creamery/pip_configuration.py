"""pip's own configuration: which indexes `pip install` asks on this machine.

As pip reads it (pip._internal.configuration, whose names change from one pip to the next); settings.py hands in the
environment, and judges what is found.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path


def pip_index_url(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The index that `pip install` asks, and where it is written: PIP_INDEX_URL, or a file's path.

    Of several files the later wins, section by section; then [install] wins over [global], wherever they stand, and the
    environment over both. What is empty is not set.
    """
    if url := environment.get("PIP_INDEX_URL"):
        return url, "PIP_INDEX_URL"
    found: dict[str, tuple[str, str]] = {}
    for path, section, url in _written(environment, "index-url"):
        found[section] = url, str(path)
    return next((found[section] for section in _SECTIONS if found.get(section, ("", ""))[0]), None)


def pip_files_values(environment: Mapping[str, str], option: str) -> list[tuple[str, Path]]:
    """What pip's files say of an option of `pip install`, each with the file that says it; the later wins."""
    return [(value, path) for path, _, value in _written(environment, option)]


_SECTIONS = ("install", "global")


def _written(environment: Mapping[str, str], option: str) -> Iterator[tuple[Path, str, str]]:
    for path in _files(environment):
        parser = _File()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue  # pip's own business; it says so itself, and the hub has a default
        for section in _SECTIONS:
            if parser.has_option(section, option):
                yield path, section, parser.get(section, option)


class _File(configparser.RawConfigParser):
    """One of pip's files; `index_url` and `--index-url` are `index-url` there."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr.lower().replace("_", "-").removeprefix("--")


def _files(environment: Mapping[str, str]) -> list[Path]:
    """pip's files in the order in which it reads them."""
    named = environment.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - as pip does; a user without a home is no error
    config_home = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    shared = [Path(folder) for folder in (environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if folder]
    files = [*(folder / "pip" / "pip.conf" for folder in shared), Path("/etc/pip.conf")]
    if not (named and os.path.exists(named)):  # noqa: PTH110 - it stands in for the user's own; a denied look is a no
        files += [home / ".pip" / "pip.conf", config_home / "pip" / "pip.conf"]
    files.append(Path(sys.prefix) / "pip.conf")
    return [*files, Path(named)] if named else files
