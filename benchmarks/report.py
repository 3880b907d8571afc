"""Runs the scenarios and says which goals are reached: `python -m benchmarks`, or `make bench`.

Exit status: 0 all reached, 1 some missed, 2 could not measure all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.goals import Figure, Goal, load_goals
from benchmarks.processes import CLIENT_CORE, CannotMeasure, running_upstream
from benchmarks.scenarios import SCENARIOS, Scenario

RESULTS = Path(__file__).with_name("results")

REACHED, MISSED, NOT_MEASURED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write down; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Creamery beside nginx.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--only", metavar="GOAL", help="only the scenarios with a goal whose name begins so")
    parser.add_argument("--rounds", type=int, default=5, help="turns of the hub and nginx; medians are taken  [5]")
    parser.add_argument("--seconds", type=int, default=1, help="of load in each turn  [1]")
    given = parser.parse_args(arguments)
    goals = load_goals()
    chosen = [scenario for scenario in SCENARIOS if any(name.startswith(given.only or "") for name in scenario.GOALS)]
    if not chosen:
        print(f"cannot measure: no goal begins with {given.only!r}; benchmarks/goals.toml has them", file=sys.stderr)
        return NOT_MEASURED
    os.sched_setaffinity(0, {CLIENT_CORE})
    figures = []
    try:
        for figure in _figures(chosen, given.rounds, given.seconds):
            figures.append(figure)
            if not given.json:
                print(_line(figure, goals), flush=True)
    except CannotMeasure as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return NOT_MEASURED
    result = _result(figures, goals)
    _write_down(result)
    if given.json:
        print(json.dumps(result, indent=2))
    if not given.json:
        judged = [_is_reached(figure, goals) for figure in figures if figure.goal is not None]
        missed, unmeasured = judged.count(False), judged.count(None)
        for count, fate in ((missed, "miss their goal"), (unmeasured, "could not be measured")):
            if count:
                print(f"\n{count} of {len(judged)} figures {fate}")
        if not missed and not unmeasured:
            print("\nall goals are reached")
    return verdict(figures, goals)


def verdict(figures: Sequence[Figure], goals: Mapping[str, Goal]) -> int:
    """`MISSED` when one figure misses its goal; else `NOT_MEASURED` when one could not be measured; else `REACHED`."""
    judged = [_is_reached(figure, goals) for figure in figures]
    return MISSED if False in judged else NOT_MEASURED if None in judged else REACHED


def _figures(scenarios: Sequence[Scenario], rounds: int, seconds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="creamery-bench-") as folder, running_upstream() as upstream:
        bench = Bench(Path(folder), upstream, rounds, seconds)
        for scenario in scenarios:
            measured = set()
            for figure in scenario.measure(bench):
                measured.add(figure.goal)
                yield figure
            if not measured >= set(scenario.GOALS):
                raise CannotMeasure(f"{scenario.GOALS}: only {measured} came out")


def _is_reached(figure: Figure, goals: Mapping[str, Goal]) -> bool | None:
    """None: nobody knows."""
    if figure.goal is None:
        return True
    return None if figure.value is None else goals[figure.goal].is_reached_by(figure.value)


def _line(figure: Figure, goals: Mapping[str, Goal]) -> str:
    goal = None if figure.goal is None else goals[figure.goal]
    said = {None: "NOT MEASURED", True: "ok", False: "MISSED"}
    verdict = "" if goal is None else said[_is_reached(figure, goals)]
    value = "-" if figure.value is None else f"{figure.value:.3g}"
    return (
        f"{figure.goal or '-':<22} {figure.case:<44} {figure.ours:<40} {figure.peer:<26}"
        f" {value:>8} {goal or ''!s:<8} {verdict}"
    ).rstrip()


def _result(figures: Sequence[Figure], goals: Mapping[str, Goal]) -> dict[str, Any]:
    measured = [
        {
            **asdict(figure),
            "unit": None if figure.goal is None else goals[figure.goal].unit,
            "wanted": None if figure.goal is None else str(goals[figure.goal]),
            "reached": _is_reached(figure, goals),
        }
        for figure in figures
    ]
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "python": platform.python_version(),
        },
        "figures": measured,
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _write_down(result: Mapping[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    name = str(result["measured"]).replace(":", "").replace("+0000", "Z")
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
