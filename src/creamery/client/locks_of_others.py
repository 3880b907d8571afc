"""Locks that were made at another index go on holding below `creamery run`, where the hub stands in its place.

uv refuses a lock that names an index which it has not been told of: `uv sync --locked` ends there, and `uv sync` writes
the lock anew with the hub's addresses. So it is told of those indexes, as explicit ones: they are asked for nothing
that a project does not itself ask of them. No variable says such a thing; it stands in a uv.toml where the system has
its own, which yields to the project's and the user's and is read beside them.
"""

from __future__ import annotations

import os
import re

from creamery.client.places import and_above

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FOLDERS = "XDG_CONFIG_DIRS"
"""Names the folders in which uv looks for the system's own configuration; not on Windows."""
MOST_BYTES = 64 * 1024**2
"""Of a lock file that is read."""

_REGISTRY = re.compile(r'\bregistry = "(https?://[^"\\\s]+)"')
_DEFAULT = re.compile(r'(?:[\w.-]+=)?(https?://)(?:[^/@]*@)?([^"\\\s@]+)')


def variables_for_locks(folder: str, hub: str, command: Sequence[str], own: Mapping[str, str]) -> dict[str, str]:
    """More of a command's environment, with which uv takes locks that name other indexes.

    Args:
        folder: this run's; a configuration is written there.
        hub: its address.
        command: that is run.
        own: this process's environment.
    """
    before = own.get(FOLDERS) or "/etc/xdg"
    others = dict.fromkeys(url for url in _indexes(command, own) if not url.startswith(f"{hub}/"))
    theirs = _system_configuration(before)
    if os.name != "posix" or not others or theirs is None:
        return {}
    above = os.path.join(folder, "configuration")  # noqa: PTH118 - pathlib costs 3 ms of a start
    os.makedirs(os.path.join(above, "uv"))  # noqa: PTH103, PTH118
    with open(os.path.join(above, "uv", "uv.toml"), "w", encoding="utf-8") as file:  # noqa: PTH118, PTH123
        file.write(theirs)
        file.writelines(
            f'\n[[index]]\nname = "creamery-locked-{number}"\nurl = "{url}"\nexplicit = true\n'
            for number, url in enumerate(others)
        )
    return {FOLDERS: f"{above}{os.pathsep}{before}"}


def _indexes(command: Sequence[str], own: Mapping[str, str]) -> Iterator[str]:
    """Those that locks name here or where the command is told to work, and what would be the default without us."""
    for folder in (*and_above(os.getcwd()), *(word.rpartition("=")[2] for word in command)):  # noqa: PTH109
        path = os.path.join(folder, "uv.lock")  # noqa: PTH118
        if os.path.isfile(path) and os.path.getsize(path) <= MOST_BYTES:  # noqa: PTH113, PTH202
            with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                yield from _REGISTRY.findall(file.read())
    if default := _DEFAULT.fullmatch(own.get("UV_DEFAULT_INDEX") or own.get("UV_INDEX_URL") or ""):
        yield default[1] + default[2]


def _system_configuration(folders: str) -> str | None:
    """What uv would have read there; None: nothing can be added to it."""
    paths = [os.path.join(folder, "uv", "uv.toml") for folder in folders.split(os.pathsep)]  # noqa: PTH118
    path = next((path for path in (*paths, "/etc/uv/uv.toml") if os.path.isfile(path)), None)  # noqa: PTH113
    if path is None:
        return ""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            text = file.read()
    except (OSError, UnicodeDecodeError):  # which uv will say
        return None
    return None if re.search(r"^\s*index\s*=", text, re.MULTILINE) else text + "\n"
