"""`creamery restore`: make a hub from a backup.

The exit codes: 0 whole, 1 something that somebody kept is lost, 2 it could not be restored,
10 the directory holds no backups, 11 somebody is at work there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.backup import shown_lack, tell_lacks
from creamery.cli.opening import FAILED, LOCKED, NOT_A_STORE, carry_out, printable
from creamery.cli.options import opens_the_data, settings_from
from creamery.cli.progress import Bar

if TYPE_CHECKING:
    from creamery.settings import Settings

WHOLE, LACKING = 0, 1


@click.command(name="restore")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@opens_the_data
@click.option("--backup", "name", help="Which of the backups there.  [the newest]")
@click.option("--database-url", help="The database to fill, of any kind.  [SQLite in the data directory]")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(
    directory: Path,
    data: Path | None,
    config: Path | None,
    *,
    name: str | None,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Make a hub from a backup in DIRECTORY: into an empty data directory and an empty database.

    Nothing is served before all of it is there; one that is cut short goes on where it was when it is run again. What
    was left out of the backup, or is damaged in it, and can be fetched again is fetched when somebody asks for it.

    Ends with 0 when everything is restored, 1 when something that somebody kept is lost, 2 when it could not be
    restored, 10 when DIRECTORY holds no backups, 11 when somebody is at work in one of the directories.
    """
    from creamery.blobs import NoSpace, NotDurable, StoreMismatch  # noqa: PLC0415 - the help of it costs click alone
    from creamery.database.records import RecordsDamaged  # noqa: PLC0415
    from creamery.operations.restore import CannotRestore, InUse, NotEmpty  # noqa: PLC0415
    from creamery.operations.vault import NoSuchBackup, NotAVault, VaultBusy  # noqa: PLC0415

    def work() -> tuple[int, dict[str, Any]]:
        settings = settings_from(config, data=data, database_url=database_url)
        return _restore(settings, directory, name, quiet=as_json)

    busy, impossible = (InUse, VaultBusy), (NotEmpty, CannotRestore, NoSuchBackup, StoreMismatch)
    carry_out(
        work,
        _tell,
        "it is not restored",
        as_json=as_json,
        like_disk=(NoSpace, NotDurable, RecordsDamaged),
        refusals={NotAVault: NOT_A_STORE, **dict.fromkeys(busy, LOCKED), **dict.fromkeys(impossible, FAILED)},
    )


def _restore(settings: Settings, directory: Path, name: str | None, *, quiet: bool) -> tuple[int, dict[str, Any]]:
    from creamery.blobs import Audit, Depth  # noqa: PLC0415
    from creamery.clock import SystemClock  # noqa: PLC0415
    from creamery.database import Database  # noqa: PLC0415
    from creamery.faults import arm  # noqa: PLC0415
    from creamery.hub import offline_holders  # noqa: PLC0415
    from creamery.operations.restore import Restore  # noqa: PLC0415
    from creamery.operations.vault import Vault  # noqa: PLC0415

    arm(settings.faults)
    clock = SystemClock()
    begun = clock.monotonic()
    vault = Vault(directory)
    with contextlib.closing(Database(settings.resolved_database_url(), settings.limits)) as database:
        restore = Restore(settings.data, database, offline_holders(), settings.limits, clock)
        with vault.open(None), Bar("copying", quiet=quiet) as bar:
            done = restore.run(vault, name, bar)
        audit = Audit(settings.data, database, offline_holders(), settings.limits, clock)
        findings = list(audit.run(Depth.QUICK, lambda _: None))
    report = {
        "backup": done.name,
        "began": done.manifest.began,
        "data": str(settings.data),
        "database": database.url,
        "has_own_database": settings.database_url is not None,
        "rows": done.manifest.rows,
        "blobs": audit.summary.blobs,
        "bytes": audit.summary.bytes,
        "left_out": done.left_out,
        "forgotten": done.forgotten,
        "seconds": round(clock.monotonic() - begun, 3),
        "lacks": [shown_lack(lack) for lack in done.lacks],
        "findings": [asdict(finding) for finding in findings],
    }
    return (WHOLE if done.is_whole and not findings else LACKING), report


def _tell(report: Mapping[str, Any]) -> None:
    click.echo(
        f"Restored backup {report['backup']} into {report['data']} and {report['database']}: {report['rows']} rows,"
        f" {report['blobs']} blobs of {report['bytes']} bytes, in {report['seconds']:.1f} s."
    )
    if report["left_out"]:
        click.echo(f"{report['left_out']} blobs were left out of the backup: they are fetched when somebody asks.")
    if report["lacks"]:
        click.echo(f"{len(report['lacks'])} blobs of the backup are missing or damaged:")
        tell_lacks(report["lacks"])
    for finding in report["findings"]:
        of = f" (of {', '.join(finding['names'])})" if finding["names"] else ""
        click.echo(printable(f"  {finding['kind']}: {finding['subject']}: {finding['detail']}{of}"))
    click.echo("creamery fsck --quick finds nothing wrong." if not report["findings"] else "That is what fsck found.")
    elsewhere = f" and `database_url` to {report['database']}" if report["has_own_database"] else ""
    click.echo(
        f"Now set `data` to {report['data']}{elsewhere}, see to the other settings, which are not in a backup, and"
        " start it: creamery serve"
    )
