"""What the file name of an upload promises (PEP 427, PEP 625, PEP 527, PEP 715).

Unlike PyPI this takes wheels for `linux_x86_64` and other platforms that say nothing about the C library: whoever runs
a hub of their own knows the machines that install from it. Sdists may have any spelling that normalises to their
project's name, for setuptools wrote dots and hyphens until version 69.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from packaging.tags import Tag
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from creamery.contract import InvalidName, ProjectName, parse_filename
from creamery.index.archives.refusal import BadArchive, shown, told

_INSTEAD = {
    ".egg": "eggs are no longer uploaded (PEP 715): build a wheel, `python -m build --wheel`",
    ".exe": "Windows installers are no longer uploaded (PEP 527): build a wheel, `python -m build --wheel`",
    ".msi": "Windows installers are no longer uploaded (PEP 527): build a wheel, `python -m build --wheel`",
    ".rpm": "system packages are no longer uploaded (PEP 527): build a wheel, `python -m build --wheel`",
    ".deb": "system packages are no longer uploaded (PEP 527): build a wheel, `python -m build --wheel`",
    ".dmg": "disk images are no longer uploaded (PEP 527): build a wheel, `python -m build --wheel`",
    ".tar.bz2": "sdists are .tar.gz (PEP 527): build it with `python -m build --sdist`",
    ".tar.xz": "sdists are .tar.gz (PEP 527): build it with `python -m build --sdist`",
    ".tar.z": "sdists are .tar.gz (PEP 527): build it with `python -m build --sdist`",
    ".tgz": "sdists are .tar.gz (PEP 527): build it with `python -m build --sdist`",
    ".tar": "sdists are .tar.gz (PEP 527): build it with `python -m build --sdist`",
}
_DASHES_WITH_BUILD = 5
_TAG = re.compile(r"[A-Za-z0-9_]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Promise:
    """What a file's name says about it."""

    filename: str
    project: ProjectName
    version: Version
    kind: Literal["wheel", "sdist"]
    container: Literal["zip", "tar.gz"]
    tags: frozenset[Tag]
    build: str = ""
    """As a wheel's name has it; empty where it has none."""


def read_promise(filename: str) -> Promise:
    """What the file name of a wheel or sdist promises.

    Raises:
        BadArchive: it is neither's.
    """
    for suffix, instead in _INSTEAD.items():
        if filename.lower().endswith(suffix):
            raise BadArchive(f"{shown(filename)} is neither a wheel nor an sdist; {instead}.")
    try:
        said = parse_filename(filename)
    except InvalidName as error:
        raise BadArchive(
            f"{told(error)}. A wheel is named {{name}}-{{version}}-{{python}}-{{abi}}-{{platform}}.whl, an sdist"
            " {name}-{version}.tar.gz; build it anew with `python -m build` instead of renaming it."
        ) from error
    if said.kind == "sdist":
        container: Literal["zip", "tar.gz"] = "zip" if filename.endswith(".zip") else "tar.gz"
        return Promise(filename, said.project, said.version, "sdist", container, frozenset())
    tags = parse_wheel_filename(filename)[3]
    build = filename.split("-")[2] if filename.count("-") == _DASHES_WITH_BUILD else ""
    for tag in tags:
        if not all(_TAG.fullmatch(part) for part in (tag.interpreter, tag.abi, tag.platform)):
            raise BadArchive(
                f"{filename!r} has a tag {str(tag)!r} that is none (PEP 425: letters, digits and '_'); build the wheel"
                " anew, or correct its tags with `wheel tags`."
            )
    return Promise(filename, said.project, said.version, "wheel", "zip", tags, build)
