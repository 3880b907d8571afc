"""Who changes something, when, and under which rules: what every write of a tree is given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something, and under which rules.

    Attributes:
        now: microseconds since 1970.
        user_id: who.
        quota: bytes of a space that has no quota of its own; None: as many as the disk has.
        tokens: of locks that came along.
        refuses_windows_names: new names must be such that Windows can hold them.
    """

    now: int
    user_id: int | None
    quota: int | None = None
    tokens: frozenset[str] = frozenset()
    refuses_windows_names: bool = False
