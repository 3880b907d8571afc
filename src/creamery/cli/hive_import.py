"""`creamery hive import`: bring a folder of this machine into a tree, beside a hub that runs or without one.

The exit codes: 0 all of it is here, 1 something was not taken, 2 it could not be brought to its end, 10 not a store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.hive_place import names_of, of_a_space, space_of
from creamery.cli.opening import FAILED, carry_out, opened, printable
from creamery.cli.options import opens_the_data, settings_from
from creamery.cli.progress import Bar

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from creamery.door import Hub
    from creamery.hive.importing import Imported, Importer
    from creamery.hive.ledger import Space
    from creamery.settings import Settings

ALL, SOME = 0, 1
JOBS = 4
COLUMNS = ("path", "here", "why")


@click.command(name="import")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@of_a_space
@click.option("--to", "path", default="/", help="The folder that it comes into; made where it is not there.  [/]")
@click.option("--jobs", type=click.IntRange(1, 64), default=JOBS, help=f"Files that are read at once.  [{JOBS}]")
@opens_the_data
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def import_(  # noqa: PLR0913 - one for each option
    directory: Path,
    space_id: int | None,
    user: str | None,
    path: str,
    jobs: int,
    data: Path | None,
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Bring everything in DIRECTORY into a space, with its times.

    What is there already with the same size, time and bytes is left alone, so that an import that was cut short goes on
    when it is run again. Other bytes under a name become the file's new content; the old ones stay as a version. Links
    are not followed. A name that can be none, or differs from another by its form alone, gets another, which is told.

    Ends with 0 when all of it is here, 1 when something was not taken, 2 when it ended early: run it again; 10 when the
    directory that --data names is no hub's.
    """
    from creamery.blobs import BlobError  # noqa: PLC0415 - the help of a command costs click alone
    from creamery.hive.errors import Refused  # noqa: PLC0415
    from creamery.hive.names import NameRefused  # noqa: PLC0415

    def work() -> tuple[int, dict[str, Any]]:
        settings = settings_from(config, data=data)
        return _import(settings, directory, (space_id, user), path, jobs=jobs, quiet=as_json)

    carry_out(
        work,
        _tell,
        "it ended early, and goes on when it is run again",
        as_json=as_json,
        like_disk=(BlobError,),
        refusals=dict.fromkeys((Refused, NameRefused), FAILED),
    )


def _import(
    settings: Settings, directory: Path, which: tuple[int | None, str | None], path: str, *, jobs: int, quiet: bool
) -> tuple[int, dict[str, Any]]:
    from creamery.clock import SystemClock  # noqa: PLC0415
    from creamery.faults import arm  # noqa: PLC0415
    from creamery.telemetry import configure_command_logging  # noqa: PLC0415

    arm(settings.faults)
    configure_command_logging()
    with opened(settings, SystemClock(), quick=True):
        pass  # it is a hub's, and whole
    done = asyncio.run(_run(settings, directory, which, names_of(path), jobs, quiet=quiet))
    report = {
        "files": done.files,
        "bytes": done.bytes,
        "folders": done.folders,
        "unchanged": done.unchanged,
        "renamed": [{"path": printable(each.path), "name": each.name, "why": each.reason} for each in done.renamed],
        "refused": [{"path": printable(each.path), "why": each.reason} for each in done.refused],
    }
    return (SOME if done.refused else ALL), report


async def _run(
    settings: Settings,
    directory: Path,
    which: tuple[int | None, str | None],
    names: tuple[str, ...],
    jobs: int,
    *,
    quiet: bool,
) -> Imported:
    from creamery.hive.folders import open_top  # noqa: PLC0415
    from creamery.hub import build  # noqa: PLC0415

    built = build(settings)
    await built.open()
    try:
        hub = built.hub

        def find(connection: Connection) -> Space:
            return space_of(connection, *which, now=hub.clock.now())

        space = await asyncio.to_thread(hub.committer.write, find)
        with Bar("importing", quiet=quiet) as bar:
            bar.begin(0)
            importer = _importer(hub, space, bar)
            return await importer.run(open_top(directory), names, jobs)
    finally:
        await built.stop(settings.limits.drain_seconds)


def _importer(hub: Hub, space: Space, bar: Bar) -> Importer:
    from creamery.hive.acts import Act  # noqa: PLC0415
    from creamery.hive.importing import Importer  # noqa: PLC0415

    def act() -> Act:
        said = hub.settings.hive
        return Act(hub.clock.now(), space.owner_id, said.quota, refuses_windows_names=said.windows_names)

    def progress(done: int, of: int) -> None:
        bar.at(done, of)

    small = hub.settings.limits.small_bytes
    return Importer(hub.blobs, hub.database, space, act, small, hub.committer.write, progress)


def _tell(report: Mapping[str, Any]) -> None:
    from creamery.cli.showing import show  # noqa: PLC0415

    click.echo(
        f"Brought {report['files']} files of {report['bytes']} bytes and {report['folders']} folders;"
        f" {report['unchanged']} files were here already."
    )
    renamed = [{"path": each["path"], "here": each["name"], "why": each["why"]} for each in report["renamed"]]
    refused = [{"path": each["path"], "here": "(not taken)", "why": each["why"]} for each in report["refused"]]
    if renamed or refused:
        show([*refused, *renamed], COLUMNS, as_json=False, empty="")
