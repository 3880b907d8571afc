"""`creamery jobs`, as an operator and as a program call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, update

from creamery.cli import main
from creamery.cli.jobs import ENDINGS, STATES
from creamery.clock import Micros
from creamery.jobs import AT_ONCE, enqueue, tables
from creamery.jobs.by_hand import Endings
from creamery.journal import latest
from tests.cli.conftest import with_cellar

Run = Callable[..., Result]
NOW = Micros(1_800_000_000_000_000)


@pytest.fixture
def run(hub_data: Path) -> Run:
    def call(*arguments: object) -> Result:
        given = {"CREAMERY_DATABASE_URL": "", "DATABASE_URL": ""}
        return CliRunner().invoke(main, ["jobs", *map(str, arguments), "--data", str(hub_data)], env=given)

    return call


@pytest.fixture
def add(hub_data: Path) -> Callable[..., list[int]]:
    """Jobs of a state."""

    def write(connection: Connection, states: tuple[str, ...], key: str | None, kind: str) -> list[int]:
        numbers = []
        for state in states:
            number = enqueue(connection, kind, {"name": "numpy"}, now=NOW, key=key)
            assert number is not None
            if state != "new":
                values = {"state": state, "waiting_key": None, "attempts": 5, "error": "ValueError: no\nmore"}
                connection.execute(update(tables.job).where(tables.job.c.id == number).values(values))
            numbers.append(number)
        return numbers

    def make(*states: str, key: str | None = None, kind: str = "note") -> list[int]:
        work = partial(write, states=states, key=key, kind=kind)
        found: list[int] = with_cellar(hub_data, lambda cellar: cellar.committer.write(work))
        return found

    return make


def states_of(run: Run) -> dict[int, str]:
    return {one["id"]: one["state"] for one in json.loads(run("list", "--json").stdout)}


def test_the_words_for_states_are_those_of_the_table() -> None:
    assert tables.STATES == STATES
    assert Endings.__args__ == ENDINGS  # type: ignore[attr-defined]


def test_jobs_are_listed_for_people_and_for_programs(run: Run, add: Callable[..., list[int]]) -> None:
    waits, failed = add("new", "failed")

    listed = run("list")
    assert [line.split()[:3] for line in listed.stdout.splitlines()[1:]] == [
        [str(failed), "note", "failed"],
        [str(waits), "note", "new"],
    ]
    assert "ValueError: no" in listed.stdout
    assert "more" not in listed.stdout
    facts: list[dict[str, Any]] = json.loads(run("list", "--state", "failed", "--json").stdout)
    assert [(one["id"], one["payload"], one["error"]) for one in facts] == [
        (failed, {"name": "numpy"}, "ValueError: no\nmore")
    ]
    assert len(json.loads(run("list", "--lines", 1, "--json").stdout)) == 1
    assert run("list", "--kind", "other").stdout == "There are no such jobs.\n"


def test_a_job_is_shown_with_all_that_is_known(run: Run, add: Callable[..., list[int]]) -> None:
    (failed,) = add("failed", key="k")

    assert 'payload   {"name": "numpy"}\n' in run("show", failed).stdout
    assert json.loads(run("show", failed, "--json").stdout)["key"] == "k"
    missing = run("show", 999)
    assert missing.exit_code == 1
    assert "there is no job 999" in missing.stderr


def test_jobs_are_retried_and_cancelled_by_number_all_or_none(
    run: Run, add: Callable[..., list[int]], hub_data: Path
) -> None:
    failed, done, waits = add("failed", "done", "new")

    refused = run("retry", failed, done)
    assert refused.exit_code == 1
    assert f"job {done} cannot be retried: it is done, and has not failed" in refused.stderr
    assert states_of(run)[failed] == "failed"
    assert run("retry", failed).stdout == f"Job {failed} waits again.\n"
    assert run("cancel", failed, waits).stdout == "2 jobs wait no more.\n"
    assert states_of(run) == {waits: "canceled", done: "done", failed: "canceled"}
    entries = with_cellar(hub_data, lambda cellar: cellar.committer.write(lambda c: latest(c, 3)))
    assert [(entry.action, entry.subject) for entry in entries] == [
        ("job retried", str(failed)),
        ("job cancelled", str(failed)),
        ("job cancelled", str(waits)),
    ]
    assert all(entry.actor.startswith("command") for entry in entries)


def test_all_are_retried_and_cancelled_in_as_many_steps_as_it_takes(run: Run, add: Callable[..., list[int]]) -> None:
    numbers = add(*["failed"] * (AT_ONCE + 1))
    add("failed", kind="other")

    retried = run("retry", "--all", "--kind", "note", "--json")
    cancelled = run("cancel", "--all", "--kind", "note", "--json")

    assert sorted(json.loads(retried.stdout)["jobs"]) == numbers
    assert sorted(json.loads(cancelled.stdout)["jobs"]) == numbers
    assert run("cancel", "--all").stdout == "There are no such jobs.\n"
    assert run("retry", "--all", "--state", "canceled").stdout == f"{AT_ONCE + 1} jobs wait again.\n"


@pytest.mark.parametrize("arguments", [(), (1, "--all"), (1, "--kind", "note"), ("--kind", "note")])
@pytest.mark.parametrize("act", ["retry", "cancel"])
def test_which_jobs_are_meant_must_be_said(run: Run, act: str, arguments: tuple[object, ...]) -> None:
    refused = run(act, *arguments)

    assert refused.exit_code == 1
    assert "name jobs by their numbers, or say --all" in refused.stderr
