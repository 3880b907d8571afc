"""The goals and the scenarios belong together: what is promised is measured, and what is measured is promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.goals import Figure, Goal, load_goals
from benchmarks.report import MISSED, NOT_MEASURED, REACHED, main, verdict
from benchmarks.scenarios import SCENARIOS


def test_every_goal_is_measured_by_one_scenario_and_every_scenario_has_a_goal() -> None:
    measured = [name for scenario in SCENARIOS for name in scenario.GOALS]

    assert sorted(measured) == sorted(load_goals())
    assert all(scenario.GOALS for scenario in SCENARIOS)


@pytest.mark.parametrize(
    ("bound", "reached", "missed"),
    [("at_least", (0.7, 0.9), (0.69,)), ("at_most", (0.7, 0.1), (0.71,)), ("exactly", (0.7,), (0.69, 0.71))],
)
def test_a_goal_knows_what_reaches_it(bound: str, reached: tuple[float, ...], missed: tuple[float, ...]) -> None:
    goal = Goal("name", "what", "unit", "why", bound, 0.7)

    assert all(goal.is_reached_by(value) for value in reached)
    assert not any(goal.is_reached_by(value) for value in missed)


@pytest.mark.parametrize(
    "lines",
    ["at_least = 1\nat_most = 2", "", "at_least = 1\nabout = 3"],
    ids=["two bounds", "no bound", "something else"],
)
def test_a_goal_that_says_too_much_or_too_little_is_refused(lines: str, tmp_path: Path) -> None:
    path = tmp_path / "goals.toml"
    path.write_text(f'[page]\nwhat = "a"\nunit = "b"\nwhy = "c"\n{lines}\n', encoding="utf-8")

    with pytest.raises(ValueError, match="goal page"):
        load_goals(path)


def test_one_missed_case_misses_its_goal() -> None:
    goals = {"page": Goal("page", "what", "unit", "why", "at_least", 0.7)}

    assert verdict([Figure("page", "numpy", 0.8), Figure(None, "memory", 9e9)], goals) == REACHED
    assert verdict([Figure("page", "numpy", 0.8), Figure("page", "boto3", 0.6)], goals) == MISSED


def test_a_figure_that_nobody_can_measure_here_is_neither_and_hides_no_miss() -> None:
    goals = {"page": Goal("page", "what", "unit", "why", "at_least", 0.7)}
    unknown = Figure("page", "boto3", None, "no page of it here")

    assert verdict([Figure("page", "numpy", 0.8), unknown], goals) == NOT_MEASURED
    assert verdict([Figure("page", "numpy", 0.6), unknown], goals) == MISSED


def test_what_cannot_be_measured_is_neither_reached_nor_missed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "no such goal"]) == NOT_MEASURED
    assert "no goal" in capsys.readouterr().err
