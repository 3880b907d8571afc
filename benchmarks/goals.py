"""The goals, as goals.toml has them, and what was measured against them."""

from __future__ import annotations

import operator
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GOALS_FILE = Path(__file__).with_name("goals.toml")

_HOLDS = {"at_least": operator.ge, "at_most": operator.le, "exactly": operator.eq}
_SIGNS = {"at_least": ">=", "at_most": "<=", "exactly": "="}


@dataclass(frozen=True, slots=True)
class Goal:
    """One promise.

    Attributes:
        bound: `at_least`, `at_most` or `exactly`.
    """

    name: str
    what: str
    unit: str
    why: str
    bound: str
    value: float

    def is_reached_by(self, measured: float) -> bool:
        """Is this good enough?"""
        return bool(_HOLDS[self.bound](measured, self.value))

    def __str__(self) -> str:
        return f"{_SIGNS[self.bound]} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that was measured.

    Attributes:
        goal: the name of the goal that it belongs to; None: it is told, and nothing depends on it.
        case: which page, file or number of clients.
        value: in the goal's unit; None: it cannot be measured on this machine, and `ours` says why.
        ours, peer: what the value was made of, for people.
        rounds: the value of each round, where there were several.
    """

    goal: str | None
    case: str
    value: float | None
    ours: str = ""
    peer: str = ""
    rounds: tuple[float, ...] = ()


def load_goals(path: Path = GOALS_FILE) -> Mapping[str, Goal]:
    """All goals by name.

    Raises:
        ValueError: a goal lacks something, has something else, or has not exactly one bound.
    """
    goals = {}
    for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
        bounds = [bound for bound in _HOLDS if bound in table]
        if len(bounds) != 1 or table.keys() != {"what", "unit", "why", bounds[0]}:
            raise ValueError(f"goal {name}: what, unit, why and one of {', '.join(_HOLDS)}; it has {', '.join(table)}")
        goals[name] = Goal(name, table["what"], table["unit"], table["why"], bounds[0], float(table[bounds[0]]))
    return goals
