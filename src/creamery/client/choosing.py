"""From what is asked for to the files that an installation takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.pylock import is_valid_pylock_path

from creamery.client.errors import UnusableInput
from creamery.client.lockfile import Chosen, ChosenFile, choose, hashes_in
from creamery.client.targets import Target
from creamery.client.uv import resolve
from creamery.client.wire import Hub

_INCLUDED = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[= ]\s*(\S+)", re.MULTILINE)
MOST_INCLUDED = 100


def chosen_files(
    hub: Hub,
    requirements: Sequence[str],
    files: Sequence[Path],
    target: Target,
    *,
    may_build: bool = False,
    takes_sdists: bool = False,
) -> Chosen:
    """The files that installations of these through a hub take.

    What is in lock files is read out of them; everything else is resolved by uv, together, as one installation is.

    Args:
        may_build: code of packages without a wheel may run here, and where they are installed.
        takes_sdists: packages may come as sdists though nothing is built here: only their names are wanted.

    Raises:
        UnusableInput: nothing can be installed, or some of it would not come through this hub.
    """
    locks = [file for file in files if is_valid_pylock_path(file)]
    others = [file for file in files if file not in locks]
    takes_sdists = takes_sdists or may_build
    found = [choose(_text(file), target, place=str(file), takes_sdists=takes_sdists) for file in locks]
    if requirements or others:
        index = f"{hub.address}/simple/"
        locked = resolve(index, hub.credentials, requirements, others, target, may_build=may_build)
        allowed = {digest for file in _with_included(others) for digest in hashes_in(_text(file))}
        chosen = choose(locked, target, place="What uv has found", allowed=allowed, takes_sdists=takes_sdists)
        for file in chosen.files:
            _refuse_other_indexes(hub, file)
        found.append(chosen)
    unique = dict.fromkeys(file for one in found for file in one.files)
    return Chosen(tuple(unique), tuple(dict.fromkeys(name for one in found for name in one.elsewhere)))


def _refuse_other_indexes(hub: Hub, file: ChosenFile) -> None:
    url = re.sub(r"(?<=://)[^/@]*@", "", file.url or "")
    if url.startswith(f"{hub.address}/"):
        return
    raise UnusableInput(
        f"{file.filename} would come from {url.rpartition('/')[0] or 'elsewhere'}, and not from this hub.",
        "Take other indexes out of the requirements and of uv's configuration, or make them upstreams of the hub.",
    )


def _with_included(files: Sequence[Path]) -> Iterator[Path]:
    """Requirements files, and those that they name."""
    waiting, seen = list(files), set[Path]()
    while waiting and len(seen) < MOST_INCLUDED:
        file = waiting.pop()
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        yield file
        waiting += [file.parent / name for name in _INCLUDED.findall(_text(file))]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableInput(
            f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is no UTF-8'}."
        ) from error
