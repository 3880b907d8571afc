"""`creamery cart archives|ls`: what there is to make carts of."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.hub import asks_a_hub, every_item
from creamery.cli.showing import show

if TYPE_CHECKING:
    from creamery.client import Hub

COLUMNS = ("name", "lists")
ENTRIES = ("item", "size", "time")


@click.command(name="archives")
@asks_a_hub
def archives(hub: Hub, *, as_json: bool) -> None:
    """List the archives; ITEMs that name none are the first one's."""
    found = hub.get("carts", "archives")["items"]
    rows = found if as_json else [{"name": each["name"], "lists": each["can_list"]} for each in found]
    show(rows, COLUMNS, as_json=as_json, empty="There are no archives.")


@click.command(name="ls")
@click.argument("archive")
@click.argument("folder", default="")
@asks_a_hub
def ls(archive: str, folder: str, hub: Hub, *, as_json: bool) -> None:
    """List what an archive has in FOLDER; without one, at its top. Folders end with a slash."""
    path, inside = ("carts", "archives", archive, "entries"), folder.rstrip("/")
    found = list(every_item(lambda after: hub.get(*path, query={"folder": inside, "after": after})))
    if as_json:
        click.echo(json.dumps(found))
    else:
        show([_row(each) for each in found], ENTRIES, as_json=False, empty="There is nothing in it.")


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    if entry["kind"] == "folder":
        return {"item": f"{entry['item']}/", "size": None, "time": None}
    moment = None if entry["mtime"] is None else f"{datetime.fromtimestamp(entry['mtime'], UTC):%Y-%m-%d %H:%M}"
    return {"item": entry["item"], "size": entry["size"], "time": moment}
