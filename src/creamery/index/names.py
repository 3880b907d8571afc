"""Names that no upstream ever hears: those that are reserved. Claimed ones have it in their rows (`Owner`).

A reserved name is private before anybody has uploaded it: whoever could put a project of that name into an upstream
would otherwise be installed in its place (dependency confusion).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from sqlalchemy import Connection, select

from creamery.contract import ProjectName
from creamery.database import Committer, Database, Generations
from creamery.index.tables import DOUBTED, index_reserved

_SEPARATORS = re.compile(r"[-_.]+")
_PATTERN = re.compile(r"[a-z0-9*?-]{1,255}", re.ASCII)


class NoPattern(ValueError):
    """It cannot be a pattern of names."""


def parse_pattern(text: str) -> str:
    """A pattern of names, as names are compared (PEP 503): `Acme_*` is `acme-*`.

    Raises:
        NoPattern: it has other characters, or none that is a letter or digit.
    """
    pattern = _SEPARATORS.sub("-", text).lower()
    if not _PATTERN.fullmatch(pattern) or not re.search("[a-z0-9]", pattern):
        raise NoPattern(f"{text[:80]!r} is no pattern of names: write letters, digits, - and *, such as acme-*")
    return pattern


class Names:
    """The patterns of reserved names, in memory and always as they are in the database. May be asked from any thread.

    Args:
        fixed: patterns of the settings.
    """

    def __init__(
        self, database: Database, committer: Committer, generations: Generations, fixed: Iterable[str]
    ) -> None:
        self._database = database
        self._fixed = tuple(parse_pattern(pattern) for pattern in fixed)
        self._patterns: tuple[str, ...] = self._fixed
        generations.on_change("index", self.load)
        committer.on_commit(lambda announced: self.load() if DOUBTED in announced else None)

    def load(self) -> None:
        """Read them; in a thread."""
        self._patterns = (*self._fixed, *self._database.read(reserved_patterns))

    @property
    def fixed(self) -> tuple[str, ...]:
        """Those of the settings."""
        return self._fixed

    @property
    def patterns(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys(self._patterns))

    def reserved_by(self, name: ProjectName) -> str | None:
        """The pattern that a name falls under; None: it is not reserved."""
        return next((pattern for pattern in self._patterns if fnmatchcase(name, pattern)), None)


def reserved_patterns(connection: Connection) -> list[str]:
    """The patterns that were reserved by command, in order."""
    return list(connection.execute(select(index_reserved.c.pattern).order_by(index_reserved.c.pattern)).scalars())
