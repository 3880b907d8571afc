"""What `index.allow` and `index.deny` come to, for each file and for whole names.

A denied file is withheld, whatever allows it. Where anything is allowed by a rule, the rest is withheld. The rules
hold for what was uploaded here as for what an upstream has: whoever writes an allow list writes their own names there.
How a rule is written: `policy_rules.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from packaging.version import InvalidVersion, Version

from creamery.contract import ProjectName, version_text
from creamery.policy_rules import Kind, PolicyRule, kind_of

_REMEMBERED = 20_000
"""Decisions in memory, of each kind; a page has as many as it has versions, twice or thrice."""


class Policy:
    """The rules of one hub. May be asked from any thread.

    Args:
        allow, deny: rules as they are written.

    Raises:
        NoRule: one is none; settings are asked about that before.
    """

    def __init__(self, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        self._allow = tuple(map(PolicyRule.parse, allow))
        self._deny = tuple(map(PolicyRule.parse, deny))
        # Asked for each file of each page that is rendered: nearly all of them are decided alike.
        self._about = lru_cache(_REMEMBERED)(self._find_about)
        self._verdict = lru_cache(_REMEMBERED)(self._find_verdict)

    def about(self, name: ProjectName) -> object:
        """What the rules say of a project's files, to be compared with what others say of them."""
        return self._about(name)

    def why_name_withheld(self, name: ProjectName) -> str | None:
        """Why nothing of that name is ever offered, so that no upstream need hear it; None: something may be."""
        about = self._about(name)
        return None if about is None else about.whole

    def why_withheld(self, name: ProjectName, filename: str) -> str | None:
        """Why a file is not offered; None: no rule stands against it. Two look-ups in memory."""
        about = self._about(name)
        if about is None:
            return None
        if about.whole is not None:
            return about.whole
        return self._verdict(name, version_text(filename, name), kind_of(filename))

    def _find_about(self, name: ProjectName) -> _About | None:
        deny = tuple(rule for rule in self._deny if fnmatchcase(name, rule.name))
        allow = tuple(rule for rule in self._allow if fnmatchcase(name, rule.name))
        denying = next((rule for rule in deny if rule.means_whole_names), None)
        if denying is not None:
            return _About(deny, allow, f"it is denied here (index.deny: {denying.text})")
        if self._allow and not allow:
            return _About(deny, allow, "no rule allows it here (index.allow)")
        if not deny and (not self._allow or any(rule.means_whole_names for rule in allow)):
            return None
        return _About(deny, allow, None)

    def _find_verdict(self, name: ProjectName, text: str | None, kind: Kind) -> str | None:
        about = self._about(name)
        if about is None:
            return None
        version = _version(text)
        for rule in about.deny:
            if _means(rule, version, kind, unreadable=True):
                if version is None and rule.versions is not None:
                    return f"its version cannot be read, and versions of it are denied here (index.deny: {rule.text})"
                return f"it is denied here (index.deny: {rule.text})"
        if not self._allow or any(_means(rule, version, kind, unreadable=False) for rule in about.allow):
            return None
        if version is None and any(rule.versions is not None for rule in about.allow):
            return "its version cannot be read, and only some are allowed here (index.allow)"
        return "no rule allows it here (index.allow)"


@dataclass(frozen=True, slots=True)
class _About:
    """The rules that name a project; `whole`: why nothing of it is offered."""

    deny: tuple[PolicyRule, ...]
    allow: tuple[PolicyRule, ...]
    whole: str | None


def _means(rule: PolicyRule, version: Version | None, kind: Kind, *, unreadable: bool) -> bool:
    """Does it mean this file? `unreadable`: what it says of versions that cannot be read."""
    if rule.kind is not None and rule.kind != kind:
        return False
    if rule.versions is None:
        return True
    return unreadable if version is None else rule.versions.contains(version, prereleases=True)


def _version(text: str | None) -> Version | None:
    try:
        return None if text is None else Version(text)
    except InvalidVersion:
        return None
