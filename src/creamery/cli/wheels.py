"""`creamery wheels list|push|pin|unpin|remove`: the wheels that somebody has built, on a hub, over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.hub import agreed, asks_a_hub, every_item, say
from creamery.cli.progress import Bar
from creamery.cli.showing import plain, show

if TYPE_CHECKING:
    from creamery.client import Hub

COLUMNS = ("filename", "size", "pushed", "by", "pinned")


@click.group(name="wheels")
def command() -> None:
    """Look at the wheels that machines have built and pushed, and push some."""


@command.command(name="list")
@click.argument("project", required=False)
@asks_a_hub
def list_wheels(project: str | None, hub: Hub, *, as_json: bool) -> None:
    """List the built wheels; of PROJECT alone, where it is named."""
    found = list(every_item(lambda after: hub.get("wheels", query={"project": project, "after": after})))
    if as_json:
        click.echo(json.dumps(found))
    else:
        show([_row(each) for each in found], COLUMNS, as_json=False, empty="There are no built wheels.")


@command.command(name="push")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@asks_a_hub
def push(files: tuple[Path, ...], hub: Hub, *, as_json: bool) -> None:
    """Push wheels that were built here. The first build of a name stays; the same bytes once more are welcome.

    It ends at the first that is refused; those before it are there, and it can be called again with all.
    """
    root, pushed = hub.at_root(), []
    with Bar("", quiet=as_json) as bar:
        bar.begin(sum(file.stat().st_size for file in files))
        for file in files:
            with file.open("rb") as content:
                root.send("w", "p", file.name, content=content, size=file.stat().st_size, sent=bar.advance)
            pushed.append(file.name)
            if not as_json:
                click.echo(plain(f"Pushed {file.name}."))
    if as_json:
        click.echo(json.dumps({"pushed": pushed}))


@command.command(name="pin")
@click.argument("filename")
@asks_a_hub
def pin(filename: str, hub: Hub, *, as_json: bool) -> None:
    """Let the built wheel FILENAME stay, whatever the cache gives way to."""
    hub.put("wheels", filename, "pin")
    say(f"{filename} stays.", {"pinned": filename}, as_json=as_json)


@command.command(name="unpin")
@click.argument("filename")
@asks_a_hub
def unpin(filename: str, hub: Hub, *, as_json: bool) -> None:
    """Let the built wheel FILENAME give way again, when it was not used for the longest."""
    hub.delete("wheels", filename, "pin")
    say(f"{filename} gives way again.", {"unpinned": filename}, as_json=as_json)


@command.command(name="remove")
@click.argument("filename")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks_a_hub
def remove(filename: str, hub: Hub, *, yes: bool, as_json: bool) -> None:
    """Take the built wheel FILENAME away; somebody may then push other bytes under its name."""
    agreed(f"Take {plain(filename)} away?", yes=yes, as_json=as_json)
    hub.delete("wheels", filename)
    say(f"Removed {filename}.", {"removed": filename}, as_json=as_json)


def _row(wheel: dict[str, Any]) -> dict[str, Any]:
    moment = f"{datetime.fromtimestamp(wheel['pushed'], UTC):%Y-%m-%d %H:%M}"
    told = {"filename": wheel["filename"], "size": wheel["size"], "pinned": wheel["pinned"] or None}
    return {**told, "pushed": moment, "by": wheel["pushed_by"]}
