"""`creamery hive check`: does everything that the hive's rows say agree, and can what does not be mended?

The exit codes: 0 clean, 1 findings, 2 could not check, 3 all findings repaired,
10 not a store, 11 a hub has it open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.opening import alone, carry_out, opened, printable, writing
from creamery.cli.options import opens_the_data, settings_from

if TYPE_CHECKING:
    from creamery.hive.checking import Finding
    from creamery.settings import Settings

CLEAN, FINDINGS, REPAIRED = 0, 1, 3
COLUMNS = ("what", "which", "why", "remedy")


@click.command(name="check")
@opens_the_data
@click.option("--repair", is_flag=True, help="Mend what rows tell how to mend; the hub must not run. Needs --yes.")
@click.option("--yes", is_flag=True, help="Do it, without asking.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def check(data: Path | None, config: Path | None, *, repair: bool, yes: bool, as_json: bool) -> None:
    """See whether all that the hive says of spaces, folders, files, versions, trash and locks agrees.

    Compares rows with rows; `creamery fsck` compares them with files. Without --repair nothing is changed, and the hub
    may go on running. A repair deletes nothing of anybody's: it adds up anew, and what lies nowhere any more it puts
    into a folder `found` in a space's trash.

    Ends with 0 when all is well, 1 when something is not, 2 when it could not be checked, 3 when everything that was
    found is repaired, 10 when the directory is no hub's, 11 when a repair is asked for while a hub runs.
    """

    def work() -> tuple[int, dict[str, Any]]:
        if repair and not yes:
            raise click.UsageError("--repair changes rows; add --yes when that is what you want")
        settings = settings_from(config, data=data)
        with alone(settings.data, needed=repair):
            return _check(settings, repair=repair)

    carry_out(work, _tell, "it could not be checked to the end", as_json=as_json)


def _check(settings: Settings, *, repair: bool) -> tuple[int, dict[str, Any]]:
    from creamery.clock import SystemClock  # noqa: PLC0415
    from creamery.hive import checking, mending  # noqa: PLC0415

    clock = SystemClock()
    with opened(settings, clock) as hub:
        findings = hub.database.read(lambda connection: list(checking.check(connection)))
        left = findings
        if repair and findings:
            with writing(hub.database, settings, clock) as committer:
                committer.write(lambda connection: mending.mend(connection, clock.now()))
            left = hub.database.read(lambda connection: list(checking.check(connection)))
        counted = hub.database.read(checking.count)
    report = {**counted, "findings": [asdict(each) for each in findings], "left": [asdict(each) for each in left]}
    return _code(findings, left), {**report, "repaired": repair}


def _code(findings: list[Finding], left: list[Finding]) -> int:
    if not findings:
        return CLEAN
    return FINDINGS if left else REPAIRED


def _tell(report: Mapping[str, Any]) -> None:
    from creamery.cli.showing import show  # noqa: PLC0415

    click.echo(f"Looked at {report['nodes']} files and folders in {report['spaces']} spaces.")
    if not report["findings"]:
        click.echo("All is well.")
        return
    _show(report["findings"], show)
    if report["repaired"] and not report["left"]:
        click.echo("All of it is repaired.")
    elif report["repaired"]:
        click.echo("What is left after the repair:")
        _show(report["left"], show)


def _show(findings: list[dict[str, Any]], show: Any) -> None:
    rows = [
        {"what": each["kind"], "which": printable(each["subject"]), "why": each["detail"], "remedy": each["remedy"]}
        for each in findings
    ]
    show(rows, COLUMNS, as_json=False, empty="")
