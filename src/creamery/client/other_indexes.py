"""Which indexes uv and pip would ask on this machine besides a hub, and where that is written.

uv takes a project from the first index that has its name, and asks those that were added before the hub; pip takes the
newest file of all. So whoever publishes under one of your names on an index that is asked besides is installed.

Read as uv reads them: the nearest uv.toml, or pyproject.toml with a table [tool.uv], then the user's uv.toml, then the
system's; UV_CONFIG_FILE names another instead of all, UV_NO_CONFIG none. What a default index is set to does not
count: `creamery install` and `run` put the hub in its place.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from creamery.client.address import HubAddress, parse_address, without_user
from creamery.client.errors import UnusableInput

_ADDED_BY_VARIABLES = {
    "UV_INDEX": r"\s+",
    "UV_EXTRA_INDEX_URL": r"\s+",
    "UV_FIND_LINKS": ",",
    "PIP_EXTRA_INDEX_URL": r"\s+",
    "PIP_FIND_LINKS": r"\s+",
}
"""And what stands between the addresses in one."""

_REPLACED_BY_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_SWITCHES = ("UV_NO_INDEX", "UV_OFFLINE", "PIP_NO_INDEX")
_OFF = frozenset({"", "0", "n", "no", "f", "false", "off"})

PipFiles = Iterable[tuple[str, str, Path]]
"""What pip's own files say: an option, such as `extra-index-url`, its value, and the file."""


@dataclass(frozen=True, slots=True)
class OtherIndex:
    """An index that something names.

    Attributes:
        address: without what it holds of a password.
        option: the variable or option that names it.
        file: where that stands; None: in the environment.
        is_added: it is asked besides the hub; else in the hub's place, where the hub is away.
    """

    address: str
    option: str
    file: Path | None
    is_added: bool

    @property
    def place(self) -> str:
        """What names it, for people."""
        return self.option if self.file is None else f"{self.option} in {self.file}"


@dataclass(frozen=True, slots=True)
class Unread:
    """A file of uv's that is there and cannot be read."""

    file: Path


def other_indexes(
    hub: HubAddress | None, environ: Mapping[str, str], folder: Path, pip: PipFiles
) -> list[OtherIndex | Unread]:
    """All of them but the hub itself.

    Args:
        hub: which hub is meant.
        environ: this process's environment.
        folder: where programs are called.
        pip: what its files say.
    """
    named = [*_of_variables(environ), *_of_uv_files(environ, folder), *_of_pip_files(pip)]
    found: list[OtherIndex | Unread] = []
    for each in named:
        if isinstance(each, Unread):
            found.append(each)
        else:
            address, option, file, is_added = each
            if address and not _is_of(hub, address):
                found.append(OtherIndex(without_user(address), option, file, is_added))
    return found


def switches(environ: Mapping[str, str]) -> list[str]:
    """The variables that keep uv or pip from asking any index, the hub as well."""
    return [name for name in _SWITCHES if environ.get(name, "").lower() not in _OFF]


_Named = tuple[str, str, Path | None, bool]


def _of_variables(environ: Mapping[str, str]) -> Iterator[_Named]:
    for name, between in _ADDED_BY_VARIABLES.items():
        for address in re.split(between, environ.get(name, "")):
            yield address.strip(), name, None, True
    for name in _REPLACED_BY_VARIABLES:
        yield environ.get(name, "").strip(), name, None, False


def _of_uv_files(environ: Mapping[str, str], folder: Path) -> Iterator[_Named | Unread]:
    for file in _uv_files(environ, folder):
        table, prefix = _settings(file)
        if table is None:
            yield Unread(file)
            continue
        for option, address, is_added in (*_options(table), *_options(_table(table, "pip"), "pip.")):
            yield address, prefix + option, file, is_added


def _settings(file: Path) -> tuple[Mapping[str, Any] | None, str]:
    """What a file says to uv, and what stands before its options; None: it cannot be read."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # its text may quote a password
        return None, ""
    return (_table(document, "tool", "uv"), "tool.uv.") if file.name == "pyproject.toml" else (document, "")


def _options(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, bool]]:
    for option in ("extra-index-url", "find-links"):
        for address in _list(table.get(option)):
            yield prefix + option, str(address), True
    yield prefix + "index-url", str(table.get("index-url") or ""), False
    for index in _list(table.get("index")):
        if isinstance(index, dict) and index.get("explicit") is not True:  # an explicit one has what is sent to it
            yield prefix + "index", str(index.get("url") or ""), index.get("default") is not True


def _of_pip_files(pip: PipFiles) -> Iterator[_Named]:
    for option, value, file in pip:
        for address in value.split():
            yield address, option, file, option != "index-url"


def _uv_files(environ: Mapping[str, str], folder: Path) -> Iterator[Path]:
    """uv's files, in the order in which it reads them."""
    if named := environ.get("UV_CONFIG_FILE"):
        yield Path(named)
    elif environ.get("UV_NO_CONFIG", "").lower() in _OFF:
        for homes in (_projects(folder), _users(environ), _systems(environ)):
            yield from [file for file in homes if file.is_file()][:1]


def _projects(folder: Path) -> Iterator[Path]:
    for each in (folder, *folder.parents):
        yield each / "uv.toml"
        project = each / "pyproject.toml"
        if project.is_file() and _settings(project)[0] != {}:
            yield project


def _users(environ: Mapping[str, str]) -> list[Path]:
    if os.name == "nt":
        return [Path(environ["APPDATA"], "uv", "uv.toml")] if environ.get("APPDATA") else []
    if environ.get("XDG_CONFIG_HOME"):
        return [Path(environ["XDG_CONFIG_HOME"], "uv", "uv.toml")]
    return [Path(environ["HOME"], ".config", "uv", "uv.toml")] if environ.get("HOME") else []


def _systems(environ: Mapping[str, str]) -> list[Path]:
    if os.name == "nt":
        return [Path(environ["PROGRAMDATA"], "uv", "uv.toml")] if environ.get("PROGRAMDATA") else []
    shared = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    return [*(Path(each, "uv", "uv.toml") for each in shared.split(os.pathsep) if each), Path("/etc/uv/uv.toml")]


def _is_of(hub: HubAddress | None, address: str) -> bool:
    """Is it the hub's? `NAME=` may stand before it, where uv lets one be named."""
    try:
        found, _ = parse_address(re.sub(r"^[\w.-]+=", "", address))
    except UnusableInput:
        return False
    return hub is not None and found.origin == hub.origin and f"{found.path}/".startswith(f"{hub.path}/")


def _table(document: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        found = document.get(name)
        document = found if isinstance(found, dict) else {}
    return document


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
