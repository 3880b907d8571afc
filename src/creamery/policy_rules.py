"""How a rule of `index.allow` and `index.deny` is written: which files of which projects it means.

One rule is one line: a pattern of names, then the versions it means, then the kind of file it means; what is left out
means all of them. `evil-*`, `django<4.2`, `* kind=sdist`, `numpy>=1,<2 kind=wheel`. What follows from the rules is for
`index/policies.py` to say.

Standards: PEP 440 (versions; pre-releases count like all others), PEP 503 (names).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from packaging.specifiers import InvalidSpecifier, SpecifierSet

Kind = Literal["wheel", "sdist", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)

REMEDY = (
    "write a pattern of names, then versions as pip has them, then kind=wheel, kind=sdist or kind=other, where the last"
    " two may be left out: `evil-*`, `django<4.2`, `* kind=sdist`"
)

# All that pip and uv have ever built from: a rule against sdists that forgot one of them would be none.
_ARCHIVES = (
    *(".zip", ".tar", ".tgz", ".tbz", ".txz", ".tlz"),
    *(".tar.gz", ".tar.bz2", ".tar.xz", ".tar.lz", ".tar.lzma", ".tar.zst", ".tar.z"),
)

_RULE = re.compile(
    r"(?P<name>[A-Za-z0-9*?](?:[A-Za-z0-9*?._-]*[A-Za-z0-9*?])?)"
    r"(?: ?(?P<versions>[<>=!~].*?))?"
    r"(?: kind=(?P<kind>\S*))?",
    re.ASCII,
)
_SEPARATORS = re.compile(r"[-_.]+")
_BETWEEN = re.compile(r"[,\n](?!\s*[<>=!~])")


class NoRule(ValueError):
    """It cannot be read as a rule; the text says what it should be."""


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """Which files are meant.

    Attributes:
        text: as it was written, for whoever asks why.
        name: a pattern of normalised names.
        versions: None: all of them.
        kind: None: all of them.
    """

    text: str
    name: str
    versions: SpecifierSet | None
    kind: Kind | None

    @classmethod
    def parse(cls, text: str) -> PolicyRule:
        """Read one.

        Raises:
            NoRule: it is none.
        """
        written = " ".join(text.split())
        match = _RULE.fullmatch(written)
        if match is None:
            raise NoRule(f"is no rule: {REMEDY}")
        kind, stated = match["kind"], match["versions"]
        if kind is not None and kind not in KINDS:
            raise NoRule(f"names the kind {kind!r}, and there are {', '.join(KINDS)}: {REMEDY}")
        try:
            versions = None if stated is None else SpecifierSet(stated)
        except InvalidSpecifier as error:
            raise NoRule(f"names versions that cannot be read ({stated}): {REMEDY}") from error
        name = _SEPARATORS.sub("-", match["name"]).lower()
        return cls(written, name, versions, cast("Kind | None", kind))

    @property
    def means_whole_names(self) -> bool:
        """Does it mean all files of a name, also those that nobody has heard of yet?"""
        return self.versions is None and self.kind is None


def split_rules(text: str) -> list[str]:
    """Several rules in one text, as the environment has lists; a comma within versions does not end a rule."""
    return [piece.strip() for piece in _BETWEEN.split(text) if piece.strip()]


def kind_of(filename: str) -> Kind:
    """What a file is, by its name's end: installers go by that, too."""
    lowered = filename.lower()
    if lowered.endswith(".whl"):
        return "wheel"
    return "sdist" if lowered.endswith(_ARCHIVES) else "other"
