"""`creamery wheels`: the wheels that somebody has built, on a hub, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.hub import agreed, asks_a_hub, every_item, say
from creamery.cli.progress import Bar
from creamery.cli.showing import plain, show

if TYPE_CHECKING:
    from creamery.client import Hub

COLUMNS = ("filename", "size", "pushed", "by", "ring", "hits", "pinned", "listed")
REASONS = ("filename", "ring", "by", "seconds", "offered", "why")


def meaning_one(command: Callable[..., None]) -> Callable[..., None]:
    """For commands about a file's name that several wheels may have."""
    said = "SHA-256 of the wheel that is meant, where several have that name; without it all of them are."
    return click.option("--sha256", metavar="DIGEST", help=said)(command)


@click.group(name="wheels")
def command() -> None:
    """Look at the wheels that machines have built and pushed, and push some."""


@command.command(name="list")
@click.argument("project", required=False)
@click.option("--ring", help="Of this ring alone.")
@asks_a_hub
def list_wheels(project: str | None, ring: str | None, hub: Hub, *, as_json: bool) -> None:
    """List the built wheels; of PROJECT alone, where it is named."""
    pieces = every_item(lambda after: hub.get("wheels", query={"project": project, "ring": ring, "after": after}))
    found = sorted(pieces, key=lambda wheel: (wheel["filename"], wheel["id"]))
    if as_json:
        click.echo(json.dumps(found))
    else:
        show([_row(each) for each in found], COLUMNS, as_json=False, empty="There are no built wheels.")


@command.command(name="why")
@click.argument("name")
@click.argument("version")
@asks_a_hub
def why(name: str, version: str, hub: Hub, *, as_json: bool) -> None:
    """Show what was built of VERSION of the project NAME, and why the plain index offers it or not.

    Also: who came too late with other bytes, and what could not be built.
    """
    told = hub.get("wheels", "projects", name, version)
    if as_json:
        click.echo(json.dumps(told))
        return
    rows = [{**each, "by": each["pushed_by"], "seconds": each["seconds"] or None} for each in told["builds"]]
    show(rows, REASONS, as_json=False, empty=f"No built wheel of {plain(name)} {plain(version)} is here.")
    for each in told["conflicts"]:
        moment = _moment(each["came"])
        click.echo(
            plain(f"Conflict: {each['pushed_by']} came with {each['sha256'][:12]} for a key that had others, {moment}.")
        )
    for each in told["failures"]:
        times = "once" if each["times"] == 1 else f"{each['times']} times"
        click.echo(
            plain(f"Failed {times}, last {_moment(each['last'])} ({each['by']}): {each['reason']}")
            + (f"\n  creamery wheels log {plain(name)} {plain(version)}" if each["has_log"] else "")
        )


@command.command(name="log")
@click.argument("name")
@click.argument("version")
@click.option("--key", help="Of the build with this key alone.")
@asks_a_hub
def log(name: str, version: str, key: str | None, hub: Hub, *, as_json: bool) -> None:
    """Print what the builds of VERSION of the project NAME have said, those that failed last."""
    told, root = hub.get("wheels", "projects", name, version), hub.at_root()
    of_kind = [("entries", each) for each in told["builds"]] + [("failures", each) for each in told["failures"]]
    logs = [
        {"key": each["key"], "failed": kind == "failures", "log": _log(root, kind, each)}
        for kind, each in of_kind
        if each["has_log"] and key in {None, each["key"]}
    ]
    if as_json:
        click.echo(json.dumps(logs))
        return
    if not logs:
        raise click.ClickException(plain(f"No log of a build of {name} {version} is kept."))
    for each in logs:
        if len(logs) > 1:
            click.echo(f"== {each['key']}{', which failed' if each['failed'] else ''}")
        click.echo("\n".join(map(plain, each["log"].splitlines())))


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
@meaning_one
@asks_a_hub
def pin(filename: str, sha256: str | None, hub: Hub, *, as_json: bool) -> None:
    """Let the built wheel FILENAME stay, whatever the cache gives way to."""
    hub.put("wheels", filename, "pin", query={"sha256": sha256})
    say(f"{filename} stays.", {"pinned": filename}, as_json=as_json)


@command.command(name="unpin")
@click.argument("filename")
@meaning_one
@asks_a_hub
def unpin(filename: str, sha256: str | None, hub: Hub, *, as_json: bool) -> None:
    """Let the built wheel FILENAME give way again, when it was not used for the longest."""
    hub.delete("wheels", filename, "pin", query={"sha256": sha256})
    say(f"{filename} gives way again.", {"unpinned": filename}, as_json=as_json)


@command.command(name="promote")
@click.argument("filename")
@click.option("--ring", help="Where it was pushed to; or --sha256, where rings have different wheels of that name.")
@meaning_one
@asks_a_hub
def promote(filename: str, ring: str | None, sha256: str | None, hub: Hub, *, as_json: bool) -> None:
    """Let everybody have the built wheel FILENAME, which was pushed into a ring of its own."""
    hub.post("wheels", filename, "promotion", query={"ring": ring, "sha256": sha256})
    say(f"Everybody sees {filename}.", {"promoted": filename}, as_json=as_json)


@command.command(name="remove")
@click.argument("filename")
@meaning_one
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks_a_hub
def remove(filename: str, sha256: str | None, hub: Hub, *, yes: bool, as_json: bool) -> None:
    """Take the built wheel FILENAME away; somebody may then push other bytes under its name."""
    agreed(f"Take {plain(filename)} away?", yes=yes, as_json=as_json)
    hub.delete("wheels", filename, query={"sha256": sha256})
    say(f"Removed {filename}.", {"removed": filename}, as_json=as_json)


def _log(hub: Hub, kind: str, told: dict[str, Any]) -> str:
    path, query = ("w", "v1", kind, told["key"], "log"), [("ring", told["ring"])]
    with hub.stream("GET", *path, query=query, headers={"Accept": "text/plain"}) as answer:
        return answer.read().decode("utf-8", "replace")


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _row(wheel: dict[str, Any]) -> dict[str, Any]:
    listed = {"listed": wheel["listed_as"] if wheel["listed_as"] != wheel["filename"] else "", "checking": "checking"}
    return {
        **wheel,
        "pushed": _moment(wheel["pushed"]),
        "by": wheel["pushed_by"],
        "pinned": wheel["pinned"] or None,
        "listed": listed.get(wheel["state"], "no"),
    }
