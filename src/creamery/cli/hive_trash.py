"""`creamery hive trash`: what was deleted, of a hub that is asked over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.hub import agreed, asks_a_hub, every_item, say
from creamery.cli.showing import plain, show

if TYPE_CHECKING:
    from creamery.client import Hub

COLUMNS = ("id", "deleted", "by", "bytes", "path")

of_space = click.option(
    "--space", metavar="ID", default="home", help="Another space than one's home; `creamery hive usage` lists them."
)


@click.group(name="trash")
def trash() -> None:
    """List what was deleted, bring it back, or remove it for good."""


@trash.command(name="list")
@of_space
@asks_a_hub
def list_trash(space: str, hub: Hub, *, as_json: bool) -> None:
    """List what was deleted, the latest first."""
    found = list(every_item(lambda after: hub.get("hive", "spaces", space, "trash", query={"after": after})))
    show(found if as_json else [_row(each) for each in found], COLUMNS, as_json=as_json, empty="The trash is empty.")


@trash.command(name="restore")
@click.argument("numbers", metavar="ID...", nargs=-1, required=True, type=click.IntRange(min=1))
@of_space
@asks_a_hub
def restore(numbers: tuple[int, ...], space: str, hub: Hub, *, as_json: bool) -> None:
    """Bring things back to where they were, by their numbers in the list.

    One whose folder is not there any more comes into the space's root, and one whose name is taken gets another. Where
    each is now is printed.
    """
    back = []
    for number in numbers:
        back.append(hub.post("hive", "spaces", space, "trash", str(number), "restoration"))
        if not as_json:
            click.echo(plain(back[-1]["path"]))
    if as_json:
        click.echo(json.dumps(back))


@trash.command(name="purge")
@click.argument("numbers", metavar="ID...", nargs=-1, type=click.IntRange(min=1))
@click.option("--all", "is_all", is_flag=True, help="Everything.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@of_space
@asks_a_hub
def purge(numbers: tuple[int, ...], space: str, hub: Hub, *, is_all: bool, yes: bool, as_json: bool) -> None:
    """Remove things for good, by their numbers in the list, or all of them; nobody gets them back."""
    if is_all == bool(numbers):
        raise click.UsageError("name the things by their numbers, or say --all")
    what = "everything" if is_all else f"{len(numbers)} of the things"
    agreed(f"Remove {what} in the trash of {space} for good?", yes=yes, as_json=as_json)
    at = ("hive", "spaces", space, "trash")
    if is_all:
        removed = int(hub.delete(*at)["removed"])
    else:
        removed = sum(int(hub.delete(*at, str(number))["removed"]) for number in numbers)
    say(f"Removed: {removed}.", {"removed": removed}, as_json=as_json)


def _row(found: dict[str, Any]) -> dict[str, Any]:
    path = found["path"] + ("/" if found["kind"] == "folder" else "")
    moment = found["deleted"].replace("T", " ").removesuffix("Z")
    return {"id": found["id"], "deleted": moment, "by": found["by"], "bytes": found["size"], "path": path}
