"""`creamery fsck`: see whether what the hub keeps is whole, and mend what can be mended.

The exit codes: 0 clean, 1 findings, 2 could not check, 3 all findings repaired,
10 not a store, 11 a hub has it open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.opening import alone, carry_out, opened, printable, writing
from creamery.cli.options import opens_the_data, settings_from
from creamery.cli.progress import Bar

if TYPE_CHECKING:
    from creamery.blobs import Depth, Finding, Repair
    from creamery.database import Database
    from creamery.settings import Settings

CLEAN, FINDINGS, REPAIRED = 0, 1, 3


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

    depth = Depth.QUICK if quick else Depth.DATA if read_data else Depth.SIZES

    def work() -> tuple[int, dict[str, Any]]:
        if quick and read_data:
            raise click.UsageError("--quick and --read-data exclude each other")
        if repair and not yes:
            raise click.UsageError("--repair moves files and forgets references; add --yes when that is what you want")
        settings = settings_from(config, data=data)
        with alone(settings.data, needed=repair):
            return _check(settings, depth, repair=repair, quiet=as_json)

    carry_out(work, _tell, "it could not be checked to the end", as_json=as_json)


def _check(settings: Settings, depth: Depth, *, repair: bool, quiet: bool) -> tuple[int, dict[str, Any]]:
    from creamery.blobs import Audit, Depth  # noqa: PLC0415
    from creamery.clock import SystemClock  # noqa: PLC0415
    from creamery.hub import offline_holders  # noqa: PLC0415

    clock = SystemClock()
    with opened(settings, clock, quick=depth is Depth.QUICK) as found:
        audit = Audit(settings.data, found.database, offline_holders(), settings.limits, clock)
        with Bar("checking", quiet=quiet) as bar:
            bar.begin(audit.size())
            findings = list(audit.run(depth, bar.advance))
        done = _repair(settings, found.database, findings) if repair else [_Done() for _ in findings]
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


def _repair(settings: Settings, database: Database, findings: list[Finding]) -> list[_Done]:
    """What was done about each finding; one that cannot be repaired keeps no other from it."""
    from creamery.blobs import Repair  # noqa: PLC0415
    from creamery.clock import SystemClock  # noqa: PLC0415
    from creamery.hub import offline_holders  # noqa: PLC0415

    clock = SystemClock()
    with writing(database, settings, clock) as committer:
        mender = Repair(settings.data, database, committer, offline_holders(), clock)
        return [_mend(mender, finding) for finding in findings]


def _mend(mender: Repair, finding: Finding) -> _Done:
    try:
        return _Done(repaired=mender.mend(finding))
    except OSError as error:
        return _Done(failure=str(error))


def _tell(report: Mapping[str, Any]) -> None:
    click.echo(f"Looked at {report['blobs']} blobs of {report['bytes']} bytes and {report['references']} references.")
    if report["left_to_sweep"]:
        click.echo(f"{report['left_to_sweep']} young leftovers are left to the hub's next sweeps.")
    if not report["findings"]:
        click.echo("All is well.")
        return
    _tell_findings(report["findings"])


def _tell_findings(findings: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("what", "which", "why", "of", "repaired")
    for finding in findings:
        names = ", ".join(finding["names"]) + (" (kept: look for a backup)" if finding["kept"] else "")
        failure = f"no: {finding['failure']}" if finding["failure"] else "no"
        cells = (finding["kind"], finding["subject"], finding["detail"], names, finding["repaired"] or failure)
        table.add_row(*(Text(printable(cell), overflow="fold") for cell in cells))
    Console().print(table)
