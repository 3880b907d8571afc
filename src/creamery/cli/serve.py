"""`creamery serve`: read the settings, then leave everything to the server."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from creamery.cli.options import opens_the_data, settings_from
from creamery.server import serve


@click.command(name="serve")
@click.option("--host", help="Address to listen on.  [127.0.0.1]")
@click.option("--port", type=int, help="TCP port; 0 takes a free one.  [8000]")
@click.option("--uds", type=click.Path(path_type=Path, dir_okay=False), help="A Unix socket instead of a port.")
@click.option(
    "--archive",
    multiple=True,
    metavar="DIR",
    help="Where carts' files come from: a folder, or the http:// address of an Archive Interface. May be given often.",
)
@opens_the_data
def command(
    host: str | None,
    port: int | None,
    uds: Path | None,
    archive: tuple[str, ...],
    data: Path | None,
    config: Path | None,
) -> None:
    """Run the hub until it is told to stop (Ctrl-C or SIGTERM).

    Every setting can also stand in creamery.toml or in the environment; these flags win over both.
    """
    given = {"host": host, "port": port, "uds": uds}
    listen: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    if listen and uds is None:
        listen["uds"] = None  # whoever names a port does not want the socket of creamery.toml
    carts = {"archives": list(archive)} if archive else {}
    sys.exit(serve(settings_from(config, data=data, listen=listen, carts=carts)))
