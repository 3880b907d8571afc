"""The scenarios, in the order in which they run. Each names the goals that it measures and has `measure(bench)`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from benchmarks.bench import Bench
from benchmarks.goals import Figure
from benchmarks.scenarios import (
    accounts,
    carts,
    changes,
    cold,
    crowd,
    files,
    help_text,
    hive,
    installing,
    pages,
    refusals,
    revalidation,
    staging,
    start,
    uploads,
    wheels,
)


class Scenario(Protocol):
    """A module of this folder."""

    @property
    def GOALS(self) -> tuple[str, ...]:  # noqa: N802 - a module's constant
        """The names of the goals that it measures."""
        ...

    def measure(self, bench: Bench, /) -> Iterator[Figure]:
        """Measure all of them, and whatever else is worth telling."""
        ...


SCENARIOS: tuple[Scenario, ...] = (
    help_text,
    start,
    pages,
    files,
    revalidation,
    cold,
    crowd,
    accounts,
    changes,
    refusals,
    uploads,
    wheels,
    installing,
    hive,
    carts,
    staging,
)
