"""Where packages are to go, as whoever calls uv says it; where more is said. Imports little: uv is to start soon."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PYTHON = ("--python", "-p")
PLACES = (*PYTHON, "--target", "-t", "--prefix")


def place_words(arguments: Sequence[str], names: Sequence[str] = PLACES) -> list[str]:
    """The words among uv's that say it, with what they take: `-p 3.12`, `-p3.12`, `--target=lib`, `--system`."""
    whole = tuple(name if len(name) == len("-p") else f"{name}=" for name in names)
    found, takes = [], False
    for word in arguments:
        if takes or word == "--system" or word in names or word.startswith(whole):
            found.append(word)
        takes = not takes and word in names
    return found


def with_options(arguments: Sequence[str], options: Sequence[str]) -> list[str]:
    """The same with more options behind all others: uv obeys the last, and takes what follows `--` for requirements."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:end], *options, *arguments[end:]]


def python_of(arguments: Sequence[str]) -> str:
    """The Python that is asked for; empty: none is."""
    words = [word for word in place_words(arguments, PYTHON) if word not in {*PYTHON, "--system"}]
    return words[-1].removeprefix("--python=").removeprefix("-p") if words else ""


def and_above(folder: str) -> Iterator[str]:
    """A folder, and all those that it lies in."""
    while True:
        yield folder
        above = os.path.dirname(folder)  # noqa: PTH120 - pathlib costs 3 ms of a start
        if above == folder:
            return
        folder = above
