"""`creamery backup`: copy everything that a hub keeps, while it runs.

The exit codes: 0 whole, 1 something that somebody kept could not be copied, 2 no backup was made,
10 one of the directories is none of this hub's, 11 another backup writes there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.opening import FAILED, LOCKED, NOT_A_STORE, End, carry_out, opened, writing
from creamery.cli.options import opens_the_data, settings_from
from creamery.cli.progress import Bar

if TYPE_CHECKING:
    from creamery.operations.backup import Lack, Report
    from creamery.settings import Settings

WHOLE, LACKING = 0, 1
LACKS_SHOWN = 20


@click.command(name="backup")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@opens_the_data
@click.option("--keep", type=click.IntRange(min=1), help="Afterwards, delete all but the newest so many backups.")
@click.option("--without-cache", is_flag=True, help="Leave out what can be fetched again.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(
    directory: Path, data: Path | None, config: Path | None, *, keep: int | None, without_cache: bool, as_json: bool
) -> None:
    """Copy everything that the hub keeps into DIRECTORY, while it runs or not.

    Every backup there is complete; what several of them need lies there once, and is copied once. One that is cut
    short leaves the former ones as they were: run it again. Settings (creamery.toml, the environment) are not in it.

    Ends with 0 when the backup is whole, 1 when something that somebody kept could not be copied, 2 when there is no
    backup, 10 when --data is no hub's or DIRECTORY holds something else, 11 when another backup writes there.
    """
    from creamery.blobs import NoSpace, NotDurable, PauseLost  # noqa: PLC0415 - the help of `backup` costs click alone
    from creamery.database.records import RecordsDamaged  # noqa: PLC0415
    from creamery.operations.vault import NotAVault, VaultBusy  # noqa: PLC0415

    def work() -> tuple[int, dict[str, Any]]:
        settings = settings_from(config, data=data)
        try:
            return _make(settings, directory, keep=keep, without_cache=without_cache, quiet=as_json)
        except RecordsDamaged as error:
            raise End(FAILED, f"the backup is made, and no older one could be deleted: {error}") from error

    carry_out(
        work,
        _tell,
        "no backup was made, and the former ones are as they were",
        as_json=as_json,
        like_disk=(NoSpace, NotDurable, PauseLost),
        refusals={NotAVault: NOT_A_STORE, VaultBusy: LOCKED},
    )


def _make(
    settings: Settings, directory: Path, *, keep: int | None, without_cache: bool, quiet: bool
) -> tuple[int, dict[str, Any]]:
    from creamery.clock import SystemClock  # noqa: PLC0415
    from creamery.faults import arm  # noqa: PLC0415
    from creamery.hub import offline_holders  # noqa: PLC0415
    from creamery.operations.backup import Backup  # noqa: PLC0415
    from creamery.operations.vault import Vault  # noqa: PLC0415

    arm(settings.faults)
    clock = SystemClock()
    begun = clock.monotonic()
    with opened(settings, clock) as hub, writing(hub.database, settings, clock) as committer:
        vault = Vault(directory)
        backup = Backup(settings.data, hub.database, committer, offline_holders(), settings.limits, clock)
        with vault.open(hub.instance), Bar("copying", quiet=quiet) as bar:
            done = backup.make(vault, hub.instance, bar, without_cache=without_cache, keep=keep)
    return (WHOLE if done.is_whole else LACKING), _shown(done, clock.monotonic() - begun)


def _shown(done: Report, seconds: float) -> dict[str, Any]:
    return {
        "backup": done.name,
        "began": done.manifest.began,
        "rows": done.manifest.rows,
        "blobs": done.manifest.blobs,
        "bytes": done.manifest.bytes,
        "copied_blobs": done.copied.blobs,
        "copied_bytes": done.copied.bytes,
        "without_cache": done.manifest.without_cache,
        "seconds": round(seconds, 3),
        "lacks": [shown_lack(lack) for lack in done.lacks],
        "removed": done.removed,
        "deleted_blobs": done.deleted,
    }


def shown_lack(lack: Lack) -> dict[str, Any]:
    """A blob that could not be had, for programs."""
    return {"kind": lack.kind, "digest": lack.item.digest, "size": lack.item.size, "kept": not lack.item.can_be_fetched}


def tell_lacks(lacks: list[dict[str, Any]]) -> None:
    """The first few, for people; what somebody kept before what can be fetched again."""
    ordered = sorted(lacks, key=lambda lack: not lack["kept"])
    for lack in ordered[:LACKS_SHOWN]:
        meaning = "somebody kept it" if lack["kept"] else "it can be fetched again"
        click.echo(f"  {lack['kind']}: {lack['digest']} ({meaning})")
    if len(ordered) > LACKS_SHOWN:
        click.echo(f"  and {len(ordered) - LACKS_SHOWN} more; --json names them all")


def _tell(report: Mapping[str, Any]) -> None:
    click.echo(
        f"Backup {report['backup']}: {report['rows']} rows, {report['blobs']} blobs of {report['bytes']} bytes"
        f" ({report['copied_blobs']} of {report['copied_bytes']} bytes are new), in {report['seconds']:.1f} s."
    )
    if report["removed"]:
        click.echo(f"Deleted: {', '.join(report['removed'])}, and {report['deleted_blobs']} blobs that only they had.")
    if report["lacks"]:
        click.echo(f"{len(report['lacks'])} blobs could not be copied; creamery fsck --read-data says more:")
        tell_lacks(report["lacks"])
