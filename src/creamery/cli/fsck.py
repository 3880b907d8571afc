"""`creamery fsck`: see whether what the hub keeps is whole, and mend what can be mended.

The exit codes: 0 clean, 1 findings, 2 could not check, 3 all findings repaired,
10 not a store, 11 a hub has it open.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.options import opens_the_data, settings_from

if TYPE_CHECKING:
    from creamery.blobs import Audit, Depth, Finding, Repair
    from creamery.database import Database
    from creamery.settings import Settings

CLEAN, FINDINGS, NOT_CHECKED, REPAIRED, NOT_A_STORE, LOCKED = 0, 1, 2, 3, 10, 11


class _End(Exception):
    """Nothing more can be done."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of a finding: how it was repaired, or why the disk refused that; neither where nothing was tried."""

    repaired: str | None = None
    failure: str | None = None


@click.command(name="fsck")
@opens_the_data
@click.option("--quick", is_flag=True, help="Only see whether every blob has a file.")
@click.option("--read-data", is_flag=True, help="Read and hash every blob.")
@click.option("--repair", is_flag=True, help="Mend what can be mended; the hub must not run. Needs --yes.")
@click.option("--yes", is_flag=True, help="Do it, without asking.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(
    data: Path | None, config: Path | None, *, quick: bool, read_data: bool, repair: bool, yes: bool, as_json: bool
) -> None:
    """See whether what the hub keeps is whole.

    Compares the database with the files, by name and size, and every reference with both. Without --repair nothing is
    changed, and the hub may go on running. A repair never deletes the only copy of anything: what is wrong or unknown
    is moved to `quarantine/` in the data directory, what can be fetched again is forgotten, and what is lost is named.

    Ends with 0 when all is well, 1 when something is not, 2 when it could not be checked, 3 when everything that was
    found is repaired, 10 when the directory is no hub's, 11 when a repair is asked for while a hub runs.
    """
    from creamery.blobs import Depth  # noqa: PLC0415 - the help of `fsck` costs click alone
    from creamery.database import DatabaseUnavailable, DiskFull, WritesBusy  # noqa: PLC0415

    depth = Depth.QUICK if quick else Depth.DATA if read_data else Depth.SIZES
    try:
        if quick and read_data:
            raise click.UsageError("--quick and --read-data exclude each other")
        if repair and not yes:
            raise click.UsageError("--repair moves files and forgets references; add --yes when that is what you want")
        settings = settings_from(config, data=data)
        with _alone(settings.data, needed=repair):
            code, report = _check(settings, depth, repair=repair, quiet=as_json)
    except click.ClickException as error:
        if not as_json:
            raise
        code, report = NOT_CHECKED, {"error": error.message}
    except _End as end:
        code, report = end.code, {"error": str(end)}
    except (OSError, DatabaseUnavailable, DiskFull, WritesBusy) as error:
        code, report = NOT_CHECKED, {"error": f"it could not be checked to the end: {error}"}
    _say(report, code, as_json=as_json)
    sys.exit(code)


def _check(settings: Settings, depth: Depth, *, repair: bool, quiet: bool) -> tuple[int, dict[str, Any]]:
    from creamery.blobs import Audit, NotAStore  # noqa: PLC0415
    from creamery.clock import SystemClock  # noqa: PLC0415
    from creamery.database import Database  # noqa: PLC0415
    from creamery.hub import offline_holders  # noqa: PLC0415

    if not settings.data.is_dir():
        raise _End(NOT_A_STORE, f"there is no directory {settings.data}; name the hub's with --data")
    database = Database(settings.resolved_database_url(), settings.limits)
    try:
        if database.path is not None and not database.path.is_file():
            raise _End(NOT_A_STORE, f"there is no database {database.path}; name the hub's directory with --data")
        _check_database(database, depth)
        audit = Audit(settings.data, database, offline_holders(), settings.limits, SystemClock())
        try:
            audit.check_owner()
        except NotAStore as error:
            raise _End(NOT_A_STORE, str(error)) from error
        with _progress(audit, quiet=quiet) as progress:
            findings = list(audit.run(depth, progress))
        done = _repair(settings, database, findings) if repair else [_Done() for _ in findings]
    finally:
        database.close()
    report = {
        "depth": str(depth),
        "blobs": audit.summary.blobs,
        "bytes": audit.summary.bytes,
        "references": audit.summary.references,
        "left_to_sweep": audit.summary.young,
        "findings": [{**asdict(finding), **asdict(one)} for finding, one in zip(findings, done, strict=True)],
    }
    if not findings:
        return CLEAN, report
    return FINDINGS if any(one.repaired is None for one in done) else REPAIRED, report


def _check_database(database: Database, depth: Depth) -> None:
    """What a damaged database says is no measure for files.

    Raises:
        _End: it is damaged, or of another form.
        DatabaseUnavailable: it cannot be read.
    """
    from creamery.blobs import Depth  # noqa: PLC0415
    from creamery.database.schema import find_schema  # noqa: PLC0415

    if depth is not Depth.QUICK or database.stopped_uncleanly:  # then our closing takes the log away that tells of it
        damage = database.find_damage()
        if damage is not None:
            raise _End(NOT_CHECKED, damage)
    form = find_schema(database)
    if not form.is_current:
        remedy = "install a newer Creamery" if form.is_newer else "run: creamery db upgrade"
        raise _End(NOT_CHECKED, f"the database {database.url} has not the form that this Creamery knows; {remedy}")


def _repair(settings: Settings, database: Database, findings: list[Finding]) -> list[_Done]:
    """What was done about each finding; one that cannot be repaired keeps no other from it."""
    from creamery.blobs import Repair  # noqa: PLC0415
    from creamery.clock import SystemClock  # noqa: PLC0415
    from creamery.database import Committer, Generations  # noqa: PLC0415
    from creamery.hub import offline_holders  # noqa: PLC0415
    from creamery.telemetry import Telemetry  # noqa: PLC0415

    clock = SystemClock()
    committer = Committer(database, Generations(database), settings.limits, clock, Telemetry())
    committer.start()
    try:
        mender = Repair(settings.data, committer, offline_holders(), clock)
        return [_mend(mender, finding) for finding in findings]
    finally:
        committer.close()


def _mend(mender: Repair, finding: Finding) -> _Done:
    try:
        return _Done(repaired=mender.mend(finding))
    except OSError as error:
        return _Done(failure=str(error))


@contextlib.contextmanager
def _alone(data: Path, *, needed: bool) -> Iterator[None]:
    """Hold the lock that a running hub holds, where that is needed.

    Raises:
        _End: a hub holds it.
    """
    if not needed or not (data / "store.json").is_file():  # then it is no store, which is said in a moment
        yield
        return
    with (data / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _End(LOCKED, f"a hub has {data} open; stop it, then repair") from None
        yield


@contextlib.contextmanager
def _progress(audit: Audit, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; elsewhere nothing."""
    if quiet or not sys.stderr.isatty():
        yield lambda size: None  # noqa: ARG005 - nobody looks
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    bar = Progress("checking", BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True))
    with bar:
        task = bar.add_task("checking", total=audit.size())
        yield lambda size: bar.advance(task, size)


def _say(report: dict[str, Any], code: int, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"code": code, **report}))
        return
    if "error" in report:
        click.echo(f"Error: {_printable(report['error'])}", err=True)
        return
    click.echo(f"Looked at {report['blobs']} blobs of {report['bytes']} bytes and {report['references']} references.")
    if report["left_to_sweep"]:
        click.echo(f"{report['left_to_sweep']} young leftovers are left to the hub's next sweeps.")
    if not report["findings"]:
        click.echo("All is well.")
        return
    _say_findings(report["findings"])


def _say_findings(findings: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("what", "which", "why", "of", "repaired")
    for finding in findings:
        names = ", ".join(finding["names"]) + (" (kept: look for a backup)" if finding["kept"] else "")
        failure = f"no: {finding['failure']}" if finding["failure"] else "no"
        cells = (finding["kind"], finding["subject"], finding["detail"], names, finding["repaired"] or failure)
        table.add_row(*(Text(_printable(cell), overflow="fold") for cell in cells))
    Console().print(table)


def _printable(text: str) -> str:
    """A file's name may hold bytes that are no text; they show as numbers."""
    return text.encode("utf-8", "backslashreplace").decode()
