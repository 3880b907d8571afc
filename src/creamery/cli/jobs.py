"""`creamery jobs`: what is to be done, what became of it; let it wait again, take it back."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from creamery.cli.operator import NotDone, OpenedData, moment, opened_data
from creamery.cli.options import opens_the_data
from creamery.cli.showing import show

if TYPE_CHECKING:
    from creamery.jobs import Changed, Endings, JobRow, State

COLUMNS = ("id", "kind", "state", "attempts", "created", "finished", "error")
NONE = "There are no such jobs."
ERROR_SHOWN = 60
STATES = ("new", "running", "done", "failed", "canceled")
ENDINGS = ("failed", "canceled")

for_programs = click.option("--json", "as_json", is_flag=True, help="For programs.")
of_kind = click.option("--kind", default=None, help="Only those of this kind.")
numbers = click.argument("job_ids", metavar="[ID]...", type=click.IntRange(1, 2**63 - 1), nargs=-1)


@click.group(name="jobs")
def command() -> None:
    """Show, retry and cancel jobs, whether the hub runs or not."""


@command.command(name="list")
@click.option("--state", default=None, type=click.Choice(STATES), help="Only those in this state.")
@of_kind
@click.option("--lines", default=50, show_default=True, type=click.IntRange(1, 1_000_000), help="So many at most.")
@for_programs
@opens_the_data
def list_jobs(
    state: str | None, kind: str | None, lines: int, data: Path | None, config: Path | None, *, as_json: bool
) -> None:
    """List jobs, the newest first."""
    from creamery.jobs import jobs  # noqa: PLC0415 - the help costs click alone

    with opened_data(data, config) as opened:
        found = opened.read(partial(jobs, state=cast("State | None", state), kind=kind, limit=lines))
    facts = [_facts(row) for row in found]
    if not as_json:
        facts = [one | {"error": _first_line(one["error"])} for one in facts]
    show(facts, COLUMNS, as_json=as_json, empty=NONE)


@command.command(name="show")
@click.argument("job_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@for_programs
@opens_the_data
def show_job(job_id: int, data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Show the job ID: what it is to do, and what its last attempt ended with."""
    from creamery.jobs import NoSuchJob, find_job  # noqa: PLC0415

    with opened_data(data, config) as opened:
        row = opened.read(partial(find_job, number=job_id))
        if row is None:
            raise NoSuchJob(job_id)
    if as_json:
        click.echo(json.dumps(_facts(row)))
        return
    for name, value in _facts(row).items():
        if value is not None:
            click.echo(f"{name:<9} {json.dumps(value) if isinstance(value, dict) else value}")


@command.command(name="retry")
@numbers
@click.option("--all", "every", is_flag=True, help="All that have failed, one of each key, instead of some by number.")
@click.option("--state", default="failed", show_default=True, type=click.Choice(ENDINGS), help="With --all: of these.")
@of_kind
@for_programs
@opens_the_data
def retry(
    job_ids: tuple[int, ...],
    state: str,
    kind: str | None,
    data: Path | None,
    config: Path | None,
    *,
    every: bool,
    as_json: bool,
) -> None:
    """Let the jobs ID wait again that have failed or were cancelled; a hub that runs begins them."""
    from creamery.jobs import retry as retry_one  # noqa: PLC0415
    from creamery.jobs import retry_all  # noqa: PLC0415

    _check(job_ids, kind, every=every)
    with opened_data(data, config) as opened:
        if every:
            ending = cast("Endings", state)
            changed = _all(opened, lambda c: retry_all(c, opened.by, state=ending, kind=kind))
        else:
            changed = _each(opened, job_ids, retry_one)
    _said(changed, "again", as_json=as_json)


@command.command(name="cancel")
@numbers
@click.option("--all", "every", is_flag=True, help="All that wait, instead of some by number.")
@of_kind
@for_programs
@opens_the_data
def cancel(
    job_ids: tuple[int, ...], kind: str | None, data: Path | None, config: Path | None, *, every: bool, as_json: bool
) -> None:
    """Take the waiting jobs ID back. One that runs cannot be stopped: it ends by itself."""
    from creamery.jobs import cancel as cancel_one  # noqa: PLC0415
    from creamery.jobs import cancel_all  # noqa: PLC0415

    _check(job_ids, kind, every=every)
    with opened_data(data, config) as opened:
        if every:
            changed = _all(opened, lambda c: cancel_all(c, opened.by, kind=kind))
        else:
            changed = _each(opened, job_ids, cancel_one)
    _said(changed, "no more", as_json=as_json)


def _check(job_ids: tuple[int, ...], kind: str | None, *, every: bool) -> None:
    if bool(job_ids) == every or (kind is not None and not every):
        raise NotDone("name jobs by their numbers, or say --all, with --kind where only some are meant")


def _each(opened: OpenedData, job_ids: tuple[int, ...], change: Callable[..., Any]) -> list[int]:
    """All of them, or none."""
    opened.write(lambda connection: [change(connection, number, opened.by) for number in job_ids])
    return list(job_ids)


def _all(opened: OpenedData, change: Callable[[Any], Changed]) -> list[int]:
    """In steps, so that a hub that runs has its turn."""
    done: list[int] = []
    while True:
        changed = opened.write(change)
        done += changed.jobs
        if not changed.more:
            return done


def _said(job_ids: list[int], how: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"jobs": job_ids}))
    elif len(job_ids) == 1:
        click.echo(f"Job {job_ids[0]} waits {how}.")
    else:
        click.echo(f"{len(job_ids)} jobs wait {how}." if job_ids else NONE)


def _facts(row: JobRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "state": row.state,
        "key": row.key,
        "payload": dict(row.payload),
        "attempts": row.attempts,
        "run_at": moment(row.run_at),
        "created": moment(row.created),
        "started": moment(row.started),
        "finished": moment(row.finished),
        "error": row.error,
    }


def _first_line(error: str | None) -> str:
    line = (error or "").partition("\n")[0]
    return line if len(line) <= ERROR_SHOWN else line[: ERROR_SHOWN - 1] + "…"
