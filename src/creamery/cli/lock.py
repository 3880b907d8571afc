"""`creamery lock`: what a lock file can have besides."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from creamery.cli.hub import asks_a_hub
from creamery.cli.showing import show

if TYPE_CHECKING:
    from creamery.client import Hub

COLUMNS = ("project", "filename", "size", "seconds")


@click.command(name="lock", short_help="Add built wheels to a lock file.")
@click.option(
    "--enrich",
    "file",
    required=True,
    metavar="PYLOCK.TOML",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The lock file, as `uv export --format pylock.toml` or `pip lock` writes it.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Where to.  [the lock file itself]")
@asks_a_hub
def command(file: Path, output: Path | None, hub: Hub, *, as_json: bool) -> None:
    """Add wheels that the hub has built to a lock file, beside the sdists that they were built from.

    Each is downloaded and its digest compared. The lock then installs with pip and uv as they are, without a compiler
    as long as the hub has the wheels: they stay there for 90 days, and each download by pip begins that time anew. The
    sdists stay in it as well.
    """
    from creamery.cli.progress import Bar  # noqa: PLC0415 - a command's help costs click alone
    from creamery.client.enriching import enrich  # noqa: PLC0415

    with Bar("", quiet=as_json) as bar:
        lock = file.read_text(encoding="utf-8")
        text, added = enrich(lock, hub.at_root(), place=str(file), begin=bar.begin, came=bar.advance)
    if added or output is not None:
        (output or file).write_text(text, encoding="utf-8")
    rows = [{**asdict(wheel), "seconds": wheel.seconds or None} for wheel in added]
    if as_json:
        click.echo(json.dumps({"added": [asdict(wheel) for wheel in added]}))
    else:
        show(rows, COLUMNS, as_json=False, empty="The hub has built nothing that this lock file lacks.")
