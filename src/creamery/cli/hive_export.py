"""`creamery hive export`: write a folder of a tree onto this machine's disk, whether a hub runs or not.

The exit codes: 0 all of it is there, 1 something is not, 2 it could not be brought to its end, 10 not a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.hive_place import names_of, of_a_space, space_of
from creamery.cli.opening import carry_out, opened, printable
from creamery.cli.options import opens_the_data, settings_from
from creamery.cli.progress import Bar

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from creamery.hive.nodes import Node
    from creamery.settings import Settings

ALL, SOME = 0, 1
JOBS = 4


@click.command(name="export")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@of_a_space
@click.option("--from", "path", default="/", help="The folder to write out.  [/]")
@click.option("--jobs", type=click.IntRange(1, 64), default=JOBS, help=f"Files that are written at once.  [{JOBS}]")
@click.option("--force", is_flag=True, help="DIRECTORY need not be empty; files of the same names are replaced.")
@opens_the_data
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def export(  # noqa: PLR0913 - one for each option
    directory: Path,
    space_id: int | None,
    user: str | None,
    path: str,
    jobs: int,
    data: Path | None,
    config: Path | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Write everything in a space, or in a folder of it, into DIRECTORY, with its times. What is in the trash is not.

    Bytes are hashed on their way; where the disk can, files share its blocks with the hub's. Nothing of the hub is
    changed, and it may run.

    Ends with 0 when all of it is there, 1 when something is not, 2 when it ended early, 10 when the directory that
    --data names is no hub's.
    """

    def work() -> tuple[int, dict[str, Any]]:
        settings = settings_from(config, data=data)
        if not force:
            _refuse_what_is_not_empty(directory)
        return _export(settings, directory, (space_id, user), path, jobs=jobs, quiet=as_json)

    carry_out(work, _tell, "it ended early; run it again with --force", as_json=as_json)


def _refuse_what_is_not_empty(directory: Path) -> None:
    if directory.is_dir() and any(directory.iterdir()):
        raise click.ClickException(f"{directory} is not empty; name another, or add --force")


def _export(
    settings: Settings, directory: Path, which: tuple[int | None, str | None], path: str, *, jobs: int, quiet: bool
) -> tuple[int, dict[str, Any]]:
    from creamery.blobs import blobs_of  # noqa: PLC0415
    from creamery.clock import SystemClock  # noqa: PLC0415
    from creamery.hive.exporting import Exporter  # noqa: PLC0415
    from creamery.hive.folders import open_top  # noqa: PLC0415
    from creamery.hive.tree import follow  # noqa: PLC0415

    def find(connection: Connection) -> Node:
        space = space_of(connection, *which, now=None)
        found = follow(connection, space, names_of(path)).node
        if found is None or not found.is_folder:
            raise click.ClickException(f"there is no folder {path!r} in space {space.id}")
        return found

    with opened(settings, SystemClock(), quick=True) as hub:
        top = hub.database.read(find)
        directory.mkdir(parents=True, exist_ok=True)
        with Bar("exporting", quiet=quiet) as bar:
            bar.begin(top.size)
            exporter = Exporter(hub.database, blobs_of(settings.data, hub.database), bar.advance)
            done = exporter.run(top, open_top(directory), jobs)
    lacks = [{"path": printable(each.path), "why": each.reason} for each in done.lacks]
    report = {"files": done.files, "bytes": done.bytes, "folders": done.folders, "lacks": lacks}
    return (SOME if lacks else ALL), report


def _tell(report: Mapping[str, Any]) -> None:
    from creamery.cli.showing import show  # noqa: PLC0415

    click.echo(f"Wrote {report['files']} files of {report['bytes']} bytes and {report['folders']} folders.")
    if report["lacks"]:
        show(report["lacks"], ("path", "why"), as_json=False, empty="")
