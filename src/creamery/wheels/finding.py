"""Which of a project's built wheels comes first, and which one a question means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from creamery.contract import InvalidName, ProjectName, normalize
from creamery.wheels.place import BuiltFile

_FORMAT = re.compile(r"~?[a-z0-9.]+", re.ASCII)


class WrongQuery(ValueError):
    """Nobody can tell what is asked for."""


class Query:
    """A question as Curdling's clients put it: `project>=1.0` or `project (>=1.0)`, then perhaps `;whl` or `;~whl`.

    The second part is the form that is wanted, or with a tilde the one that is not.

    Attributes:
        project: is asked for.

    Raises:
        WrongQuery: it is none.
    """

    def __init__(self, text: str) -> None:
        written, _, form = text.partition(";")
        if form and not _FORMAT.fullmatch(form):
            raise WrongQuery(f"{form[:80]!r} is no form of a file: write whl, or ~whl for what is no wheel")
        try:
            requirement = Requirement(written)
            self.project: ProjectName = normalize(requirement.name)
        except (ValueError, InvalidName) as error:
            raise WrongQuery(str(error)) from error
        self._versions = requirement.specifier
        self._form = form.removeprefix("~")
        self._is_denied = form.startswith("~")

    def best(self, files: Iterable[BuiltFile]) -> BuiltFile | None:
        """The newest that fits, of its files the one that most machines can use; None: nothing fits.

        A version that is a pre-release is taken only where there is no other, or the question names one (PEP 440).
        """
        versions = releases(file for file in files if self._is_of_the_form(file))
        fitting = list(self._versions.filter([version for version, _ in versions]))
        return dict(versions)[fitting[0]][0] if fitting else None

    def _is_of_the_form(self, file: BuiltFile) -> bool:
        return not self._form or file.filename.endswith(f".{self._form}") != self._is_denied


def releases(files: Iterable[BuiltFile]) -> list[tuple[Version, Sequence[BuiltFile]]]:
    """By version, the newest first; of each version's files those come first that most machines can use.

    Clients such as Curdling's take the first without a look at its tags.
    """
    ordered = sorted(files, key=lambda file: (Version(file.version), _breadth(file)), reverse=True)
    return [(version, list(some)) for version, some in groupby(ordered, key=lambda file: Version(file.version))]


def _breadth(file: BuiltFile) -> tuple[int, int, int]:
    """Large for what many machines can use: pure wheels, then those of many platforms, then others, then sdists."""
    if not file.is_wheel:
        return -1, 0, 0
    _, _, build, tags = parse_wheel_filename(file.filename)
    platforms = {tag.platform for tag in tags}
    is_portable = any(name.startswith(("manylinux", "musllinux", "macosx", "win")) for name in platforms)
    breadth = 2 if platforms == {"any"} else int(is_portable)
    is_abi_free = any(tag.abi in {"none", "abi3"} for tag in tags)
    return breadth, int(is_abi_free), build[0] if build else -1
