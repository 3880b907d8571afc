"""`creamery hive versions`: what a file had in it before, of a hub that is asked over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from creamery.cli.hive_trash import of_space
from creamery.cli.hub import agreed, asks_a_hub, say
from creamery.cli.showing import show

if TYPE_CHECKING:
    from collections.abc import Callable

    from creamery.client import Hub

COLUMNS = ("revision", "replaced", "author", "bytes", "pinned", "label")


def _of_a_version(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments that name one."""
    with_revision = click.argument("revision", type=click.IntRange(min=1))
    return click.argument("path")(with_revision(of_space(asks_a_hub(command))))


@click.group(name="versions")
def versions() -> None:
    """List what a file had in it before, bring it back, or let it stay or go."""


@versions.command(name="list")
@click.argument("path")
@of_space
@asks_a_hub
def list_versions(path: str, space: str, hub: Hub, *, as_json: bool) -> None:
    """List what the file PATH had in it before, the latest first."""
    found = hub.get(*_at(hub, space, path))["items"]
    show(
        found if as_json else [_row(each) for each in found],
        COLUMNS,
        as_json=as_json,
        empty="Nothing is kept of what it had in it before.",
    )


@versions.command(name="restore")
@_of_a_version
def restore(path: str, revision: int, space: str, hub: Hub, *, as_json: bool) -> None:
    """Give the file PATH the bytes again that it had at a REVISION; those of now become a version."""
    found = hub.post(*_at(hub, space, path), str(revision), "restoration")
    say(f"{path} is as it was at revision {revision}; it has revision {found['revision']} now.", found, as_json=as_json)


@versions.command(name="pin")
@click.option("--label", help="What it is to be called; an empty one takes the name away.")
@_of_a_version
def pin(path: str, revision: int, space: str, hub: Hub, *, label: str | None, as_json: bool) -> None:
    """Let a version of the file PATH stay, whatever its age, and however little room there is."""
    at = (*_at(hub, space, path), str(revision))
    found = hub.put(*at, "pin")
    if label is not None:
        found = hub.put(*at, "label", body={"label": label})
    say(f"Revision {revision} of {path} stays.", found, as_json=as_json)


@versions.command(name="unpin")
@_of_a_version
def unpin(path: str, revision: int, space: str, hub: Hub, *, as_json: bool) -> None:
    """Let a version of the file PATH give way again."""
    found = hub.delete(*_at(hub, space, path), str(revision), "pin")
    say(f"Revision {revision} of {path} stays no more than others.", found, as_json=as_json)


@versions.command(name="delete")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_of_a_version
def delete(path: str, revision: int, space: str, hub: Hub, *, yes: bool, as_json: bool) -> None:
    """Let a version of the file PATH go; nobody gets it back."""
    agreed(f"Delete revision {revision} of {path} for good?", yes=yes, as_json=as_json)
    hub.delete(*_at(hub, space, path), str(revision))
    say(f"Revision {revision} of {path} is deleted.", {"deleted": revision}, as_json=as_json)


def _at(hub: Hub, space: str, path: str) -> tuple[str, ...]:
    """Where the versions of a file are."""
    entry = hub.get("hive", "spaces", space, "entry", query={"path": path})
    return ("hive", "spaces", space, "files", str(entry["id"]), "versions")


def _row(found: dict[str, Any]) -> dict[str, Any]:
    moment = found["replaced"].replace("T", " ").removesuffix("Z")
    return found | {"replaced": moment, "bytes": found["size"]}
