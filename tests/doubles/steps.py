"""Writes down in which order things happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def noted(steps: list[str], step: str, act: Callable[P, T]) -> Callable[P, T]:
    """`act`, and `step` in the list whenever it is called."""

    def noting(*args: P.args, **kwargs: P.kwargs) -> T:
        steps.append(step)
        return act(*args, **kwargs)

    return noting
